package versions

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/rpmpack"
)

// TestHeaders: each build has the headers of its own version, verified; equal
// ones are kept once, and nothing is fetched twice.
func TestHeaders(t *testing.T) {
	l := newLab(t, "1.0", "1.1", "1.2")
	other := newKey(t)
	header := func(text string) []rpmpack.RPMFile {
		return []rpmpack.RPMFile{
			{Name: "/usr/include/demo/demo.h", Body: []byte(text), Mode: 0o100644},
			{Name: "/usr/include/demo.h", Body: []byte("demo/demo.h"), Mode: 0o120777},
			{Name: "/usr/include/passwd.h", Body: []byte("/etc/passwd"), Mode: 0o120777},
			{Name: "/usr/share/doc/demo", Body: []byte("text"), Mode: 0o100644},
		}
	}
	l.pkg("demo-devel", "1.0", l.key, header("int demo(int);\n")...)
	l.pkg("demo-devel", "1.1", l.key, header("int demo(int);\n")...)
	l.index()
	l.download("demo")
	devel := []string{"demo-devel"}
	if err := DownloadHeaders(t.Context(), l.request("demo"), devel, l.options()); err != nil {
		t.Fatal(err)
	}
	h, err := ReadHeaders(l.project)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := ReadLock(l.project)
	if err != nil {
		t.Fatal(err)
	}
	dirs := map[string]bool{}
	for _, b := range lock.Builds {
		dir, err := h.Include("demo-devel", b.NEVRA)
		if b.NEVRA == "demo-1.2-1.x86_64" {
			if !errors.Is(err, ErrNotInStore) {
				t.Errorf("%s has no headers in the repository: %v", b.NEVRA, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		dirs[dir] = true
		for _, name := range []string{"demo/demo.h", "demo.h"} {
			if data, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(data) != "int demo(int);\n" {
				t.Errorf("%s: %q, %v", name, data, err)
			}
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
			t.Errorf("%v, %v: want demo and demo.h alone", entries, err)
		}
	}
	if len(dirs) != 1 {
		t.Errorf("equal headers are in %v", dirs)
	}
	l.packageRequests()
	if err := DownloadHeaders(t.Context(), l.request("demo"), devel, l.options()); err != nil {
		t.Fatal(err)
	}
	if n := l.packageRequests(); n != 0 {
		t.Errorf("%d packages were fetched again", n)
	}
	// A package that nobody trusted signed.
	l.pkg("demo-devel", "1.2", other, header("int demo(long);\n")...)
	l.index()
	if err := DownloadHeaders(t.Context(), l.request("demo"), devel, l.options()); !errors.Is(err, ErrUntrustedKey) {
		t.Errorf("signed by somebody else: %v", err)
	}
}
