package injector

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lpbuild/lpbuild/livepatch"
)

func TestRevertAndReplaceLibrary(t *testing.T) {
	f, other := newFixture(t, "padded"), newFixture(t, "stock")
	c2, c3, foreign := f.container(t, 2, "answer", "second"), f.container(t, 3, "answer", "second"), other.container(t, 4, "answer", "second")
	tg := f.start(t, 0, 0)
	in := withState(t)
	rs, err := in.RevertLibrary(background(), only(tg.pid), "libanswer.so.1")
	result(t, NotApplied, rs, err)
	rs, err = in.RevertLibrary(background(), only(tg.pid), "libnone.so.1")
	result(t, NotLoaded, rs, err)
	rs, err = in.ReplaceLibrary(background(), only(tg.pid), "libanswer.so.1", []*livepatch.Container{c2})
	result(t, Applied, rs, err)
	tg.expect("1001", "2020")
	// Containers for another build take nothing away.
	rs, err = in.ReplaceLibrary(background(), only(tg.pid), "libanswer.so.1", []*livepatch.Container{foreign})
	result(t, NoPatchForBuild, rs, err)
	// Nor does one that replaces what is for another library.
	rs, err = in.ReplaceLibrary(background(), only(tg.pid), "libnone.so.1", []*livepatch.Container{c3})
	if r := result(t, Applied, rs, err); len(r.Patches) != 2 {
		t.Errorf("%d live patches in force", len(r.Patches))
	}
	tg.expect("1001", "2020", "3030")
	rs, err = in.ReplaceLibrary(background(), only(tg.pid), "libanswer.so.1", []*livepatch.Container{c2})
	if r := result(t, Reverted, rs, err); len(r.Patches) != 1 {
		t.Errorf("%d live patches in force", len(r.Patches))
	}
	tg.expect("1001", "2020", "3030", "2020")
	rs, err = in.RevertLibrary(background(), only(tg.pid), "libanswer.so.1")
	result(t, Reverted, rs, err)
	tg.expect("1001", "2020", "3030", "2020", "1001")
}

func TestInspect(t *testing.T) {
	f := newFixture(t, "padded")
	c2, c3 := f.container(t, 2, "answer"), f.container(t, 3, "second")
	tg := f.start(t, 0, 0)
	in := withState(t)
	for _, c := range []*livepatch.Container{c2, c3} {
		rs, err := in.Apply(background(), only(tg.pid), []*livepatch.Container{c})
		result(t, Applied, rs, err)
	}
	rs, err := in.Revert(background(), only(tg.pid), []*livepatch.Container{c2})
	result(t, Reverted, rs, err)
	seen, err := in.Inspect(background(), only(tg.pid))
	if err != nil || len(seen) != 1 {
		t.Fatalf("%v, %v", seen, err)
	}
	got := seen[0]
	if got.Word != Applied || len(got.Patches) != 1 || got.Disabled != "" {
		t.Errorf("%+v", got.Result)
	}
	padded := make(map[string]bool)
	for _, l := range got.Libraries {
		padded[l.Soname] = l.Padded
	}
	want := map[string]bool{"target": false, "libanswer.so.1": true, "libc.so.6": false, "ld-linux-x86-64.so.2": false}
	if diff := cmp.Diff(want, padded); diff != "" {
		t.Error(diff)
	}
	history := []Loaded{
		{Name: c2.Name, Functions: []Redirection{{Function: "answer"}}},
		{Name: c3.Name, InForce: true, Functions: []Redirection{{Function: "second"}}},
	}
	ignore := cmp.Options{cmpopts.IgnoreFields(Loaded{}, "Time"), cmpopts.IgnoreFields(Redirection{}, "Address", "New")}
	if diff := cmp.Diff(history, got.History, ignore); diff != "" {
		t.Error(diff)
	}
	// Somebody else's pid: there is an answer for each.
	seen, err = in.Inspect(background(), Selection{PIDs: []int{tg.pid, 4194999}})
	if err != nil || len(seen) != 2 || seen[1].Word != Gone {
		t.Errorf("%v, %v", seen, err)
	}
}
