package elfinfo

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tool is the path of a program; without it the test is skipped, or fails under CI=true.
func tool(t testing.TB, name string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil {
		missing(t, "%s is not installed", name)
	}
	return p
}

func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(tool(t, name), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// library is a shared library to be compiled.
type library struct {
	sources map[string]string // by file name; default a.c
	source  string            // of a.c
	flags   []string
}

// compile builds a library and returns its path. Everything it needs that is
// not a source (a version script) can be among the sources too.
func compile(t testing.TB, l library) string {
	t.Helper()
	dir := t.TempDir()
	if l.sources == nil {
		l.sources = map[string]string{"a.c": l.source}
	}
	compiler, out := "gcc", filepath.Join(dir, "libtest.so.1")
	args := []string{"-shared", "-fPIC", "-O2", "-fcf-protection=none", "-Wl,-soname,libtest.so.1", "-Wl,--build-id=sha1", "-nostartfiles", "-o", out}
	for name, text := range l.sources {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if ext := filepath.Ext(name); ext == ".c" || ext == ".S" || ext == ".cc" {
			args = append(args, path)
		}
		if filepath.Ext(name) == ".cc" {
			compiler = "g++"
		}
	}
	for _, f := range l.flags {
		args = append(args, strings.ReplaceAll(f, "$DIR", dir))
	}
	run(t, compiler, args...)
	return out
}

func open(t testing.TB, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// build records names of a library that has its own symbols and debug information.
func build(t testing.TB, l library, names ...string) *Build {
	t.Helper()
	b, err := NewBuild(open(t, compile(t, l)), nil, names)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func function(t testing.TB, b *Build, name string) *Function {
	t.Helper()
	f, err := b.Function(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newFile is NewFile for bytes.
func newFile(b []byte) (*File, error) {
	return NewFile("test", bytes.NewReader(b), int64(len(b)))
}

// libcPath is the C library of this machine.
func libcPath(t testing.TB) string {
	t.Helper()
	out, err := exec.Command(tool(t, "gcc"), "-print-file-name=libc.so.6").Output()
	path := strings.TrimSpace(string(out))
	if err != nil || !filepath.IsAbs(path) {
		missing(t, "gcc does not know libc.so.6: %q, %v", path, err)
	}
	return path
}

// smallSource exercises every table of a library: versions, imports, TLS,
// relocations, frame information, debug information.
const smallSource = `
#include <stdlib.h>
__thread int counter;
int table[4] = {1, 2, 3, 4};
int *pointer = &table[2];
static int spare[4];
int *spare_pointer = &spare[1];
static int helper(int x) { return x * 3 + table[x & 3]; }
int first(int x) { counter++; return helper(x) + abs(x); }
void *second(size_t n, void (*hook)(void)) { hook(); return malloc(n); }
`

func small(t testing.TB) []byte {
	return read(t, compile(t, library{
		sources: map[string]string{"a.c": smallSource, "v.map": "V1 { global: first; second; counter; pointer; spare_pointer; local: *; };"},
		flags:   []string{"-g", "-Wl,--version-script=$DIR/v.map", "-Wl,-z,pack-relative-relocs", "-Wl,-z,noseparate-code"},
	}))
}
