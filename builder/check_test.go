package builder

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// shapeOne and shapeTwo are the files of a library that has one thing for each
// check to find.
const (
	shapeOne = `
struct node { int tag; struct node *next; long value; };
long total;
static struct node head;
__thread long depth = 1;
__attribute__((noinline)) static int step(int x) { total += x; return (int)total * 3; }
int measure(struct node *n, long scale) { head.tag++; depth++; return (int)(n->value * scale) + step(n->tag) + head.tag; }
int plain(int x) { total++; return step(x) * 5 + 1; }
int alias(int x) __attribute__((alias("plain")));
void tiny(void) {}
static inline __attribute__((always_inline)) int copied(int x) { total += x; return x * 3 + (int)total; }
int (*keep_copied)(int) = copied;
int caller(int x) { return copied(x) + 2; }
static __attribute__((noinline)) int cloned(int x, int y) { for (int i = 0; i < x; i++) total += i * y; return (int)total; }
int (*keep_cloned)(int, int) = cloned;
int use_cloned(int x) { return cloned(x, 7) + cloned(x + 1, 7); }
__attribute__((noinline)) static int pick_old(int x) { total += x; return x * 2 + (int)total; }
__attribute__((noinline)) static int pick_new(int x) { total -= x; return x * 4 + (int)total; }
typedef int picked(int);
static picked *choose(void) { return total ? pick_old : pick_new; }
int pick(int x) __attribute__((ifunc("choose")));
int versioned_1(int x) { total++; return x + (int)total; }
__asm__(".symver versioned_1,versioned@@SHAPE_1.0");
`
	shapeTwo = `
extern long total;
__attribute__((noinline)) static int step(int x) { total -= x; return (int)total * 7; }
int other(int x) { return step(x) + 2; }
`
	shapeVersions = "SHAPE_1.0 { global: measure; plain; alias; tiny; caller; use_cloned; pick; other; versioned; total; depth; local: *; };"
)

// shape records the library.
func shape(t *testing.T, flags ...string) *elfinfo.Build {
	t.Helper()
	dir := filepath.Join(fixtures, "shape"+strings.Join(flags, " "))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"one.c": shapeOne, "two.c": shapeTwo, "shape.map": shapeVersions} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	if _, err := os.Stat(filepath.Join(dir, "libshape.so")); err != nil {
		compileShape(t, dir, flags)
	}
	f, err := elfinfo.Open(filepath.Join(dir, "libshape.so"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := elfinfo.NewRecord(f, nil, elfinfo.Wanted{
		Names: []string{"measure", "plain", "alias", "tiny", "copied", "caller", "cloned", "cloned.constprop.0", "pick", "pick_old", "pick_new", "step",
			"other", "nothing", "head", "depth", "total"},
		Types: []string{"struct node", "struct own"},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.NEVRA, b.Package, b.Arch, b.Library = "shape-1-1.x86_64", "shape", "x86_64", "/usr/lib64/libgreet.so.1"
	b.DebugSource = elfinfo.DebugLibrary
	return b
}

func compileShape(t *testing.T, dir string, flags []string) {
	t.Helper()
	gcc(t, dir, append([]string{"-shared", "-fPIC", "-O3", "-fipa-cp-clone", "-Wl,--build-id=sha1", "-Wl,-soname,libgreet.so.1",
		"-Wl,--version-script=shape.map", "-o", "libshape.so", "one.c", "two.c"}, flags...)...)
}

// checkCases has for each check a live patch that it alone finds fault with,
// and one like it that is right. A description is given by its lines after the
// target.
var checkCases = []struct {
	check                 string
	bad, badLines         string
	good, goodLines       string
	second, secondLines   string // another live patch of the set, in the bad project
	flags                 []string
	goodSecond, goodLine2 string
	// warned is what the right one is warned of all the same.
	warned []string
	// every says that the sources alone are wrong: then there are no outcomes.
	every bool
}{
	{check: checkReplacement, every: true, badLines: "plain:f", goodLines: "plain:f",
		bad: "static __attribute__((used)) int f(int x) { return x; }", good: "int f(int x) { return x; }"},
	{check: checkFunction, badLines: "nothing:f", goodLines: "plain:f", bad: "int f(int x) { return x; }"},
	{check: checkUnique, badLines: "step:f", goodLines: "step@two.c:f", bad: "int f(int x) { return x; }"},
	{check: checkLivepatchable, badLines: "tiny:f", goodLines: "plain:g", bad: "void f(void) {} int g(int x) { return x; }"},
	{check: checkIndirect, badLines: "pick:f", goodLines: "pick_old:f\npick_new:g", bad: "int f(int x) { return x; } int g(int x) { return x; }"},
	{check: checkVariants, badLines: "pick_new:f", goodLines: "pick_old:f\npick_new:g", bad: "int f(int x) { return x; } int g(int x) { return x; }"},
	{check: checkReference, badLines: "plain:f\n#nothing:ref", goodLines: "plain:f\n#head:ref", bad: "struct node; struct node *ref; int f(int x) { return x + (ref != 0); }"},
	{check: checkRefKind, badLines: "plain:f\n#depth:ref", goodLines: "plain:f\n#%depth:ref", bad: "long ref[2]; int f(int x) { return x; }"},
	{check: checkRefType, badLines: "plain:f\n#total:ref", goodLines: "plain:f\n#total:ref",
		bad: "int *ref; int f(int x) { return *ref; }", good: "long *ref; int f(int x) { return *ref; }"},
	{check: checkOverlap, badLines: "plain:f\nalias:g", goodLines: "plain:f\nother:g", bad: "int f(int x) { return x; } int g(int x) { return x; }"},
	{check: checkSymbols, badLines: "plain:f", goodLines: "plain:f", bad: "int helper(int x) { return x; } int f(int x) { return helper(x); }",
		second: "int helper(int x) { return x; } int g(int x) { return helper(x); }", secondLines: "other:g",
		goodSecond: "static int helper(int x) { return x; } int g(int x) { return helper(x); }", goodLine2: "other:g"},
	{check: checkPrototype, badLines: "plain:f", goodLines: "plain:f", bad: "int f(int x, int y) { return x + y; }", good: "int f(int x) { return x; }"},
	{check: checkLayout, badLines: "plain:f", goodLines: "plain:f",
		bad:  "struct node { int tag; long value; }; static struct node n; int f(int x) { n.value += x; return n.tag + (int)n.value; }",
		good: "struct node { int tag; struct node *next; long value; }; static struct node n; int f(int x) { n.value += x; return n.tag + (int)n.value; }"},
	{check: checkInlined, badLines: "copied:f", goodLines: "copied:f\ncaller:g", bad: "int f(int x) { return x; } int g(int x) { return f(x); }"},
	{check: checkClones, badLines: "cloned:f", goodLines: "cloned:f\ncloned.constprop.0:g", bad: "int f(int x, int y) { return x + y; } int g(int x) { return x; }",
		warned: []string{checkDebug}},
	{check: checkDebug, flags: []string{"-g0"}, badLines: "plain:f", bad: "int f(int x) { return x; }", goodLines: "plain:f"},
	{check: checkImport, badLines: "plain:f", goodLines: "plain:f", bad: "int unheard(int); int f(int x) { return unheard(x); }", good: "extern long total; int f(int x) { return x + total; }"},
	{check: checkVersion, badLines: "plain:f", goodLines: "plain:f",
		bad:  `__asm__(".symver v,versioned@SHAPE_2.0"); int v(int); int f(int x) { return v(x); }`,
		good: `__asm__(".symver v,versioned@SHAPE_1.0"); int v(int); int f(int x) { return v(x); }`},
	{check: checkText, badLines: "plain:f", goodLines: "plain:f",
		bad:  `__asm__(".text\n.globl at\nat: .quad f\n"); int f(int x) { return x; }`,
		good: `__asm__(".data\n.globl at\nat: .quad f\n.text\n"); int f(int x) { return x; }`},
	{check: checkTLS, badLines: "plain:f", goodLines: "plain:f", bad: "static __thread int own; int f(int x) { return x + own++; }", good: "static int own; int f(int x) { return x + own++; }"},
	{check: checkIFUNC, badLines: "plain:f", goodLines: "plain:f",
		bad:  `static int a(int x) { return x; } static void *choose(void) { return a; } int fast(int) __attribute__((ifunc("choose"))); int f(int x) { return fast(x); }`,
		good: `static int fast(int x) { return x; } int f(int x) { return fast(x); }`},
	{check: checkStack, badLines: "plain:f", goodLines: "plain:f",
		bad:  `__asm__(".section .note.GNU-stack,\"x\",@progbits\n.text\n"); int f(int x) { return x; }`,
		good: "int f(int x) { return x; }"},
	{check: checkStart, badLines: "plain:f", goodLines: "plain:f",
		bad:  "static int own; __attribute__((constructor)) static void begin(void) { own = 1; } int f(int x) { return x + own; }",
		good: "static int own = 1; int f(int x) { return x + own; }"},
}

// TestChecks: each check refuses, or warns of, the one live patch that breaks
// its rule, and no other check says anything about it; the one like it passes all.
func TestChecks(t *testing.T) {
	tried := map[string]bool{}
	for _, tc := range checkCases {
		tried[tc.check] = true
		t.Run(tc.check, func(t *testing.T) {
			rule, ok := FindRule(tc.check)
			if !ok {
				t.Fatal("no such rule")
			}
			if tc.good == "" {
				tc.good = tc.bad
			}
			good, err := checkProject(t, tc.good, tc.goodLines, tc.goodSecond, tc.goodLine2)
			for _, o := range good {
				if o.Err != nil || !slices.Equal(checkNames(o.Findings), tc.warned) {
					t.Errorf("the right one: %v, findings %v", o.Err, o.Findings)
				}
			}
			if err != nil || len(good) == 0 {
				t.Fatal(err)
			}
			bad, err := checkProject(t, tc.bad, tc.badLines, tc.second, tc.secondLines, tc.flags...)
			if tc.every {
				if CheckOf(err) != tc.check {
					t.Errorf("check %q: %v", CheckOf(err), err)
				}
				return
			}
			if err != nil || len(bad) == 0 {
				t.Fatal(err)
			}
			for _, o := range bad {
				refused := rule.Severity == Refuse
				if (CheckOf(o.Err) == tc.check) != refused || (o.Err != nil) != refused || (o.Container == "") != refused {
					t.Errorf("check %q: %v, container %q", CheckOf(o.Err), o.Err, o.Container)
				}
				if names := checkNames(o.Findings); !slices.Equal(names, []string{tc.check}) {
					t.Errorf("findings %v", o.Findings)
				}
			}
		})
	}
	for _, r := range Rules() {
		if !tried[r.Name] {
			t.Errorf("no case for the check %s", r.Name)
		}
		if r.Why == "" || r.Text == "" || strings.HasSuffix(r.Text, ".") || r.Waive != "" && r.Severity == Warn {
			t.Errorf("%s is not explained, or a warning is to be waived: %+v", r.Name, r)
		}
	}
}

func checkNames(findings []Finding) []string {
	var names []string
	for _, f := range findings {
		names = append(names, f.Check)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// checkProject makes the container of the library's build, with one live patch
// or two.
func checkProject(t *testing.T, source, lines, second, secondLines string, flags ...string) ([]Outcome, error) {
	t.Helper()
	if len(flags) == 0 {
		flags = []string{"-g"}
	}
	const head = "fix.so\n@libgreet.so.1\n"
	p, o := project(t, source, head+lines+"\n")
	p.Types, p.Waive = []string{"struct node"}, nil
	patches := []Patch{p}
	if second != "" {
		patches = append(patches, addPatch(t, p, "other", second, head+secondLines+"\n"))
	}
	return Make(t.Context(), patches, []*elfinfo.Build{shape(t, flags...)}, o)
}

// TestWaivers: a project's reason lets a waivable finding pass, and stands
// beside it.
func TestWaivers(t *testing.T) {
	p, o := project(t, "int f(int x) { return x; }", "fix.so\n@libgreet.so.1\ncopied:f\n")
	p.Waive = map[string]string{checkInlined: "the caller is a test"}
	builds := []*elfinfo.Build{shape(t, "-g")}
	for range 2 { // the second time from the cache
		out := mustMake(t, p, builds, o)[0]
		want := []Finding{{checkInlined, Refuse, "function copied is also inlined into caller@one.c: these keep the old code", "the caller is a test"}}
		if diff := cmp.Diff(want, out.Findings); diff != "" || out.Container == "" {
			t.Error(out.Container, diff)
		}
	}
	for reasons, wrong := range map[[2]string]string{
		{checkInlined, "fine"}: "", {checkInlined, " "}: "needs a reason", {checkInlined, "two\nlines"}: "needs a reason",
		{"inlining", "x"}: `no check is named "inlining"`, {checkTLS, "x"}: "cannot be waived",
	} {
		err := CheckWaivers(map[string]string{reasons[0]: reasons[1]})
		if got := fmt.Sprint(err); (err != nil) != (wrong != "") || !strings.Contains(got, wrong) {
			t.Errorf("%q: %v, want %q", reasons, err, wrong)
		}
	}
}

// TestUnrecordedType: a layout that nobody looked up is not taken for right.
func TestUnrecordedType(t *testing.T) {
	p, o := project(t, "struct fresh { int a; }; static struct fresh n; int f(int x) { return n.a += x; }", "fix.so\n@libgreet.so.1\nplain:f\n")
	p.Types = []string{"struct fresh"}
	outcomes, err := Make(t.Context(), []Patch{p}, []*elfinfo.Build{shape(t, "-g")}, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := outcomes[0].Err; err == nil || !strings.Contains(err.Error(), "type struct fresh: not recorded for this build: run lpbuild download") {
		t.Error(err)
	}
}

// TestTypesThatWereCut: what a record leaves out of a type is not taken for alike.
func TestTypesThatWereCut(t *testing.T) {
	const source = "struct node { int tag; long value; }; static struct node n; int f(int x) { n.value += x; return n.tag + (int)n.value; }"
	for name, cut := range map[string]func(b *elfinfo.Build){
		"a type": func(b *elfinfo.Build) { b.Types[b.TypeNames["struct node"][0]].Cut = true },
		"all that are left": func(b *elfinfo.Build) {
			b.TypeNames["struct node"], b.TypesCut = []elfinfo.TypeID{}, "more types than a record holds"
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, o := project(t, source, "fix.so\n@libgreet.so.1\nplain:f\n")
			p.Types = []string{"struct node"}
			b := shape(t, "-g")
			cut(b)
			out := mustMake(t, p, []*elfinfo.Build{b}, o)[0]
			if names := checkNames(out.Findings); !slices.Equal(names, []string{checkDebug}) {
				t.Errorf("findings %v", out.Findings)
			}
		})
	}
}
