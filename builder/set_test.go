package builder

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// addPatch writes another patch beside those of project.
func addPatch(t testing.TB, beside Patch, name, source, template string) Patch {
	t.Helper()
	p := Patch{Name: name, Dir: filepath.Join(filepath.Dir(beside.Dir), name), Waive: beside.Waive}
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, p.sourceFiles()[0], source)
	writeFile(t, p.templateFile(), template)
	return p
}

// TestOneContainerHoldsTheSet: two patches with a static variable of the same
// name, one of which refers to it, are one container that says which function
// is whose.
func TestOneContainerHoldsTheSet(t *testing.T) {
	builds := greetRecords(t)
	p, o := project(t, greetSource, greetTemplate)
	q := addPatch(t, p, "other",
		"static volatile int secret_ptr; static int helper(int x) { return x + secret_ptr++; } int leave_lp(int x) { return helper(x); }",
		"! fixes CVE-2026-9000\nother.so\n@libgreet.so.1\nleave:leave_lp\n")
	outcomes, err := Make(t.Context(), []Patch{p, q}, builds, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range builds {
		first, second := outcomes[i], outcomes[len(builds)+i]
		if first.Patch != "fix" || second.Patch != "other" || first.Build != b || second.Build != b {
			t.Fatalf("outcomes are not by patch, then by build: %+v, %+v", first, second)
		}
		if first.Err != nil || first.Container == "" || first.Container != second.Container {
			t.Fatalf("containers %q and %q, error %v", first.Container, second.Container, first.Err)
		}
		c, err := livepatch.OpenContainer(first.Container)
		if err != nil {
			t.Fatal(err)
		}
		var functions []string
		for _, f := range c.Info.Functions {
			functions = append(functions, f.Patch+": "+f.Old+" by "+f.New)
		}
		if diff := cmp.Diff([]string{"fix: greet by greet_lp", "other: leave by leave_lp"}, functions); diff != "" {
			t.Error(diff)
		}
		want := []livepatch.InfoPatch{
			{Name: "fix", References: []string{"bsc#1234567", "CVE-2026-1234"}}, {Name: "other", References: []string{"CVE-2026-9000"}},
		}
		if diff := cmp.Diff(want, c.Info.Patches); diff != "" || c.Info.Patch != "fix,other" {
			t.Errorf("patch %q, patches %s", c.Info.Patch, diff)
		}
	}
	if left, err := filepath.Glob(filepath.Join(o.OutDir, "*.so")); err != nil || len(left) != len(builds) {
		t.Errorf("%d containers for %d builds, %v", len(left), len(builds), err)
	}
}

func TestPatchesThatDoNotGoTogether(t *testing.T) {
	builds := greetRecords(t)[:1]
	for _, tt := range []struct {
		name, source, template string
		says                   []string
	}{
		{"replacement of the same name", "int f(int x) { return x; }", "leave:f", []string{"fix.in:3: greet", "other.in:3: leave", "both define f"}},
		{"helper of the same name", "int helper(int x) { return x; } int g(int x) { return x; }", "leave:g", []string{"fix.c and other.c both define helper"}},
		{"hidden helper of the same name", `__attribute__((visibility("hidden"))) int helper(int x) { return x; } int g(int x) { return x; }`, "leave:g", []string{"both define helper"}},
		{"library's function of a name that the other patch has", "int area(int); int g(int x) { return area(x); }", "leave:g", []string{"other.c uses area of the library", "fix.c defines"}},
		{"one function", "int g(int x) { return x; }", "greet:g", []string{"fix.in:3: function greet and other.in:3: function greet: one function"}},
		{"one function by its file", "int g(int x) { return x; }", "greet@greet1.c:g", []string{"fix.in:3: function greet and other.in:3: function greet@greet1.c: one function"}},
		{"one variable filled twice", "static long *volatile ref; int g(int x) { return *ref; }", "leave:g\n#secret:ref", []string{"fix.in:4: and other.in:4: both fill the variable ref"}},
		{"one variable, thread-local or not", "long at[2]; int g(int x) { return x; }", "leave:g\n#%secret:at", []string{"variable secret: not thread-local"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, o := project(t, "int area(int x) { return x; } int helper(int x) { return x; } static long *volatile ref; int f(int x) { return helper(*ref); }", "fix.so\n@libgreet.so.1\ngreet:f\n#secret:ref\n")
			builds[0].Functions["greet@greet1.c"] = builds[0].Functions["greet"]
			q := addPatch(t, p, "other", tt.source, "other.so\n@libgreet.so.1\n"+tt.template+"\n")
			outcomes, err := Make(t.Context(), []Patch{p, q}, builds, o)
			if err != nil {
				t.Fatal(err)
			}
			for _, out := range outcomes {
				if !errors.Is(out.Err, ErrConflict) || out.Container != "" {
					t.Errorf("%s: %v, want a conflict", out.Patch, out.Err)
					continue
				}
				for _, want := range tt.says {
					if !strings.Contains(out.Err.Error(), want) {
						t.Errorf("%s: %v, want it to say %q", out.Patch, out.Err, want)
					}
				}
			}
			if left, _ := filepath.Glob(filepath.Join(o.OutDir, "*.so")); len(left) > 0 {
				t.Errorf("%s was written", left)
			}
		})
	}
}

// TestRefusedPatchTakesTheOthersAlong: the container of a build is whole or is
// not; what an earlier run made goes.
func TestRefusedPatchTakesTheOthersAlong(t *testing.T) {
	builds := greetRecords(t)
	p, o := project(t, "int f(int x) { return x; }", "fix.so\n@libgreet.so.1\ngreet:f\n")
	old := mustMake(t, p, builds, o)[3].Container
	q := addPatch(t, p, "other", "int g(int x) { return x; }", "other.so\n@libgreet.so.1\nadded:g\n")
	outcomes, err := Make(t.Context(), []Patch{p, q}, builds, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, out := range outcomes {
		if refused := i%len(builds) == 3; (out.Err != nil) != refused || (out.Container == "") != refused {
			t.Errorf("%s in %s: %q, %v", out.Patch, out.Build.NEVRA, out.Container, out.Err)
		}
	}
	own, others := outcomes[7].Err, outcomes[3].Err
	if !errors.Is(others, ErrNotFound) || !strings.Contains(others.Error(), "no container for this build: other: ") {
		t.Errorf("the other patch's row: %v", others)
	}
	if !errors.Is(own, ErrNotFound) || strings.Contains(own.Error(), "no container") {
		t.Errorf("the refused patch's row: %v", own)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the build's earlier container is still there: %v", err)
	}
}

// TestSelectedBuilds: a build that a patch does not concern gets the others'
// container, and none if no patch concerns it; a function that it lacks is then
// no failure.
func TestSelectedBuilds(t *testing.T) {
	builds := greetRecords(t)
	p, o := project(t, "int f(int x) { return x; }", "fix.so\n@libgreet.so.1\nadded:f\n")
	p.Select = func(b *elfinfo.Build) (Selection, error) {
		if b == builds[3] || b == builds[2] {
			return Selection{Apart: "it has no such function"}, nil
		}
		return Selection{}, nil
	}
	q := addPatch(t, p, "other", "int g(int x) { return x; }", "other.so\n@libgreet.so.1\nleave:g\n")
	q.Select = func(b *elfinfo.Build) (Selection, error) {
		if b == builds[3] {
			return Selection{Apart: "too old"}, nil
		}
		return Selection{}, nil
	}
	outcomes, err := Make(t.Context(), []Patch{p, q}, builds, o)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, out := range outcomes {
		held := ""
		if out.Container != "" {
			c, err := livepatch.OpenContainer(out.Container)
			if err != nil {
				t.Fatal(err)
			}
			held = c.Info.Patch
		}
		got = append(got, out.Patch+" "+out.Apart+" "+held)
		if out.Err != nil {
			t.Error(out.Err)
		}
	}
	want := []string{
		"fix  fix,other", "fix  fix,other", "fix it has no such function ", "fix it has no such function ",
		"other  fix,other", "other  fix,other", "other  other", "other too old ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestSelectionThatFails: what a patch needs for one build is not there.
func TestSelectionThatFails(t *testing.T) {
	builds := greetRecords(t)
	p, o := project(t, "int f(int x) { return x; }", "fix.so\n@libgreet.so.1\ngreet:f\n")
	missing := errors.New("no headers")
	p.Select = func(b *elfinfo.Build) (Selection, error) {
		if b == builds[1] {
			return Selection{}, missing
		}
		return Selection{}, nil
	}
	outcomes, err := Make(t.Context(), []Patch{p}, builds, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, out := range outcomes {
		if errors.Is(out.Err, missing) != (i == 1) || (out.Container == "") != (i == 1) {
			t.Errorf("%s: %q, %v", out.Build.NEVRA, out.Container, out.Err)
		}
	}
}

// TestErrorsNameTheOwnDescription: what packing finds wrong is in the file
// that the author wrote, whichever patch of the set it is.
func TestErrorsNameTheOwnDescription(t *testing.T) {
	p, o := project(t, greetSource, greetTemplate)
	q := addPatch(t, p, "other", "int small; int g(int x) { return small = x; }", "! first\n! second\nother.so\n@libgreet.so.1\nleave:g\n#counter:small\n")
	q.Waive = map[string]string{checkRefType: "a test"}
	builds := greetRecords(t)[:1]
	builds[0].Variables["counter"] = builds[0].Variables["secret"]
	outcomes, err := Make(t.Context(), []Patch{p, q}, builds, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := outcomes[0].Err; err == nil || !strings.Contains(err.Error(), "other.in:6:1: small has 4 bytes") {
		t.Errorf("%v, want it to name other.in:6", err)
	}
}

// TestOrderOfBuildsDoesNotMatter: a container is the same whichever other
// builds are made with it.
func TestOrderOfBuildsDoesNotMatter(t *testing.T) {
	builds := greetRecords(t)
	p, o := project(t, greetSource, greetTemplate)
	all := map[string]string{}
	for _, out := range mustMake(t, p, builds, o) {
		all[filepath.Base(out.Container)] = digest(readFile(t, out.Container))
	}
	slices.Reverse(builds)
	for i := range builds {
		o.OutDir, o.CacheDir = t.TempDir(), t.TempDir()
		out := mustMake(t, p, builds[i:i+1], o)[0]
		if all[filepath.Base(out.Container)] != digest(readFile(t, out.Container)) {
			t.Errorf("%s made alone differs", out.Build.NEVRA)
		}
	}
}
