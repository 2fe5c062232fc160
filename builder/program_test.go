package builder

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// runProgram runs a program to its end and returns what it printed.
func runProgram(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// hostEnv is this machine's glibc as a build.
func hostEnv(t testing.TB) ProgramEnv {
	t.Helper()
	return ProgramEnv{LibraryDir: filepath.Dir(hostLibc(t))}
}

// testProgram is a program that uses what a program finds in crt1.o, crti.o and
// libc_nonshared.a, and threads.
const testProgram = "testdata/program.c"

const testProgramPrints = "constructed 1 sum 41 mine 7 child 5 number 12\natexit\ndestructor\n"

func TestBuildProgram(t *testing.T) {
	env := hostEnv(t)
	out := filepath.Join(t.TempDir(), "test")
	if err := BuildProgram(t.Context(), testProgram, out, env); err != nil {
		t.Fatal(err)
	}
	if got := runProgram(t, out, "12"); got != testProgramPrints {
		t.Errorf("printed %q, want %q", got, testProgramPrints)
	}
	loader := filepath.Join(env.LibraryDir, "ld-linux-x86-64.so.2")
	if got := runProgram(t, loader, "--library-path", env.LibraryDir, out, "12"); got != testProgramPrints {
		t.Errorf("through its loader printed %q, want %q", got, testProgramPrints)
	}
}

func TestBuildProgramErrors(t *testing.T) {
	env := hostEnv(t)
	tests := []struct {
		name, source, says string
		env                ProgramEnv
		tool               bool
	}{
		{name: "does not compile", source: "int main(void) { return x; }", env: env, tool: true, says: "error: 'x' undeclared"},
		{name: "function that the build lacks", source: "int nowhere(void); int main(void) { return nowhere(); }", env: env, says: "nowhere is in none of the libraries"},
		{name: "no such library", source: "int main(void) { return 0; }", env: ProgramEnv{LibraryDir: env.LibraryDir, Libraries: []string{"libnone.so.9"}}, says: "libnone.so.9"},
		{name: "no such build", source: "int main(void) { return 0; }", env: ProgramEnv{LibraryDir: t.TempDir()}, says: "libc.so.6"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			source, out := filepath.Join(dir, "test.c"), filepath.Join(dir, "test")
			writeFile(t, source, tc.source)
			err := BuildProgram(t.Context(), source, out, tc.env)
			var tool *ToolError
			if err == nil || !strings.Contains(err.Error(), tc.says) || errors.As(err, &tool) != tc.tool {
				t.Errorf("%v, want an error saying %q", err, tc.says)
			}
			if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a program was left behind: %v", err)
			}
		})
	}
}

// TestContainerLoads opens a container with the real dynamic loader, in a
// process that has its target library, and calls the replacement.
func TestContainerLoads(t *testing.T) {
	library := greetBuild(t, "-fcf-protection=none")
	b := record(t, library, "greet-1.0-1.x86_64", greetNames...)
	source := `
extern int counter, area(int);
int *secret_ptr;
int greet_lp(int x, const char *who)
{
	int a = area(x);
	return 100 * a + counter + *secret_ptr + (who != 0);
}
`
	p, o := project(t, source, "fix.so\n@libgreet.so.1\ngreet:greet_lp\n#secret:secret_ptr\n")
	container := mustMake(t, p, []*elfinfo.Build{b}, o)[0].Container
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "main.c"), `
#include <dlfcn.h>
#include <stdio.h>
int greet(int, const char *);
int main(int argc, char **argv)
{
	static int secret = 1000;
	void *h = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (!h) { puts(dlerror()); return 1; }
	*(int **)dlsym(h, "secret_ptr") = &secret;
	int (*lp)(int, const char *) = (int (*)(int, const char *))dlsym(h, "greet_lp");
	greet(1, 0);
	printf("%d\n", lp(9, 0));
	return 0;
}
`)
	gcc(t, dir, "-o", "main", "main.c", library, "-Wl,-rpath,"+filepath.Dir(library), "-ldl")
	// greet makes counter 4, area of GREET_2.0 makes it 3 and returns 9*2+3.
	if got := strings.TrimSpace(runProgram(t, filepath.Join(dir, "main"), container)); got != "3103" {
		t.Errorf("the replacement returned %s, want 3103", got)
	}
}
