package conformance

import "testing"

// The proof that rows fail must itself notice rows that don't.
func TestVacuousRowsAreNoticed(t *testing.T) {
	for name, test := range map[string]func(testing.TB, engine){
		"does nothing":          func(testing.TB, engine) {},
		"believes words":        func(tb testing.TB, e engine) { e.apply(tb, 1, "container"); e.revert(tb, 1) },
		"fails before an apply": func(tb testing.TB, e engine) { tb.Error("no compiler"); e.apply(tb, 1, "container") },
		"panics":                func(tb testing.TB, e engine) { e.apply(tb, 1, "container"); panic("no") },
	} {
		if problem := vacuous(t, row{name: name, test: test}); problem == "" {
			t.Errorf("a row that %s counts as one that notices", name)
		}
	}
}
