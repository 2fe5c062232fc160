package elfinfo

import (
	"debug/elf"
	"os"
	"path/filepath"
	"testing"
)

// TestNewBuildOfPrograms: a program's functions are recorded like a library's,
// whether it is position independent or lies where it was linked.
func TestNewBuildOfPrograms(t *testing.T) {
	dir := t.TempDir()
	source, path := filepath.Join(dir, "a.c"), filepath.Join(dir, "program")
	text := "volatile int n; int f(int x) { return x * 3 + n; } int main(void) { return f(1); }"
	if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string]elf.Type{"-pie": elf.ET_DYN, "-no-pie": elf.ET_EXEC} {
		run(t, "gcc", "-O2", "-fcf-protection=none", kind, "-Wl,--build-id=sha1", "-o", path, source)
		file := open(t, path)
		if file.Header().Type != want {
			t.Fatalf("%s: a file of type %v", kind, file.Header().Type)
		}
		b, err := NewBuild(file, nil, []string{"f"})
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if f, err := b.Function("f"); err != nil || f.Entry.Kind != EntryStock || b.Soname != "program" {
			t.Errorf("%s: %+v of %s, %v", kind, f, b.Soname, err)
		}
	}
}
