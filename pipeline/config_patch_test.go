package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
	"github.com/lpbuild/lpbuild/versions"
)

// sameRange compares ranges of versions by their text.
var sameRange = cmp.Comparer(func(a, b versions.Range) bool { return a.String() == b.String() })

const configHead = "name: p\nversion: 1\npackage: openssl\nlibraries: [/usr/lib64/libssl.so.3]\n"

const patchesConfig = configHead + `patches:
  - plain
  - name: CVE-2024-5535
    versions: ">= 3.0, < 3.0.15"
    unless_fixed: true
    sources: [more.c, other.cpp]
    defines:
      - {versions: ">= 3.0.9", set: [NEW=1, QUIET]}
      - {set: ["TEXT=a b"]}
    devel: libopenssl-3-devel
    waive: {not-inlined: debug printers only}
`

func parseRangeText(t *testing.T, text string) versions.Range {
	t.Helper()
	r, err := versions.ParseRange(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPatchConfig(t *testing.T) {
	t.Parallel()
	got, err := ParseConfig("f", []byte(patchesConfig))
	if err != nil {
		t.Fatal(err)
	}
	want := []PatchConfig{{Name: "plain"}, {
		Name: "CVE-2024-5535", Versions: parseRangeText(t, ">= 3.0, < 3.0.15"), UnlessFixed: true,
		Sources: []string{"more.c", "other.cpp"}, Devel: "libopenssl-3-devel",
		Defines: []Define{{Versions: parseRangeText(t, ">= 3.0.9"), Set: []string{"NEW=1", "QUIET"}}, {Set: []string{"TEXT=a b"}}},
		Waive:   map[string]string{"not-inlined": "debug printers only"},
	}}
	if diff := cmp.Diff(want, got.Patches, sameRange); diff != "" {
		t.Error(diff)
	}
}

func TestPatchConfigErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, from, to string
		line           int
		contains       string
	}{
		{"unknown key", "unless_fixed:", "unless_fxied:", 8, `unknown key "unless_fxied"`},
		{"unknown key in defines", "{set:", "{macro:", 12, `unknown key "macro"`},
		{"bad range", `">= 3.0, < 3.0.15"`, `"3.0 - 3.1"`, 6, "range of versions"},
		{"bad range in defines", `">= 3.0.9"`, `"~3"`, 11, "range of versions"},
		{"no name", "name: CVE-2024-5535", `name: ""`, 6, "patches is missing"},
		{"twice", "- plain", "- CVE-2024-5535", 6, "stands there twice"},
		{"source elsewhere", "more.c", "../more.c", 9, `"../more.c" is not the name of a C or C++ file`},
		{"source of another language", "more.c", "more.rs", 9, "not the name of a C or C++ file"},
		{"option for a macro", "NEW=1", `"-I/x"`, 11, `"-I/x" is not NAME or NAME=VALUE`},
		{"nothing to set", "set: [NEW=1, QUIET]", "set: []", 11, "set is missing"},
		{"devel is a path", "libopenssl-3-devel", "../x", 13, `devel: "../x"`},
		{"a list for a name", "- plain", "- [plain]", 6, "a mapping with some of name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			src := strings.Replace(patchesConfig, tt.from, tt.to, 1)
			if src == patchesConfig {
				t.Fatalf("%q is not in the configuration", tt.from)
			}
			_, err := ParseConfig("f", []byte(src))
			var mistake *ConfigError
			if !errors.As(err, &mistake) || !strings.Contains(err.Error(), tt.contains) {
				t.Fatalf("error %v, want a ConfigError saying %q", err, tt.contains)
			}
			if d := mistake.Line - tt.line; d < -1 || d > 1 || mistake.File != "f" {
				t.Errorf("%v, want line %d or one beside it", err, tt.line)
			}
		})
	}
}

func TestConcern(t *testing.T) {
	t.Parallel()
	config, err := ParseConfig("f", []byte(patchesConfig))
	if err != nil {
		t.Fatal(err)
	}
	p := &Project{Config: *config}
	patch := Patch{
		Config:      config.Patches[1],
		Description: &livepatch.Description{Target: "libssl.so.3", Comments: []string{" CVE-2024-5535"}},
	}
	patch.Config.Devel = "" // see TestDevelHeaders
	for nevra, want := range map[string]struct {
		apart   bool
		defines string
	}{
		"libopenssl3-1:3.0.2-1.x86_64":  {defines: "TEXT=a b"},
		"libopenssl3-1:3.0.10-1.x86_64": {defines: "NEW=1|QUIET|TEXT=a b"},
		"libopenssl3-1:3.0.15-1.x86_64": {apart: true},
		"libopenssl3-1:1.1.1-1.x86_64":  {apart: true},
	} {
		b := &elfinfo.Build{NEVRA: nevra, Soname: "libssl.so.3"}
		s, err := p.NewConcern([]*elfinfo.Build{b}).selection(patch, b)
		if err != nil {
			t.Fatal(err)
		}
		if (s.Apart != "") != want.apart || strings.Join(s.Defines, "|") != want.defines {
			t.Errorf("%s: %+v", nevra, s)
		}
		if want.apart && !strings.Contains(s.Apart, ">= 3.0, < 3.0.15") {
			t.Errorf("%s: the reason %q does not name the range", nevra, s.Apart)
		}
	}
}

// TestUnlessFixed: a build whose changelog names the fix is left out, if the
// project says so.
func TestUnlessFixed(t *testing.T) {
	t.Parallel()
	patch := Patch{Description: &livepatch.Description{Target: "libssl.so.3", Comments: []string{" CVE-2024-5535"}}}
	b := &elfinfo.Build{NEVRA: "libopenssl3-3.0.2-1.x86_64", Soname: "libssl.so.3", Changelog: &elfinfo.Changelog{
		Entries:  make([]byte, elfinfo.ChangelogMark),
		Mentions: []elfinfo.Mention{{CVE: "CVE-2024-5535", Text: "- CVE-2024-5535: fix it"}},
	}}
	concern := (&Project{}).NewConcern([]*elfinfo.Build{b})
	if reason := concern.Apart(patch, b); reason != "" {
		t.Errorf("without unless_fixed: %s", reason)
	}
	patch.Config.UnlessFixed = true
	if reason := concern.Apart(patch, b); !strings.HasPrefix(reason, "fixed already: CVE-2024-5535") {
		t.Errorf("with unless_fixed: %q", reason)
	}
}

func TestSourcesOfAPatch(t *testing.T) {
	t.Parallel()
	const d = "x.so\n@/lib64/libc.so.6\nfree:free_lp\n"
	p := newProject(t, map[string]string{"one": d})
	dir := filepath.Join(p.Dir, PatchesDir, "one")
	touch := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	touch("one.cc")
	if _, err := Load(p.Dir); !errors.Is(err, ErrNoPatch) || !strings.Contains(err.Error(), "both one.c and one.cc") {
		t.Errorf("C and C++: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "one.c")); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(p.Dir, ConfigFile)
	src, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append(src, "\npatches: [{name: one, sources: [two.c]}]\n"...), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(p.Dir); !errors.Is(err, ErrNoPatch) || !strings.Contains(err.Error(), "no two.c") {
		t.Errorf("missing source: %v", err)
	}
	touch("two.c")
	if p, err = Load(p.Dir); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{filepath.Join(dir, "one.cc"), filepath.Join(dir, "two.c")}, p.Patches[0].Sources); diff != "" {
		t.Error(diff)
	}
}

// TestDevelHeaders: a build is compiled with the headers of its own version,
// out of the project, and refused if there are none.
func TestDevelHeaders(t *testing.T) {
	t.Parallel()
	p := &Project{Dir: t.TempDir()}
	tree := strings.Repeat("ab", 32)
	write := func(name, text string) {
		file := filepath.Join(p.Dir, versions.RecordsDir, "headers", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o777), os.WriteFile(file, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	write("trees/"+tree+"/usr/include/x.h", "")
	write("index.json", `{"format": 1, "packages": [{"nevra": "x-devel-1.0-1.x86_64", "tree": "`+tree+`"}]}`)
	patch := Patch{Config: PatchConfig{Devel: "x-devel"}}
	concern := p.NewConcern(nil)
	s, err := concern.selection(patch, &elfinfo.Build{NEVRA: "x-1.0-1.x86_64"})
	if err != nil || len(s.Headers) != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := os.Stat(filepath.Join(s.Headers[0], "x.h")); err != nil {
		t.Error(err)
	}
	for _, nevra := range []string{"x-1.0-2.x86_64", "x-1:1.0-1.x86_64", "x-1.0-1.i686"} {
		if _, err := concern.selection(patch, &elfinfo.Build{NEVRA: nevra}); !errors.Is(err, versions.ErrNotInStore) {
			t.Errorf("%s: %v, want %v", nevra, err, versions.ErrNotInStore)
		}
	}
	write("index.json", `{"format": 1, "packages": [{"nevra": "x-devel-1.0-1.x86_64", "tree": "../../.."}]}`)
	if _, err := p.NewConcern(nil).selection(patch, &elfinfo.Build{NEVRA: "x-1.0-1.x86_64"}); !errors.Is(err, versions.ErrUnsafePath) {
		t.Errorf("a tree outside: %v", err)
	}
}
