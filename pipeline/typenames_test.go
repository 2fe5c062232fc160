package pipeline

import (
	"slices"
	"testing"
)

func TestDeclaredTypes(t *testing.T) {
	got := declaredTypes([]byte(`
		#include <stdio.h>
		/* struct commented { int x; }; */ // typedef int remarked;
		struct chunk { unsigned long size; struct chunk *next; };
		typedef struct { int a; } unnamed;
		typedef struct arena arena_t, *arena_p;
		typedef unsigned long INTERNAL_SIZE_T;
		typedef char buffer[16];
		union __attribute__((packed)) either { int i; };
		enum color { RED };
		enum class kind : char { A };
		class thing final : public base { int x; };
		static const char *text = "struct quoted { int x; };";
		struct declared;
		int f(struct chunk *c) { struct local { int n; } l = {1}; return l.n; }`))
	slices.Sort(got)
	for _, want := range []string{"struct chunk", "unnamed", "arena_p", "INTERNAL_SIZE_T", "buffer", "union either", "enum color", "enum kind", "struct thing", "struct local"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing from %q", want, got)
		}
	}
	for _, name := range got {
		if slices.Contains([]string{"struct commented", "remarked", "struct quoted", "struct declared"}, name) {
			t.Errorf("%s is none", name)
		}
	}
}
