package pipeline

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/examples"
	"github.com/lpbuild/lpbuild/livepatch"
)

// TestExamples: a project made from each example is whole and says what its
// test program prints.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, name := range examples.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "p")
			if _, err := Init(dir, InitOptions{Example: name}); err != nil {
				t.Fatal(err)
			}
			p, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Patches) == 0 {
				t.Error("no live patch")
			}
			for _, patch := range p.Patches {
				if patch.Test == "" || patch.Expect.Before == "" || patch.Expect.After == "" {
					t.Errorf("%+v", patch)
				}
				if warnings := patch.Description.Warnings; len(warnings) > 0 {
					t.Errorf("warnings: %v", warnings)
				}
			}
		})
	}
}

func newProject(t *testing.T, patches map[string]string) *Project {
	t.Helper()
	dir := t.TempDir()
	if _, err := Init(dir, InitOptions{Name: "p"}); err != nil {
		t.Fatal(err)
	}
	for name, description := range patches {
		sub := filepath.Join(dir, PatchesDir, name)
		if err := os.MkdirAll(sub, 0o777); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{name + ".c": "", name + ".in": description} {
			if err := os.WriteFile(filepath.Join(sub, file), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProjectSymbolNames(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"one": "one.so\n@/lib64/libc.so.6\nfree:free_lp\n#%tcache:ti\n",
		"two": "two.so\n@/lib64/libc.so.6\nfree:free_lp\nsystrim@malloc.c:systrim_lp\n",
	})
	if diff := cmp.Diff([]string{"free", "systrim@malloc.c", "tcache"}, p.SymbolNames()); diff != "" {
		t.Error(diff)
	}
}

func TestProjectSelect(t *testing.T) {
	t.Parallel()
	const d = "x.so\n@/lib64/libc.so.6\nfree:free_lp\n"
	p := newProject(t, map[string]string{"one": d, "two": d, "three": d})
	if err := p.Select([]string{"four"}); !errors.Is(err, ErrNoPatch) {
		t.Errorf("error %v, want %v", err, ErrNoPatch)
	}
	if err := p.Select(nil); err != nil || len(p.Patches) != 3 || p.selected {
		t.Errorf("%v, %d patches", err, len(p.Patches))
	}
	if err := p.Select([]string{"two"}); err != nil || len(p.Patches) != 1 || p.Patches[0].Name != "two" || !p.selected {
		t.Errorf("%v, %+v", err, p.Patches)
	}
}

func TestTargets(t *testing.T) {
	t.Parallel()
	records := []*elfinfo.Build{
		{Library: "/lib64/libc-2.31.so", Soname: "libc.so.6"},
		{Library: "/lib64/libm.so.6", Soname: "libm.so.6"},
		{Library: "/lib64/libc.so.6", Soname: "libc.so.6"},
	}
	tests := []struct {
		target string
		want   int
	}{
		{"/lib64/libc.so.6", 2},
		{"libm.so.6", 1},
		{"/usr/lib64/libc-2.31.so", 1},
		{"/lib64/libz.so.1", 0},
	}
	for _, tt := range tests {
		if got := targets(Patch{Description: &livepatch.Description{Target: tt.target}}, records); len(got) != tt.want {
			t.Errorf("%s: %d builds, want %d", tt.target, len(got), tt.want)
		}
	}
}

// TestInitKeepsEverything: a file in the way stops it before anything is written.
func TestInitKeepsEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	readme := filepath.Join(dir, "README.md")
	if err := os.WriteFile(readme, []byte("mine"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Init(dir, InitOptions{Name: "p"}); !errors.Is(err, ErrExists) {
		t.Errorf("error %v, want %v", err, ErrExists)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestInitKeys: two keys may not become one.
func TestInitKeys(t *testing.T) {
	t.Parallel()
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "key.asc")
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return file
	}
	a, b := write("a"), write("b")
	opts := InitOptions{Name: "p", Repositories: []Repository{{Name: "1", URL: "file:///1", Keys: []string{a}}, {Name: "2", URL: "file:///2", Keys: []string{b}}}}
	if _, err := Init(filepath.Join(t.TempDir(), "p"), opts); err == nil {
		t.Error("accepted two keys of one name")
	}
	opts.Repositories[1].Keys = []string{a}
	dir := filepath.Join(t.TempDir(), "p")
	if _, err := Init(dir, opts); err != nil {
		t.Fatal(err)
	}
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"keys/key.asc"}, p.Repositories[1].Keys); diff != "" {
		t.Error(diff)
	}
	if opts.Repositories[0].Keys[0] != a {
		t.Error("the caller's options were changed")
	}
}
