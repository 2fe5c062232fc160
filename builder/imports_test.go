package builder

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lpbuild/lpbuild/elfinfo"
)

func TestResolve(t *testing.T) {
	symbol := func(name, version string, def bool) elfinfo.Symbol {
		return elfinfo.Symbol{Name: name, Version: version, Default: def, Kind: "func", Binding: "global"}
	}
	imported := func(name, version, library string) elfinfo.Symbol {
		return elfinfo.Symbol{Name: name, Version: version, Library: library, Kind: "func", Binding: "global", Undefined: true}
	}
	weak := imported("maybe", "", "")
	weak.Binding = "weak"
	build := &elfinfo.Build{
		NEVRA: "n-1", Soname: "libn.so.1", Needed: []string{"libc.so.6", "libm.so.6"},
		Symbols: []elfinfo.Symbol{
			symbol("f", "N_1", false), symbol("f", "N_2", true), symbol("old", "N_1", false),
			symbol("plain", "", false), symbol("strtol", "N_1", true),
			symbol("sscanf", "N_1", true), symbol("__isoc99_sscanf", "N_2", true),
			symbol("__fxstat", "N_1", true), symbol("__lxstat", "N_1", false),
		},
		Imports: []elfinfo.Symbol{imported("malloc", "GLIBC_2.2.5", "libc.so.6"), imported("unversioned", "", ""), weak},
	}
	related := []*elfinfo.Build{
		{NEVRA: "n-1", Soname: "libm.so.6", Symbols: []elfinfo.Symbol{symbol("cos", "GLIBC_2.2.5", true)}},
		{NEVRA: "n-1", Soname: "libz.so.1", Symbols: []elfinfo.Symbol{symbol("inflate", "Z_1", true)}},
		{NEVRA: "n-2", Soname: "libm.so.6", Symbols: []elfinfo.Symbol{symbol("tan", "GLIBC_2.2.5", true)}},
	}
	tests := []struct {
		name string
		ref  undefinedSymbol
		want string // name@version of library
		// says is part of the refusal.
		says string
	}{
		{name: "default version", ref: undefinedSymbol{Name: "f"}, want: "f@N_2 of libn.so.1"},
		{name: "version asked for", ref: undefinedSymbol{Name: "f", Version: "N_1"}, want: "f@N_1 of libn.so.1"},
		{name: "no versions", ref: undefinedSymbol{Name: "plain"}, want: "plain@ of libn.so.1"},
		{name: "import of the build", ref: undefinedSymbol{Name: "malloc"}, want: "malloc@GLIBC_2.2.5 of libc.so.6"},
		{name: "import without version", ref: undefinedSymbol{Name: "unversioned"}, want: "unversioned@ of libn.so.1"},
		{name: "library that it needs", ref: undefinedSymbol{Name: "cos"}, want: "cos@GLIBC_2.2.5 of libm.so.6"},
		{name: "older name", ref: undefinedSymbol{Name: "__isoc23_strtol"}, want: "strtol@N_1 of libn.so.1"},
		{name: "best older name", ref: undefinedSymbol{Name: "__isoc23_sscanf"}, want: "__isoc99_sscanf@N_2 of libn.so.1"},
		{name: "wrapped", ref: undefinedSymbol{Name: "fstat"}, want: "__fxstat@N_1 of libn.so.1"},
		{name: "wrapped by what is only for old programs", ref: undefinedSymbol{Name: "lstat"}, says: "lstat is neither"},
		{name: "weak and absent", ref: undefinedSymbol{Name: "absent", Weak: true}},
		{name: "run-time library of the compiler", ref: undefinedSymbol{Name: "__popcountdi2"}},
		{name: "absent", ref: undefinedSymbol{Name: "absent"}, says: "absent is neither defined nor imported"},
		{name: "no such version", ref: undefinedSymbol{Name: "f", Version: "N_9"}, says: "f@N_9 is not in this build"},
		{name: "only an old version", ref: undefinedSymbol{Name: "old"}, says: "as version N_1"},
		{name: "only a weak import", ref: undefinedSymbol{Name: "maybe"}, says: "weak import"},
		{name: "older name that is absent, too", ref: undefinedSymbol{Name: "__isoc23_strtoul"}, says: "__isoc23_strtoul is neither"},
		{name: "library that it does not need", ref: undefinedSymbol{Name: "inflate"}, says: "inflate"},
		{name: "library of another package", ref: undefinedSymbol{Name: "tan"}, says: "tan"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			m := &maker{shipped: byPackage(related), libgcc: map[string]bool{"__popcountdi2": true}}
			o := &object{undefined: []undefinedSymbol{tc.ref}}
			im := newImports()
			err := m.newResolver(build, o.undefined).resolve(o, im)
			if tc.says != "" {
				if !errors.Is(err, ErrImport) || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("%v, want a refusal saying %q", err, tc.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got string
			for soname, list := range im.Libraries {
				got = list[0].Name + "@" + list[0].Version + " of " + soname
			}
			if got != tc.want {
				t.Errorf("resolved to %q, want %q", got, tc.want)
			}
		})
	}
}

func TestRenameSymbols(t *testing.T) {
	dir := t.TempDir()
	source := "int aa(void), b(void), aaa(void); int use(void) { return aa() + b() + aaa(); }\n"
	writeFile(t, dir+"/x.c", source)
	gcc(t, dir, "-c", "x.c")
	data, err := renameSymbols(readFile(t, dir+"/x.o"), map[string]string{"aa": "a_much_longer_name", "b": "aaa"})
	if err != nil {
		t.Fatal(err)
	}
	o, err := readObject(data)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, u := range o.undefined {
		got = append(got, u.Name)
	}
	if diff := cmp.Diff([]string{"a_much_longer_name", "aaa"}, got); diff != "" {
		t.Error(diff)
	}
	writeFile(t, dir+"/y.o", string(data))
	writeFile(t, dir+"/main.c", "int a_much_longer_name(void) { return 1; } int aaa(void) { return 20; } int use(void); int main(void) { return use() == 41 ? 0 : 1; }\n")
	gcc(t, dir, "-o", "main", "main.c", "y.o")
	runProgram(t, dir+"/main")
}

// TestNewerNamesOnThisLibc compiles what the headers of glibc 2.38 would make
// of strtol, for a libc that may be older.
func TestNewerNamesOnThisLibc(t *testing.T) {
	b := record(t, hostLibc(t), "glibc-host-1.x86_64", "__libc_malloc")
	hasNew := slices.ContainsFunc(b.Symbols, func(s elfinfo.Symbol) bool { return s.Name == "__isoc23_strtol" })
	source := `
long __isoc23_strtol(const char *, char **, int);
void *f(unsigned long n) { return (void *)__isoc23_strtol("12", 0, (int)n); }
`
	p, o := project(t, source, "fix.so\n@/lib64/libc.so.6\n__libc_malloc:f\n")
	_, symbols := containerImports(t, mustMake(t, p, []*elfinfo.Build{b}, o)[0].Container)
	want := []string{"strtol@GLIBC_2.2.5"}
	if hasNew {
		want = []string{"__isoc23_strtol@GLIBC_2.38"}
	}
	if diff := cmp.Diff(want, symbols); diff != "" {
		t.Error(diff)
	}
}

// TestWrappersOnThisLibc builds for this libc as it was before 2.33: without
// stat, and with __xstat for everyone.
func TestWrappersOnThisLibc(t *testing.T) {
	b := record(t, hostLibc(t), "glibc-host-1.x86_64", "__libc_malloc")
	b.Symbols = slices.DeleteFunc(b.Symbols, func(s elfinfo.Symbol) bool { return s.Name == "stat" })
	for i := range b.Symbols {
		if b.Symbols[i].Name == "__xstat" {
			b.Symbols[i].Default = true
		}
	}
	source := `
#include <sys/stat.h>
void *f(unsigned long n) { struct stat st; return stat("/", &st) ? 0 : (void *)st.st_ino; }
`
	p, o := project(t, source, "fix.so\n@/lib64/libc.so.6\n__libc_malloc:f\n")
	container := mustMake(t, p, []*elfinfo.Build{b}, o)[0].Container
	_, symbols := containerImports(t, container)
	if diff := cmp.Diff([]string{"__xstat@GLIBC_2.2.5"}, symbols); diff != "" {
		t.Error(diff)
	}
	f, err := elfinfo.Open(container)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	exported, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(exported, func(s elfinfo.Symbol) bool { return s.Name == "stat" }) {
		t.Error("the wrapper is exported")
	}
}

// TestEveryImportOfThisLibc links a container that takes the address of every
// function this machine's libc offers: real versions, real kinds.
func TestEveryImportOfThisLibc(t *testing.T) {
	b := record(t, hostLibc(t), "glibc-host-1.x86_64", "__libc_malloc")
	want := map[string]bool{}
	var source strings.Builder
	for _, s := range b.Symbols {
		if s.Default && s.Version != "GLIBC_PRIVATE" && (s.Kind == "func" || s.Kind == "ifunc") {
			want[s.Name+"@"+s.Version] = true
		}
	}
	names := slices.Sorted(maps.Keys(want))
	if len(names) < 1000 {
		t.Fatalf("this libc offers %d functions only", len(names))
	}
	for _, n := range names {
		name, _, _ := strings.Cut(n, "@")
		source.WriteString("extern char " + name + "[];\n")
	}
	source.WriteString("const void *const all[] = {\n")
	for _, n := range names {
		name, _, _ := strings.Cut(n, "@")
		source.WriteString(name + ",\n")
	}
	source.WriteString("};\nvoid *f(unsigned long n) { return (void *)all[n]; }\n")
	p, o := project(t, source.String(), "fix.so\n@/lib64/libc.so.6\n__libc_malloc:f\n")
	o.Flags = []string{"-w", "-fno-builtin"}
	needed, symbols := containerImports(t, mustMake(t, p, []*elfinfo.Build{b}, o)[0].Container)
	if diff := cmp.Diff([]string{"libc.so.6"}, needed); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(names, symbols); diff != "" {
		t.Error(diff)
	}
}
