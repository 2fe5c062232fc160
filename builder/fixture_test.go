package builder

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// need skips the test if a program is missing, and fails it under CI.
func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", p)
		}
		t.Skipf("%s is not installed", p)
	}
}

// greet1 and greet2 are the two files of the small library libgreet: it has a
// static function of the same name in both, a private variable, a thread-local
// one and a function that only new programs get in its new version.
const (
	greet1 = `
#include <stdlib.h>
int counter = 3;
static int secret = 41;
__thread int depth = 5;
__attribute__((noinline)) static int step(int x) { counter += x; return counter * 3 + secret; }
int greet(int x, const char *who) { depth++; secret++; return step(x) + (who ? getenv(who) != 0 : 0); }
int area_v1(int w) { counter++; return w * w + counter; }
int area_v2(int w) { counter--; return w * 2 + counter; }
__asm__(".symver area_v1,area@GREET_1.0\n.symver area_v2,area@@GREET_2.0");
void tiny(void) {}
`
	greet2 = `
extern int counter;
__attribute__((noinline)) static int step(int x) { counter -= x; return counter * 7; }
int leave(int x) { return step(x) + 2; }
#ifndef OLD
int added(int x) { return step(x) + counter; }
#endif
`
	greetVersions = `
GREET_1.0 { global: greet; counter; depth; leave; tiny; area; local: *; };
GREET_2.0 { global: area; added; } GREET_1.0;
`
)

// greetNames is what the descriptions of the tests look up.
var greetNames = []string{"greet", "leave", "added", "tiny", "step", "step@greet2.c", "secret", "depth", "nowhere"}

// fixtures is the folder of the libraries that several tests use.
var fixtures string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "builder-test-")
	if err != nil {
		panic(err)
	}
	fixtures = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// greetBuild returns the file of libgreet compiled with the given flags. It is
// compiled when first asked for.
func greetBuild(t testing.TB, flags ...string) string {
	t.Helper()
	dir := filepath.Join(fixtures, digest([]byte(strings.Join(flags, " ")))[:16])
	if _, err := os.Stat(filepath.Join(dir, "libgreet.so.1")); err == nil {
		return filepath.Join(dir, "libgreet.so.1")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"greet1.c": greet1, "greet2.c": greet2, "greet.map": greetVersions} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	out := filepath.Join(dir, "libgreet.so.1")
	args := append([]string{"-shared", "-fPIC", "-O1", "-g", "-Wl,--build-id=sha1", "-Wl,-soname,libgreet.so.1",
		"-Wl,--version-script=greet.map", "-o", out, "greet1.c", "greet2.c"}, flags...)
	gcc(t, dir, args...)
	return out
}

// gcc runs the compiler in dir.
func gcc(t testing.TB, dir string, args ...string) {
	t.Helper()
	need(t, "gcc")
	cmd := exec.Command("gcc", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gcc %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// record makes the record of a library file as a download would.
func record(t testing.TB, file, nevra string, names ...string) *elfinfo.Build {
	t.Helper()
	f, err := elfinfo.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := elfinfo.NewBuild(f, nil, names)
	if err != nil {
		t.Fatal(err)
	}
	b.NEVRA, b.Package, b.Arch = nevra, "greet", "x86_64"
	b.Library = "/usr/lib64/" + b.Soname
	return b
}

// greetRecords are the builds that most tests use: stock, padded, padded with
// endbr64, and one that lacks added.
func greetRecords(t testing.TB) []*elfinfo.Build {
	t.Helper()
	const padding = "-fpatchable-function-entry=16,14"
	return []*elfinfo.Build{
		record(t, greetBuild(t, "-fcf-protection=none"), "greet-1.0-1.x86_64", greetNames...),
		record(t, greetBuild(t, "-fcf-protection=none", padding), "greet-1.0-2.x86_64", greetNames...),
		record(t, greetBuild(t, "-fcf-protection=full", padding), "greet-1.1-1.x86_64", greetNames...),
		record(t, greetBuild(t, "-DOLD"), "greet-0.9-1.x86_64", greetNames...),
	}
}

// hostLibc is the file of this machine's own libc.
func hostLibc(t testing.TB) string {
	t.Helper()
	need(t, "gcc")
	out, err := exec.Command("gcc", "-print-file-name=libc.so.6").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// project writes a patch's files and returns it with options of its own. Most
// tests care for nothing but the container: their replacements are shorter than
// the original, as are its parameters.
func project(t testing.TB, source, template string) (Patch, Options) {
	t.Helper()
	dir := t.TempDir()
	p := Patch{Name: "fix", Dir: filepath.Join(dir, "livepatches", "fix"), Waive: map[string]string{checkPrototype: "a test"}}
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, p.sourceFiles()[0], source)
	writeFile(t, p.templateFile(), template)
	return p, Options{
		CacheDir: filepath.Join(dir, "cache"), OutDir: filepath.Join(dir, "build"),
		Set: "greet-livepatches", SetVersion: "1.2",
	}
}

// greetPatch replaces greet and reads its private variables.
const (
	greetSource = `
#include <stdlib.h>
extern int counter;
extern int area(int);
int *secret_ptr;
int greet_lp(int x, const char *who) { return counter + area(x) + *secret_ptr + (who ? getenv(who) != 0 : 0); }
`
	greetTemplate = "! fixes bsc#1234567 and CVE-2026-1234\n! second line\nfix.so\n@/usr/lib64/libgreet.so.1\ngreet:greet_lp\n#secret:secret_ptr\n"
)

func writeFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
