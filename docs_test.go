package lpbuild_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestEveryPackageIsInArchitecture(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages(t) {
		if !strings.Contains(string(text), "| `"+p.ImportPath+"` |") {
			t.Errorf("ARCHITECTURE.md has no row that begins with | `%s` |", p.ImportPath)
		}
	}
}

// A folder that is gone, or was never there, must not be in the table either.
func TestArchitectureNamesOnlyWhatIsThere(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, "| `")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, "`")
		rows++
		if _, err := os.Stat(filepath.FromSlash(name)); err != nil {
			t.Error(err)
		}
	}
	if rows == 0 {
		t.Error("ARCHITECTURE.md has no table of folders")
	}
}

// Direct dependencies are those that some package or test imports; after go mod tidy, the same as in go.mod.
func TestEveryDependencyIsExplained(t *testing.T) {
	imported := make(map[string]bool)
	for _, p := range packages(t) {
		for _, i := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if first, _, _ := strings.Cut(i, "/"); strings.Contains(first, ".") && !strings.HasPrefix(i, module) {
				imported[i] = true
			}
		}
	}
	args := append([]string{"list", "-f", "{{.Module.Path}}"}, slices.Sorted(maps.Keys(imported))...)
	out, err := exec.CommandContext(t.Context(), "go", args...).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	want := slices.Sorted(slices.Values(strings.Fields(string(out))))
	text, err := os.ReadFile(filepath.Join("docs", "dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok {
			name, _, _ := strings.Cut(rest, "`")
			got = append(got, name)
		}
	}
	for _, m := range slices.Compact(want) {
		if !slices.Contains(got, m) {
			t.Errorf("docs/dependencies.md does not say why there is %s", m)
		}
	}
	for _, m := range got {
		if !slices.Contains(want, m) {
			t.Errorf("docs/dependencies.md explains %s, which nothing imports", m)
		}
	}
	if len(want) == 0 {
		t.Error("no dependencies found")
	}
}
