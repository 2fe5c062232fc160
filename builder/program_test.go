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

// testProgram uses what a program finds in crt1.o, crti.o and
// libc_nonshared.a, and threads.
const testProgram = `
#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
static __thread int mine = 7;
static int constructed, sum;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
__attribute__((constructor)) static void begin(void) { constructed++; }
__attribute__((destructor)) static void end(void) { if (write(1, "destructor\n", 11) != 11) _exit(9); }
static void leaving(void) { if (write(1, "atexit\n", 7) != 7) _exit(9); }
static void forking(void) { sum++; }
static void *run(void *arg) { mine += *(int *)arg; errno = mine; pthread_mutex_lock(&lock); sum += errno; pthread_mutex_unlock(&lock); return 0; }
int main(int argc, char **argv)
{
	pthread_t t[4];
	int i, status = 0, add = 3, number = 0;
	struct stat st;
	atexit(leaving);
	pthread_atfork(forking, 0, 0);
	for (i = 0; i < 4; i++) if (pthread_create(&t[i], 0, run, &add)) return 1;
	for (i = 0; i < 4; i++) pthread_join(t[i], 0);
	if (fork() == 0) _exit(5);
	wait(&status);
	if (argc != 2 || sscanf(argv[1], "%d", &number) != 1 || stat("/", &st) || !S_ISDIR(st.st_mode)) return 2;
	if (!dlopen("libm.so.6", RTLD_NOW) || sqrt(argc + 2) != 2) return 3;
	printf("constructed %d sum %d mine %d child %d number %d\n", constructed, sum, mine, WEXITSTATUS(status), number);
	fflush(stdout);
	return 0;
}
`

const testProgramPrints = "constructed 1 sum 41 mine 7 child 5 number 12\natexit\ndestructor\n"

func TestBuildProgram(t *testing.T) {
	env := hostEnv(t)
	dir := t.TempDir()
	source, out := filepath.Join(dir, "test.c"), filepath.Join(dir, "test")
	writeFile(t, source, testProgram)
	if err := BuildProgram(t.Context(), source, out, env); err != nil {
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

// TestBuildProgramForShippedBuilds runs the program on every glibc that
// LPBUILD_TEST_GLIBCS names: folders with a libc.so.6 each, colon separated.
func TestBuildProgramForShippedBuilds(t *testing.T) {
	list := os.Getenv("LPBUILD_TEST_GLIBCS")
	if list == "" {
		t.Skip("LPBUILD_TEST_GLIBCS is not set; the end-to-end test runs test programs on every shipped build")
	}
	source := filepath.Join(t.TempDir(), "test.c")
	writeFile(t, source, testProgram)
	for dir := range strings.SplitSeq(list, ":") {
		t.Run(dir, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "test")
			if err := BuildProgram(t.Context(), source, out, ProgramEnv{LibraryDir: dir}); err != nil {
				t.Fatal(err)
			}
			if got := runProgram(t, out, "12"); got != testProgramPrints {
				t.Errorf("printed %q, want %q", got, testProgramPrints)
			}
		})
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
