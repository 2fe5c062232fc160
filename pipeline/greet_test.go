package pipeline

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// greet is the library of testdata/greet as a build that shipped, unpacked in a
// folder: a store with one build in it.
type greet struct {
	dir   string
	build *elfinfo.Build
}

func (g *greet) Library(*elfinfo.Build) (string, error) {
	return filepath.Join(g.dir, "libgreet.so.1"), nil
}
func (g *greet) LibraryDir(*elfinfo.Build) (string, error) { return g.dir, nil }

// newGreet compiles the library; different notes give different build-ids.
func newGreet(t *testing.T, note string) *greet {
	t.Helper()
	g := &greet{dir: t.TempDir()}
	lib, err := g.Library(nil)
	if err != nil {
		t.Fatal(err)
	}
	gcc(t, "-shared", "-fPIC", "-O1", "-g", "-fpatchable-function-entry=16,14", "-Wl,--build-id,-soname,libgreet.so.1",
		"-DNOTE="+note, "-o", lib, "-x", "c", writeSource(t, "greet.c", "const char note[] = \""+note+"\";\n"))
	f, err := elfinfo.Open(lib)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if g.build, err = elfinfo.NewBuild(f, nil, []string{"greeting"}); err != nil {
		t.Fatal(err)
	}
	g.build.NEVRA, g.build.Package, g.build.Arch = "libgreet1-"+note+"-1.x86_64", "libgreet1", "x86_64"
	g.build.Library = "/usr/lib64/libgreet.so.1"
	return g
}

// writeSource writes a file of testdata/greet with more text at its end.
func writeSource(t *testing.T, name, more string) string {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("testdata", "greet", name))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, append(src, more...), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func gcc(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// greetPatch is the live patch of testdata/greet with a replacement of that
// text and a test program with that status and, if not "", that source.
func greetPatch(t *testing.T, replacement, program, status string) Patch {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join("testdata", "greet", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if program == "" {
		program = read("test.c")
	}
	write("test.c", strings.Replace(program, "STATUS", status, 1))
	write("patch.c", strings.Replace(read("patch.c"), "good day", replacement, 1))
	write("patch.in", read("patch.in"))
	d, err := livepatch.ParseDescription("patch.in", []byte(read("patch.in")))
	if err != nil {
		t.Fatal(err)
	}
	return Patch{
		Patch:       builder.Patch{Name: "patch", Dir: dir},
		Description: d,
		Test:        filepath.Join(dir, "test.c"),
	}
}
