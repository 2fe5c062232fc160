package builder

import (
	"strings"
	"testing"
)

func TestPrototypeDifference(t *testing.T) {
	tests := []struct{ name, original, replacement, want string }{
		{name: "equal", original: "void *malloc(size_t bytes)", replacement: "void *malloc_lp(size_t bytes)"},
		{name: "names of parameters", original: "int f(int a, char *b)", replacement: "int f_lp(int x, char *)"},
		{name: "other words for the same", original: "long int f(size_t n)", replacement: "ssize_t g(unsigned long n)"},
		{name: "qualifiers", original: "int f(const char *a, const int b)", replacement: "int g(char *a, int b)"},
		{name: "pointers to other things", original: "int f(struct file *a)", replacement: "int g(void *a)"},
		{name: "array for pointer", original: "int f(char *a)", replacement: "int g(char a[4])"},
		{name: "a typedef of its own", original: "void f(INTERNAL_SIZE_T n)", replacement: "void g(int n)"},
		{name: "unknown prototype", original: "", replacement: "int g(int x)"},
		{name: "fewer parameters", original: "int f(int a, int b)", replacement: "int g(int a)", want: "1 parameters, not 2"},
		{name: "no parameters", original: "int f(int a)", replacement: "int g(void)", want: "0 parameters, not 1"},
		{name: "variadic", original: "int f(const char *a, ...)", replacement: "int g(const char *a)", want: "1 parameters, not 2"},
		{name: "variadic instead of a value", original: "int f(int a, ...)", replacement: "int g(int a, int b)", want: `parameter 2 is "int b", not "..."`},
		{name: "narrower", original: "void f(size_t n)", replacement: "void g(unsigned int n)", want: `parameter 1 is "unsigned int n", not "size_t n"`},
		{name: "number for pointer", original: "void f(void *p)", replacement: "void g(long p)", want: "parameter 1"},
		{name: "float for double", original: "double f(double x)", replacement: "double g(float x)", want: "parameter 1"},
		{name: "result", original: "void *f(void)", replacement: "int g(void)", want: `it returns "int", not "void *"`},
		{name: "function pointer as parameter", original: "int f(int (*cb)(int, int), long n)", replacement: "int g(int (*cb)(int), int n)", want: "parameter 2"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := prototypeDifference(tc.original, tc.replacement)
			if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func FuzzPrototypeDifference(f *testing.F) {
	for _, s := range []string{"void *malloc(size_t bytes)", "int f(int (*cb)(int, int), ...)", "int (*f(void))(int)", "f(", ")(", ""} {
		f.Add(s, "int g(int x)")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if d := prototypeDifference(a, a); d != "" {
			t.Errorf("%q differs from itself: %s", a, d)
		}
		if (prototypeDifference(a, b) == "") != (prototypeDifference(b, a) == "") {
			t.Errorf("%q and %q differ in one direction only", a, b)
		}
	})
}
