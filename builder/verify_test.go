package builder

import (
	"errors"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// TestVerifyFinishedContainers holds a good container against records and
// plans that it was not made for.
func TestVerifyFinishedContainers(t *testing.T) {
	builds := greetRecords(t)
	p, o := project(t, "int added(int); int f(int x) { return added(x); }", "fix.so\n@libgreet.so.1\nleave:f\n")
	data := readFile(t, mustMake(t, p, builds[:1], o)[0].Container)
	old := *builds[3] // lacks added
	old.BuildID = builds[0].BuildID
	tests := []struct {
		name  string
		build *elfinfo.Build
		// libraries are the sonames that the plan imports from.
		libraries []string
		is        error
		says      string
	}{
		{name: "its own", build: builds[0], libraries: []string{"libgreet.so.1"}},
		{name: "another build", build: builds[1], libraries: []string{"libgreet.so.1"}, says: "made for build-id"},
		{name: "a build that lacks an import", build: &old, libraries: []string{"libgreet.so.1"}, is: ErrImport, says: "added@GREET_2.0"},
		{name: "too few libraries", build: builds[0], libraries: []string{"libc.so.6", "libgreet.so.1"}, says: "want [\"libc.so.6\""},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			im := &imports{Libraries: map[string][]stubSymbol{}}
			for _, l := range tc.libraries {
				im.Libraries[l] = nil
			}
			m := &maker{}
			part := &partPlan{variant: &variant{object: &object{undefined: []undefinedSymbol{{Name: "added"}}}}}
			target := &target{plan: &plan{build: tc.build, imports: im, parts: []*partPlan{part}}}
			target.input.Description = &livepatch.Description{Container: "fix.so"}
			err := m.verify(target, data)
			if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("%v, want an error saying %q", err, tc.says)
			}
		})
	}
}
