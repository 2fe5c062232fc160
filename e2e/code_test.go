package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/e2e/fixture"
	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions"
)

// codeCases are functions of two shipped builds of one release of glibc: what
// Debian's changelog says was changed between them, and what it does not name.
var codeCases = []struct {
	older, newer    string
	changed, common []string
}{
	{
		older: "glibc-2.31-13.deb11u5.x86_64", newer: "glibc-2.31-13.deb11u11.x86_64",
		changed: []string{"_quicksort", "ffsll", "__vfprintf_internal", "__wcsnlen_avx2"},
		common:  []string{"malloc", "free", "calloc", "wordexp", "_int_memalign", "_int_malloc", "__assert_fail_base", "getaddrinfo", "qsort", "printf"},
	},
	{
		older: "glibc-2.31-13.deb11u11.x86_64", newer: "glibc-2.31-13.deb11u14.x86_64",
		changed: []string{"__assert_fail_base", "_int_memalign", "wordexp", "parse_expression"}, // CVE-2025-0395, CVE-2026-0861, CVE-2025-15281, CVE-2025-8058
		common:  []string{"malloc", "free", "calloc", "_int_malloc", "_int_free", "_quicksort", "ffsll", "__vfprintf_internal", "getaddrinfo", "qsort", "printf"},
	},
	{
		older: "glibc-2.36-9.deb12u7.x86_64", newer: "glibc-2.36-9.deb12u14.x86_64",
		changed: []string{"__assert_fail_base", "_int_memalign", "wordexp", "ffsll"},
		common:  []string{"malloc", "free", "calloc", "_int_malloc", "_int_free", "qsort", "printf"},
	},
}

// TestFactsOfShippedBuilds looks at what the records of the shipped builds of
// glibc say: which functions are the same code, what an IFUNC can be, and what
// a struct looks like.
func TestFactsOfShippedBuilds(t *testing.T) {
	needs(t, "createrepo_c")
	builds := recordGlibc(t, []string{"memcpy", "strlen", "time", "gettimeofday", "main_arena"}, []string{"struct malloc_state", "struct tm"})
	code := func(nevra, name string) string {
		f, err := builds[nevra].Function(name)
		if err != nil || f.Code == "" {
			t.Fatalf("%s in %s: no code, %v", name, nevra, err)
		}
		return f.Code
	}
	for _, tc := range codeCases {
		for _, name := range tc.changed {
			if code(tc.older, name) == code(tc.newer, name) {
				t.Errorf("%s is equal in %s and %s", name, tc.older, tc.newer)
			}
		}
		for _, name := range tc.common {
			if code(tc.older, name) != code(tc.newer, name) {
				t.Errorf("%s differs in %s and %s", name, tc.older, tc.newer)
			}
		}
	}
	for _, b := range builds {
		checkVariants(t, b)
		checkArena(t, b)
	}
}

// recordGlibc records the shipped builds of glibc, by NEVRA.
func recordGlibc(t *testing.T, names, types []string) map[string]*elfinfo.Build {
	t.Helper()
	repo, err := fixture.New(t.Context(), fixture.Options{Glibc: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range codeCases {
		names = append(append(names, tc.changed...), tc.common...)
	}
	project := t.TempDir()
	_, err = versions.Download(t.Context(), versions.Request{
		Packages: []string{"glibc"}, Arches: []string{"x86_64"}, Libraries: []string{"/lib64/libc.so.6"}, Names: names, Types: types,
		Repositories: []versions.Repository{{Name: "fixture", URL: "file://" + repo.Dir, Keys: []string{repo.KeyFile}}},
		ProjectDir:   project,
	}, versions.Options{Store: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	records, err := versions.ReadRecords(project)
	if err != nil || len(records) < 5 {
		t.Fatalf("%d builds, %v", len(records), err)
	}
	builds := make(map[string]*elfinfo.Build)
	for _, b := range records {
		builds[b.NEVRA] = b
	}
	return builds
}

// checkVariants looks for implementations that every build has.
func checkVariants(t *testing.T, b *elfinfo.Build) {
	t.Helper()
	for name, want := range map[string][]string{
		"memcpy":       {"avx_unaligned_erms", "ssse3", "evex_unaligned"},
		"strlen":       {"sse2", "avx2", "evex"},
		"time":         {"syscall"},
		"gettimeofday": {"syscall"},
	} {
		f, err := b.Function(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, suffix := range want {
			if !slices.ContainsFunc(f.Variants, func(v elfinfo.Variant) bool { return v.Resolver && strings.HasSuffix(v.Name, suffix) }) {
				t.Errorf("%s: %s has no %s among %+v", b.NEVRA, name, suffix, f.Variants)
			}
		}
	}
}

// checkArena compares the layout of a struct with that of a variable of it.
func checkArena(t *testing.T, b *elfinfo.Build) {
	t.Helper()
	arena, err := b.Variable("main_arena")
	layouts := b.TypeNames["struct malloc_state"]
	if err != nil || len(layouts) != 1 || arena.Type != layouts[0] {
		t.Fatalf("%s: main_arena is %d, struct malloc_state %v, %v", b.NEVRA, arena.Type, layouts, err)
	}
	if s := b.Types[arena.Type]; s.Size != arena.Size || len(s.Members) < 10 || b.TypesCut != "" {
		t.Errorf("%s: %+v of %d bytes, %q", b.NEVRA, s, arena.Size, b.TypesCut)
	}
}
