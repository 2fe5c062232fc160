package injector

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/livepatch"
)

// containerOf makes a live patch of C source in the test.
func (f *fixture) containerOf(t testing.TB, source string, value int, functions ...string) *livepatch.Container {
	t.Helper()
	file := filepath.Join(t.TempDir(), "patch.c")
	if err := os.WriteFile(file, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	return f.containerFrom(t, file, value, functions...)
}

// startResolvers starts a program with a library whose IFUNC resolvers nobody
// has run: a case of hard.c, or registers.c.
func (f *fixture) startResolvers(t testing.TB, name string) *target {
	t.Helper()
	library := f.once(t, "libresolvers.so", "-fPIC", "-shared", "testdata/resolvers.c")
	source := "testdata/hard.c"
	if name == "registers" {
		source = "testdata/registers.c"
	}
	program := f.once(t, name, "-pthread", source, f.library, "-Wl,-rpath,$ORIGIN")
	cmd := exec.Command(program, name)
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+library)
	return startTarget(t, cmd)
}

// once compiles a file of the fixture, unless it is there already.
func (f *fixture) once(t testing.TB, name string, args ...string) string {
	t.Helper()
	file := filepath.Join(f.dir, name)
	if _, err := os.Stat(file); err != nil {
		gcc(t, append([]string{"-O2", "-o", file}, args...)...)
	}
	return file
}

// callsResolved is a replacement that calls a function of libresolvers.so.
func (f *fixture) callsResolved(t testing.TB, name string) *livepatch.Container {
	t.Helper()
	return f.containerOf(t, fmt.Sprintf("int %s(void); int answer_lp(void) { return %s(); }", name, name), 2, "answer")
}

// pending counts the words of a container that wait for a resolver in a process.
func pending(t testing.TB, pid int, c *livepatch.Container) int {
	t.Helper()
	in := testInjector(t)
	j := &job{ctx: background(), in: in, p: hold(t, pid), op: operation{kind: opCheck, set: []*livepatch.Container{c}}, result: &Result{}}
	if err := j.look(); err != nil {
		t.Fatal(err)
	}
	images, err := j.loadImages(j.matches())
	if err != nil || len(images) != 1 {
		t.Fatalf("%d images, %v", len(images), err)
	}
	return len(images[0].pending)
}

// hears waits until a program that says when its answer changes has said so.
func (tg *target) hears(answer string) {
	tg.t.Helper()
	tg.await(strconv.Itoa(tg.pid) + " " + answer)
}

// writable counts the anonymous writable memory of a process in bytes: nothing
// of what the calls needed stays behind.
func writable(t testing.TB, pid int) (n uint64) {
	t.Helper()
	maps, err := hold(t, pid).mappings()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range maps {
		if m.write && !m.file() && m.path != "[heap]" {
			n += m.end - m.start
		}
	}
	return n
}

// Functions of the C library whose resolver has no slot in this process.
func TestResolversOfLibc(t *testing.T) {
	f := newFixture(t, "stock")
	c := f.containerOf(t, `
char *strstr(const char *, const char *);
void *__memcpy_chk(void *, const void *, unsigned long, unsigned long);
long time(long *);
int answer_lp(void)
{
	char copied[16];
	const char *volatile text = "xxneedle";
	__memcpy_chk(copied, text, 9, sizeof copied);
	return strstr(copied, "needle") == copied + 2 && time(0) > 1000000000 ? VALUE : 77;
}
`, 2, "answer")
	for _, name := range []string{"plain", "blocked", "signals"} {
		t.Run(name, func(t *testing.T) {
			tg := f.startHard(t, name)
			if pending(t, tg.pid, c) == 0 {
				t.Fatal("every resolver has a slot: nothing is tested")
			}
			before := writable(t, tg.pid)
			in := New(Options{Restore: true})
			for range 3 {
				rs, err := in.Apply(background(), only(tg.pid), []*livepatch.Container{c})
				result(t, Applied, rs, err)
				tg.says(v2)
				rs, err = in.Revert(background(), only(tg.pid), nil)
				result(t, Reverted, rs, err)
				tg.says(old)
			}
			if now := writable(t, tg.pid); now != before {
				t.Errorf("%d bytes of memory stayed behind", now-before)
			}
			tg.unharmed()
			tg.ends()
		})
	}
}

// A resolver may change whatever a function may: a thread that computes notices nothing.
func TestResolverLeavesRegistersAlone(t *testing.T) {
	f := newFixture(t, "stock")
	c := f.callsResolved(t, "clobbers")
	for range rounds(5, 500) {
		tg := f.startResolvers(t, "registers")
		tg.hears("1")
		rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{c})
		result(t, Applied, rs, err)
		tg.hears("2")
		tg.unharmed()
	}
}

// A resolver that does not do its work leaves the process as it was: one that
// sleeps and one that computes.
func TestResolversThatFail(t *testing.T) {
	f := newFixture(t, "stock")
	good := []*livepatch.Container{f.callsResolved(t, "clobbers")}
	for _, tt := range []struct {
		function, program, reason string
	}{
		{"hangs", "registers", "did not return in time"},
		{"sleeps", "plain", "did not return in time"},
		{"crashes", "plain", "SIGSEGV"},
		{"crashes", "registers", "SIGSEGV"},
		{"traps", "registers", "SIGILL"},
		{"leads_nowhere", "plain", "leads to 0x12345678"},
		{"returns_nothing", "plain", "leads to 0x0"},
	} {
		t.Run(tt.function+" "+tt.program, func(t *testing.T) {
			tg := f.startResolvers(t, tt.program)
			before := writable(t, tg.pid)
			rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{f.callsResolved(t, tt.function)})
			if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, tt.reason) || !strings.Contains(r.Reason, tt.function) {
				t.Errorf("reason %q, want one that says %q", r.Reason, tt.reason)
			}
			if now := writable(t, tg.pid); now != before {
				t.Errorf("%d bytes of memory stayed behind", now-before)
			}
			// It takes the next patch.
			rs, err = New(Options{}).Apply(background(), only(tg.pid), good)
			result(t, Applied, rs, err)
			if tt.program == "registers" {
				tg.hears("2")
			} else {
				tg.says(v2)
			}
			tg.unharmed()
		})
	}
}

// A process in a job-control stop stays stopped, and a signal that comes while
// all are blocked is not lost.
func TestResolverInStoppedProcess(t *testing.T) {
	f := newFixture(t, "stock")
	tg := f.startResolvers(t, "plain")
	if err := unix.Kill(tg.pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	awaitState(t, tg.pid, 'T')
	rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{f.callsResolved(t, "clobbers")})
	result(t, Applied, rs, err)
	awaitState(t, tg.pid, 'T')
	if err := unix.Kill(tg.pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	tg.says(v2)
	tg.unharmed()
	tg.ends()
}
