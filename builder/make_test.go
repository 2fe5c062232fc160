package builder

import (
	"bytes"
	"context"
	"debug/elf"
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

// mustMake makes a patch for builds and fails the test on any refusal.
func mustMake(t testing.TB, p Patch, builds []*elfinfo.Build, o Options) []Outcome {
	t.Helper()
	outcomes, err := Make(t.Context(), []Patch{p}, builds, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range outcomes {
		if out.Err != nil {
			t.Fatal(out.Err)
		}
	}
	return outcomes
}

func TestMakeContainers(t *testing.T) {
	builds := greetRecords(t)
	p, o := project(t, greetSource, greetTemplate)
	for i, out := range mustMake(t, p, builds, o) {
		b := builds[i]
		if want := "greet-livepatches_" + b.NEVRA + "_libgreet.so.1_" + string(b.BuildID[:8]) + ".so"; filepath.Base(out.Container) != want {
			t.Errorf("container %s, want %s", out.Container, want)
		}
		c, err := livepatch.OpenContainer(out.Container)
		if err != nil {
			t.Fatal(err)
		}
		greet := b.Functions["greet"][0]
		want := livepatch.Function{Old: "greet", New: "greet_lp", Address: greet.Address, Size: greet.Size, SHA256: greet.SHA256,
			Entry: string(greet.Entry.Kind), Offset: greet.Entry.Offset, Length: greet.Entry.Length,
			Personality: greet.Unwind.Personality, CallsBack: greet.Unwind.CallsBack, Cancellation: greet.Unwind.Cancellation, Patch: "fix"}
		if diff := cmp.Diff([]livepatch.Function{want}, c.Info.Functions); diff != "" {
			t.Error(diff)
		}
		if c.BuildID() != string(b.BuildID) || c.Info.Set != "greet-livepatches" || !slices.Equal(c.Info.NEVRAs, []string{b.NEVRA}) {
			t.Errorf("info %+v does not describe %s", c.Info, b.NEVRA)
		}
		if want := []string{"bsc#1234567", "CVE-2026-1234"}; !slices.Equal(c.Info.References, want) {
			t.Errorf("references %q, want %q", c.Info.References, want)
		}
		if ref := c.Apply.References[0]; ref.TargetOffset != b.Variables["secret"][0].Address {
			t.Errorf("secret at %#x, want %#x", ref.TargetOffset, b.Variables["secret"][0].Address)
		}
	}
}

func TestMakeEntryKinds(t *testing.T) {
	builds := greetRecords(t)
	p, o := project(t, greetSource, greetTemplate)
	var kinds []string
	for _, out := range mustMake(t, p, builds[:3], o) {
		c, err := livepatch.OpenContainer(out.Container)
		if err != nil {
			t.Fatal(err)
		}
		f := c.Info.Functions[0]
		kinds = append(kinds, f.Entry)
		if endbr := out.Build == builds[2]; endbr != (f.Offset == 4) {
			t.Errorf("%s: jump at offset %d", out.Build.NEVRA, f.Offset)
		}
	}
	if diff := cmp.Diff([]string{"stock", "padded", "padded"}, kinds); diff != "" {
		t.Error(diff)
	}
}

// containerImports reads what a container needs the way a dynamic loader does.
func containerImports(t testing.TB, name string) (needed, symbols []string) {
	t.Helper()
	f, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if needed, err = f.ImportedLibraries(); err != nil {
		t.Fatal(err)
	}
	imports, err := f.ImportedSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range imports {
		symbols = append(symbols, s.Name+"@"+s.Version)
	}
	slices.Sort(symbols)
	for _, tag := range []elf.DynTag{elf.DT_INIT, elf.DT_FINI, elf.DT_INIT_ARRAY, elf.DT_FINI_ARRAY, elf.DT_TEXTREL} {
		if v, err := f.DynValue(tag); err != nil || len(v) > 0 {
			t.Errorf("%s has %v", name, tag)
		}
	}
	for _, s := range f.Sections {
		if strings.HasPrefix(s.Name, ".debug") || s.Name == ".comment" {
			t.Errorf("%s has a section %s", name, s.Name)
		}
	}
	return needed, symbols
}

func TestContainerNeedsOnlyWhatItUses(t *testing.T) {
	builds := greetRecords(t)[:1]
	tests := []struct {
		name, body      string
		needed, symbols []string
	}{
		{name: "nothing", body: "return x;"},
		{name: "its target", body: "return area(x);",
			needed: []string{"libgreet.so.1"}, symbols: []string{"area@GREET_2.0"}},
		{name: "an old version", body: `__asm__(".symver old,area@GREET_1.0"); extern int old(int); return old(x);`,
			needed: []string{"libgreet.so.1"}, symbols: []string{"area@GREET_1.0"}},
		{name: "both versions", body: `__asm__(".symver old,area@GREET_1.0"); extern int old(int); return old(x) + area(x);`,
			needed: []string{"libgreet.so.1"}, symbols: []string{"area@GREET_1.0", "area@GREET_2.0"}},
		{name: "libc through its target", body: "return !getenv(who) + counter;",
			needed: []string{"libc.so.6", "libgreet.so.1"}, symbols: []string{"counter@GREET_1.0", "getenv@GLIBC_2.2.5"}},
		{name: "the compiler's run-time library", body: "return __builtin_popcountll(x);"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			source := "#include <stdlib.h>\nextern int counter; extern int area(int);\n" +
				"int greet_lp(int x, const char *who) { " + tc.body + " }\n"
			p, o := project(t, source, "fix.so\n@libgreet.so.1\ngreet:greet_lp\n")
			needed, symbols := containerImports(t, mustMake(t, p, builds, o)[0].Container)
			if diff := cmp.Diff(tc.needed, needed); diff != "" {
				t.Errorf("DT_NEEDED: %s", diff)
			}
			if diff := cmp.Diff(tc.symbols, symbols); diff != "" {
				t.Errorf("imports: %s", diff)
			}
		})
	}
}

func TestMakeRefusals(t *testing.T) {
	builds := greetRecords(t)
	tests := []struct {
		name, source, template string
		// build is the index of the one build that is looked at.
		build int
		is    error
		says  string
	}{
		{name: "no such function", template: "nowhere:f", is: ErrNotFound, says: `greet-1.0-1.x86_64`},
		{name: "missing in one build", template: "added:f", build: 3, is: ErrNotFound, says: "added"},
		{name: "never recorded", template: "unheard:f", is: ErrNotFound, says: "lpbuild download"},
		{name: "ambiguous", template: "step:f", is: elfinfo.ErrAmbiguous, says: "step@greet2.c"},
		{name: "too short", template: "tiny:f", is: ErrNotLivepatchable, says: "function tiny: not livepatchable"},
		{name: "reference to nothing", template: "leave:f\n#nowhere:ref", is: ErrNotFound, says: "nowhere"},
		{name: "reference is thread-local", template: "leave:f\n#depth:ref", is: ErrConflict, says: "write #%"},
		{name: "reference is not thread-local", template: "leave:f\n#%secret:ref", is: ErrConflict, says: "without %"},
		{name: "import that the build lacks", template: "leave:f", build: 3, is: ErrImport, says: "unresolvable import: added",
			source: "int added(int); long ref; int f(int x) { return added(x); }"},
		{name: "import in an old version only", template: "leave:f", is: ErrImport, says: "unresolvable import: area@GREET_0.1",
			source: `__asm__(".symver a,area@GREET_0.1"); int a(int); long ref; int f(int x) { return a(x); }`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			source, template := tc.source, "fix.so\n@libgreet.so.1\n"+tc.template+"\n"
			if source == "" {
				source = "long ref[2]; int f(int x) { return x; }"
			}
			p, o := project(t, source, template)
			for _, do := range []func(context.Context, []Patch, []*elfinfo.Build, Options) ([]Outcome, error){Make, Check} {
				outcomes, err := do(t.Context(), []Patch{p}, builds, o)
				if err != nil {
					t.Fatal(err)
				}
				got := outcomes[tc.build].Err
				if !errors.Is(got, tc.is) || !strings.Contains(got.Error(), tc.says) || strings.Contains(got.Error(), "\n") {
					t.Errorf("%v, want %v saying %q in one line", got, tc.is, tc.says)
				}
			}
		})
	}
}

func TestMakeGoesOnAfterARefusal(t *testing.T) {
	builds := greetRecords(t)
	p, o := project(t, "int f(int x) { return x; }", "fix.so\n@libgreet.so.1\nadded:f\n")
	var reported int
	o.Progress = func(Outcome) { reported++ }
	outcomes, err := Make(t.Context(), []Patch{p}, builds, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, out := range outcomes {
		if out.Build != builds[i] || (out.Err != nil) != (i == 3) || (out.Container == "") != (i == 3) {
			t.Errorf("outcome %d: %+v", i, out)
		}
	}
	if reported != len(builds) {
		t.Errorf("progress told %d of %d outcomes", reported, len(builds))
	}
}

func TestRefusedBuildKeepsNoOldContainer(t *testing.T) {
	builds := greetRecords(t)[3:]
	p, o := project(t, "int f(int x) { return x; }", "fix.so\n@libgreet.so.1\nleave:f\n")
	container := mustMake(t, p, builds, o)[0].Container
	writeFile(t, p.templateFile(), "fix.so\n@libgreet.so.1\nadded:f\n")
	if _, err := Check(t.Context(), []Patch{p}, builds, o); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(container); err != nil {
		t.Errorf("check touched the container: %v", err)
	}
	if _, err := Make(t.Context(), []Patch{p}, builds, o); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(container); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the container of a refused build is still there: %v", err)
	}
}

func TestPatchErrors(t *testing.T) {
	builds := greetRecords(t)[:1]
	tests := []struct {
		name, source, template, says string
		is                           error
	}{
		{name: "replacement undefined", source: "int g(void) { return 0; }", template: "greet:f", is: ErrReplacement, says: "fix.in:3:1: replacement f is not defined in fix.c"},
		{name: "replacement static", source: "static __attribute__((used)) int f(void) { return 0; }", template: "greet:f", is: ErrReplacement, says: "not exported"},
		{name: "replacement hidden", source: `__attribute__((visibility("hidden"))) int f(void) { return 0; }`, template: "greet:f", is: ErrReplacement, says: "not exported"},
		{name: "replacement is data", source: "int f;", template: "greet:f", is: ErrReplacement, says: "no function"},
		{name: "reference variable undefined", source: "int f(void) { return 0; }", template: "greet:f\n#secret:p", is: ErrReplacement, says: "fix.in:4:1: reference variable p"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			p, o := project(t, tc.source, "fix.so\n@libgreet.so.1\n"+tc.template+"\n")
			_, err := Make(t.Context(), []Patch{p}, builds, o)
			if !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, want %v saying %q", err, tc.is, tc.says)
			}
		})
	}
}

func TestSyntaxErrorOfTheDescription(t *testing.T) {
	p, o := project(t, "int f;", "fix.so\n@libgreet.so.1\nwhat is this\n")
	var syntax *livepatch.SyntaxError
	if _, err := Make(t.Context(), []Patch{p}, nil, o); !errors.As(err, &syntax) || syntax.Line != 3 {
		t.Errorf("%v, want a syntax error in line 3", err)
	}
}

// TestReferencesAndDependencies covers what a reference may point to, and a
// patch that needs another one applied before.
func TestReferencesAndDependencies(t *testing.T) {
	builds := greetRecords(t)[:1]
	first, o := project(t, "int f(int x) { return x; }", "fix.so\n@libgreet.so.1\ngreet:f\n")
	dependency := mustMake(t, first, builds, o)[0].Container
	source := "void *fn, *at; struct { unsigned long module, offset; } ti; static char own[8]; int f(int x) { own[x] = 1; return own[0]; }"
	template := "fix.so\n*" + dependency + "\n@libgreet.so.1\nleave:f\n#step@greet2.c:fn\n#%depth:ti\n#anything:at:1234:0\n"
	p, o := project(t, source, template)
	c, err := livepatch.OpenContainer(mustMake(t, p, builds, o)[0].Container)
	if err != nil {
		t.Fatal(err)
	}
	before, err := livepatch.OpenContainer(dependency)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][32]byte{before.Apply.PatchID}, c.Apply.Depends); diff != "" {
		t.Error(diff)
	}
	step, err := builds[0].Function("step@greet2.c")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]uint64{"fn": step.Address, "ti": builds[0].Variables["depth"][0].Address, "at": 0x1234}
	for _, r := range c.Apply.References {
		if r.TargetOffset != want[r.Reference] || r.TLS != (r.Reference == "ti") {
			t.Errorf("%+v, want target offset %#x", r, want[r.Reference])
		}
	}
	if len(c.Apply.References) != len(want) {
		t.Errorf("%d references, want %d", len(c.Apply.References), len(want))
	}
}

func TestPackagesThatShareABuildID(t *testing.T) {
	b := greetRecords(t)[0]
	again, other := *b, *b
	again.NEVRA, other.NEVRA = "greet-1.0-0.x86_64", "greet-1.0-7.x86_64"
	f := b.Functions["greet"][0]
	f.Address++
	other.Functions = map[string][]elfinfo.Function{"greet": {f}}
	p, o := project(t, "int f(int x) { return x; }", "fix.so\n@libgreet.so.1\ngreet:f\n")
	outcomes, err := Make(t.Context(), []Patch{p}, []*elfinfo.Build{b, &again, &other}, o)
	if err != nil {
		t.Fatal(err)
	}
	if outcomes[0].Container == "" || outcomes[0].Container != outcomes[1].Container {
		t.Errorf("containers %q and %q, want one", outcomes[0].Container, outcomes[1].Container)
	}
	c, err := livepatch.OpenContainer(outcomes[0].Container)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"greet-1.0-0.x86_64", "greet-1.0-1.x86_64"}, c.Info.NEVRAs); diff != "" {
		t.Error(diff)
	}
	if !errors.Is(outcomes[2].Err, ErrConflict) {
		t.Errorf("same build-id, other contents: %v", outcomes[2].Err)
	}
}

func TestBytesAreDeterministic(t *testing.T) {
	builds := greetRecords(t)
	source := "#include <assert.h>\n" + greetSource + "const char *where(void) { return __FILE__ __DATE__; }\n"
	var first map[string][]byte
	for range 2 { // another folder and another cache each time
		p, o := project(t, source, greetTemplate)
		got := map[string][]byte{}
		for _, out := range mustMake(t, p, builds, o) {
			got[filepath.Base(out.Container)] = readFile(t, out.Container)
		}
		if first == nil {
			first = got
			continue
		}
		for name, data := range first {
			if !bytes.Equal(data, got[name]) {
				t.Errorf("%s differs from folder to folder", name)
			}
		}
	}
	for name, data := range first {
		if i := bytes.Index(data, []byte("/tmp/")); i >= 0 {
			t.Errorf("%s holds a path of this machine: %q", name, data[i:i+20])
		}
	}
}

func TestHostileRecords(t *testing.T) {
	good := greetRecords(t)[0]
	p, o := project(t, "int f(int x) { return x; }", "fix.so\n@libgreet.so.1\ngreet:f\n")
	for name, spoil := range map[string]func(*elfinfo.Build){
		"slash in the NEVRA":    func(b *elfinfo.Build) { b.NEVRA = "../../etc/x" },
		"no build-id":           func(b *elfinfo.Build) { b.BuildID = "" },
		"short build-id":        func(b *elfinfo.Build) { b.BuildID = "abcd" },
		"build-id not a number": func(b *elfinfo.Build) { b.BuildID = "../../../x" },
	} {
		t.Run(name, func(t *testing.T) {
			b := *good
			spoil(&b)
			outcomes, err := Make(t.Context(), []Patch{p}, []*elfinfo.Build{&b, good}, o)
			if err != nil {
				t.Fatal(err)
			}
			if outcomes[0].Err == nil || outcomes[0].Container != "" || outcomes[1].Err != nil {
				t.Errorf("%+v", outcomes)
			}
		})
	}
}
