package elfinfo

import (
	"slices"
	"strings"
	"testing"
)

// recordOf records f of a source, in C or C++.
func recordOf(t *testing.T, source string) *Build {
	t.Helper()
	name, text := "a.c", source
	if rest, ok := strings.CutPrefix(source, "C++"); ok {
		name, text = "a.cc", rest
	}
	return record(t, library{flags: []string{"-g"}, sources: map[string]string{name: text}}, Wanted{Names: []string{"f"}})
}

func compareSources(t *testing.T, original, replacement string) Comparison {
	t.Helper()
	o, r := recordOf(t, original), recordOf(t, replacement)
	a, b := function(t, o, "f").Type, function(t, r, "f").Type
	if a == 0 || b == 0 {
		t.Fatalf("types %d and %d", a, b)
	}
	return CompareTypes(o, a, r, b)
}

func TestCompareTypes(t *testing.T) {
	for _, tc := range []struct {
		name, original, replacement string
		want                        []string
	}{
		{"same", "int f(int x) { return x; }", "int f(int other) { return other; }", nil},
		{"typedefs and qualifiers", "typedef unsigned long T; T f(const T *restrict x) { return *x; }", "unsigned long f(volatile unsigned long *y) { return *y; }", nil},
		{"enum for int", "enum e { A } ; int f(enum e x) { return x; }", "int f(unsigned x) { return x; }", nil},
		{"sign", "unsigned f(long *x) { return *x; }", "int f(unsigned long *x) { return *x; }", nil},
		{"void pointer", "struct s { int a; }; int f(struct s *x) { return x->a; }", "int f(void *x) { return !x; }", nil},
		{"incomplete", "struct s { int a; }; int f(struct s *x) { return x->a; }", "struct s; int f(struct s *x) { return !x; }", nil},
		{"renamed struct", "struct s { int a; }; int f(struct s *x) { return x->a; }", "typedef struct { int a; } mine; int f(mine *x) { return x->a; }", nil},
		{"prototype unknown", "int f() { return 1; }", "int f(int x) { return x; }", nil},
		{"cycle", "struct s { struct s *n; int a; }; int f(struct s *x) { return x->a; }", "struct s { struct s *n; int a; }; int f(struct s *x) { return x->a; }", nil},
		{"bytes for members", "struct s { long a, b; int c; }; int f(struct s *x) { return x->c; }", "struct s { long a; char unused[8]; int c; }; int f(struct s *x) { return x->c; }", nil},
		{"parameters", "int f(int x) { return x; }", "int f(int x, int y) { return x + y; }", []string{"2 parameters, not 1"}},
		{"result", "int f(void) { return 1; }", "double f(void) { return 1; }", []string{"result: double (8 bytes), not int (4 bytes)"}},
		{"no result", "int f(void) { return 1; }", "void f(void) { }", []string{"result: void, not int (4 bytes)"}},
		{"size", "int f(long x) { return x; }", "int f(short x) { return x; }", []string{"parameter 1: an integer of 2 bytes, not 8"}},
		{"variadic", "int f(int x, ...) { return x; }", "int f(int x) { return x; }", []string{"1 parameters, not a variable number of parameters"}},
		{"pointer to a number", "int f(int *x) { return *x; }", "int f(double *x) { return *x; }", []string{"parameter 1: what it points to: double (8 bytes), not int (4 bytes)"}},
		{"struct by value", "struct s { int a; }; int f(struct s x) { return x.a; }", "int f(int x) { return x; }", []string{"parameter 1: int (4 bytes), not struct s"}},
		{"offset", "struct s { int a, b; }; int f(struct s *x) { return x->b; }", "struct s { int b, a; }; int f(struct s *x) { return x->b; }",
			[]string{"parameter 1: struct s: member b is at offset 0, not 4", "parameter 1: struct s: member a is at offset 4, not 0"}},
		{"new member", "struct s { int a; int n; int b; }; int f(struct s *x) { return x->b; }", "struct s { int a, b; }; int f(struct s *x) { return x->b; }",
			[]string{"parameter 1: struct s: 8 bytes, not 12", "parameter 1: struct s: member b is at offset 4, not 8", "parameter 1: struct s: member n at offset 4, which the build has, is missing"}},
		{"far away", "struct in { long a; short b; }; struct s { struct in *deep; }; struct s *f(void) { return 0; }", "struct in { long a; int b; }; struct s { struct in *deep; }; struct s *f(void) { return 0; }",
			[]string{"result: struct s: member deep: struct in: member b: an integer of 4 bytes, not 2"}},
		{"bit-field", "struct s { int a : 3, b : 4; }; int f(struct s *x) { return x->b; }", "struct s { int a : 4, b : 3; }; int f(struct s *x) { return x->b; }",
			[]string{"parameter 1: struct s: member a is 4 bits from bit 0, not 3 bits from bit 0", "parameter 1: struct s: member b is 3 bits from bit 4, not 4 bits from bit 3"}},
		{"array", "struct s { int a[4]; }; int f(struct s *x) { return x->a[0]; }", "struct s { int a[5]; }; int f(struct s *x) { return x->a[0]; }",
			[]string{"parameter 1: struct s: 20 bytes, not 16", "parameter 1: struct s: member a: 5 elements, not 4"}},
		{"enum value", "enum e { A, B = 7 }; int f(enum e x) { return x; }", "enum e { A, B }; int f(enum e x) { return x; }", []string{"parameter 1: enum e: B is 1, not 7"}},
		{"callback", "int f(int (*c)(int, long)) { return c(1, 2); }", "int f(int (*c)(int)) { return c(1); }", []string{"parameter 1: what it points to: 1 parameters, not 2"}},
		{"member unknown to the build", "struct s { int a, b; }; int f(struct s *x) { return x->b; }", "struct s { int a, c; }; int f(struct s *x) { return x->c; }",
			[]string{"parameter 1: struct s: member c at offset 4: the build has none", "parameter 1: struct s: member b at offset 4, which the build has, is missing"}},
		{"C++ reference", `C++struct s { int a; }; extern "C" int f(s &x) { return x.a; }`, "struct s { int a; }; int f(struct s *x) { return x->a; }", nil},
		{"C++ virtual function", `C++struct s { int a; virtual int v(); }; int s::v() { return a; } extern "C" int f(s &x) { return x.v(); }`,
			`C++struct s { int a; virtual int w(); virtual int v(); }; int s::w() { return a; } extern "C" int f(s &x) { return x.v(); }`,
			[]string{"parameter 1: struct s: the virtual functions are _ZN1s1wEv, _ZN1s1vEv, not _ZN1s1vEv"}},
		{"C++ base class", `C++struct b { int z; }; struct s : b { int a; }; extern "C" int f(s *x) { return x->a; }`,
			`C++struct b { long z; }; struct s : b { int a; }; extern "C" int f(s *x) { return x->a; }`,
			[]string{"parameter 1: struct s: 16 bytes, not 8", "parameter 1: struct s: member a is at offset 8, not 4",
				"parameter 1: struct s: base class 1: struct b: 8 bytes, not 4", "parameter 1: struct s: base class 1: struct b: member z: an integer of 8 bytes, not 4"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := compareSources(t, tc.original, tc.replacement)
			if !slices.Equal(got.Differences, tc.want) || got.Unknown != nil {
				t.Errorf("got  %q\nwant %q, unknown %q", got.Differences, tc.want, got.Unknown)
			}
		})
	}
}

// What is not known is said.
func TestCompareUnknownTypes(t *testing.T) {
	b := recordOf(t, "struct s { int a; }; int f(struct s *x) { return x->a; }")
	id := function(t, b, "f").Type
	cut := *b
	cut.Types = slices.Clone(b.Types)
	for i := range cut.Types {
		if cut.Types[i].Kind == TypeStruct {
			cut.Types[i].Members, cut.Types[i].Cut = nil, true
		}
	}
	got := CompareTypes(&cut, id, b, id)
	if len(got.Differences) != 0 || !slices.Equal(got.Unknown, []string{"parameter 1: the type is not known"}) {
		t.Errorf("got %+v", got)
	}
}
