package pipeline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDistOfCXX: what builds the source package must have a C++ compiler if a
// live patch has a C++ source, and only then.
func TestDistOfCXX(t *testing.T) {
	t.Parallel()
	p := farm(t, 1)
	needsCXX := func() bool {
		files, err := p.Dist(t.Context(), PackageOptions{OutDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if filepath.Ext(file) != ".spec" {
				continue
			}
			spec, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Contains(string(spec), "\nBuildRequires:  gcc-c++\n")
		}
		t.Fatalf("no spec file in %v", files)
		return false
	}
	if needsCXX() {
		t.Error("C sources need a C++ compiler")
	}
	p.Patches[0].Sources = append(p.Patches[0].Sources, filepath.Join(p.Patches[0].Dir, "more.cc"))
	if !needsCXX() {
		t.Error("C++ sources don't need a C++ compiler")
	}
}
