package elfinfo

import (
	"slices"
	"strings"
	"testing"
)

// kinds are the kinds and names of a function's clones.
func kinds(f *Function) (all []string) {
	for _, c := range f.Clones {
		text := c.Kind + " " + plainName(c.Name)
		if c.Reached {
			text += " reached"
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return all
}

// A clone with a constant argument is a copy that patching the function misses.
func TestClones(t *testing.T) {
	const constprop = `
		int sink;
		static __attribute__((noinline)) int odd(int x, int y) {
			for (int i = 0; i < x; i++) sink += i * y;
			return sink;
		}
		int (*keep)(int, int) = odd;
		int use(int x) { return odd(x, 7) + odd(x + 1, 7); }`
	const cold = `
		extern void fail(const char *, int) __attribute__((cold, noreturn));
		int odd(int *x, int n) { int s = 0; for (int i = 0; i < n; i++) { if (x[i] < 0) fail("x", i); s += x[i]; } return s; }`
	const part = `
		extern int work(int), more(int);
		static int odd(int x) {
			if (__builtin_expect(x < 5, 1)) return x;
			for (int i = 0; i < 9; i++) x = work(x) + more(x) * 3;
			if (x < 7) { x += work(x) * 7; more(x + work(2)); }
			return x;
		}
		int (*keep)(int) = odd;
		int use(int x) { return odd(x + 1) * 2; }
		int other(int x) { return odd(x - 1) * 3; }`
	for _, tc := range []struct {
		name, source string
		flags        []string
		want         []string
	}{
		{"constprop", constprop, []string{"-O3", "-fipa-cp-clone"}, []string{"constprop odd.constprop"}},
		{"cold", cold, []string{"-freorder-blocks-and-partition"}, []string{"cold odd.cold reached"}},
		{"part", part, []string{"-fpartial-inlining"}, []string{"part odd.part"}},
	} {
		for _, g := range []string{"-g", "-g0"} {
			t.Run(tc.name+g, func(t *testing.T) {
				b := build(t, library{source: tc.source, flags: append(tc.flags, g)}, "odd")
				f := function(t, b, "odd")
				if got := kinds(f); !slices.Equal(got, tc.want) {
					t.Errorf("clones %q, want %q", got, tc.want)
				}
				for _, holder := range f.InlinedInto {
					if strings.HasPrefix(holder, "odd") {
						t.Errorf("inlined into %q", f.InlinedInto)
					}
				}
				encode(t, b)
			})
		}
	}
}

// Clones of a function of the same name in another file are not its own.
func TestClonesOfTheSameName(t *testing.T) {
	source := func(i string) string {
		return `extern int sink` + i + `; int sink` + i + `;
		static __attribute__((noinline)) int odd(int x, int y) { for (int i = 0; i < x; i++) sink` + i + ` += i * y; return sink` + i + `; }
		int (*keep` + i + `)(int, int) = odd;
		int use` + i + `(int x) { return odd(x, 7) + odd(x + 1, 7); }`
	}
	b := build(t, library{sources: map[string]string{"one.c": source("1"), "two.c": source("2")}, flags: []string{"-O3", "-fipa-cp-clone"}}, "odd")
	one, two := function(t, b, "odd@one.c"), function(t, b, "odd@two.c")
	if len(one.Clones) != 1 || len(two.Clones) != 1 || one.Clones[0].Address == two.Clones[0].Address {
		t.Errorf("%+v and %+v", one.Clones, two.Clones)
	}
}

// What is inlined into a function that itself is inlined is where that one is.
func TestInlinedThroughOthers(t *testing.T) {
	b := build(t, library{flags: []string{"-g"}, sources: map[string]string{
		"a.c": `
			int sink;
			static inline __attribute__((always_inline)) int deep(int x) { sink++; return x * 3; }
			static inline __attribute__((always_inline)) int middle(int x) { return deep(x) + 1; }
			static int outer(int x) { return middle(x) * middle(x + 1); }
			int (*keep)(int) = deep;
			int first(int x) { return middle(x); }
			int second(int x) { return outer(x); }`,
		"b.c": `static int first(int x) { return x; } int third(int x) { return first(x); }`,
	}}, "deep")
	got := function(t, b, "deep").InlinedInto
	if !slices.Equal(got, []string{"first@a.c", "second@a.c"}) {
		t.Errorf("deep is inlined into %q", got)
	}
}

func TestVariantsOfIndirectFunction(t *testing.T) {
	const source = `
		#define V(n) __attribute__((noinline)) static int n(int x) { return x * 3 + __LINE__; }
		int can;
		V(__work_sse2)
		V(__work_avx2)
		V(__work_generic)
		V(plain)
		V(unrelated)
		V(chosen)
		static int __work_evex(int x) { return x + 9; }
		int (*keep_evex)(int) = __work_evex;
		typedef int fn(int);
		static fn *select_work(void) { if (can == 2) return __work_avx2; return can ? __work_sse2 : __work_generic; }
		int work(int) __attribute__((ifunc("select_work")));
		static fn *const table[] = {plain, chosen};
		static fn *select_table(void) { return table[can & 1]; }
		int by_table(int) __attribute__((ifunc("select_table")));
		static __attribute__((noinline)) int features(void) { return (long)unrelated & can; }
		static fn *select_asking(void) { return features() ? plain : __work_sse2; }
		int by_feature(int) __attribute__((ifunc("select_asking")));
		static __attribute__((noinline)) fn *helper(int x) { __asm__ volatile(""); return x ? chosen : plain; }
		static fn *select_helped(void) { fn *f = helper(can + 1); __asm__ volatile(""); return f; }
		int by_helper(int) __attribute__((ifunc("select_helped")));
		int alone(int x) { return x; }`
	b := build(t, library{source: source, flags: []string{"-Wl,-Bsymbolic"}}, "work", "by_table", "by_feature", "by_helper", "__work_avx2", "plain", "alone")
	encode(t, b)
	for name, want := range map[string][]string{
		"work":        {"__work_avx2", "__work_evex?", "__work_generic", "__work_sse2"},
		"by_table":    {"chosen", "plain"},
		"by_feature":  {"__work_sse2", "plain"},
		"by_helper":   {"chosen", "plain"},
		"__work_avx2": {"__work_avx2", "__work_evex?", "__work_generic", "__work_sse2"},
		"plain":       {"__work_sse2", "chosen", "plain"},
		"alone":       nil,
	} {
		if got := variantNames(function(t, b, name)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := function(t, b, "plain").Indirect; !slices.Equal(got, []string{"by_feature", "by_helper", "by_table"}) {
		t.Errorf("plain is chosen for %q", got)
	}
	if got := function(t, b, "alone").Indirect; got != nil {
		t.Errorf("alone is chosen for %q", got)
	}
}

func variantNames(f *Function) (names []string) {
	for _, v := range f.Variants {
		name := v.Name
		if !v.Resolver {
			name += "?"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
