package injector

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/livepatch"
)

// witness is a library that notes in which order things happen to it.
const witnessSource = `
static char seen[64];
static int count;
void witness(char c) { if (count < 63) seen[count++] = c; }
const char *witnessed(void) { return seen; }
`

// constructorsSource has every kind of constructor, and what would run at the end.
const constructorsSource = `
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
extern void witness(char);
static int made;
static char *text;
__attribute__((constructor(201))) static void second(void) { witness('b'); }
__attribute__((constructor(102))) static void first(int argc, char **argv, char **envp)
{
	witness('a');
	int place = 0;
	while (envp[place] && strcmp(envp[place], "WITNESS=yes"))
		place++;
	if (argc == 2 && !strcmp(argv[1], "plain") && !argv[2] && envp[place] && (unsigned long)&place % 4 == 0)
		made = 1;
	text = malloc(100000); /* takes what a constructor may take */
	snprintf(text, 100000, "%d", made);
}
__attribute__((constructor)) void public(void) { witness('c'); }
__attribute__((destructor)) static void end(void) { witness('e'); }
int answer_lp(void) { witness('x'); return atoi(text) + 1; }
`

// startWitness starts a program with the library of the tests, and says how to
// read what was witnessed.
func (f *fixture) startWitness(t testing.TB, name string) (*target, func() string) {
	t.Helper()
	lib := library(t, "libwitness.so", witnessSource)
	t.Setenv("LD_PRELOAD", lib)
	t.Setenv("WITNESS", "yes")
	tg := f.startHard(t, name)
	t.Setenv("LD_PRELOAD", "")
	return tg, func() string {
		p := hold(t, tg.pid)
		objs, _ := loaded(t, testInjector(t), p)
		for _, o := range objs {
			if o.soname == "libwitness.so" {
				b := make([]byte, 64)
				if err := p.readAt(b, o.addr(symbolsOf(t, lib)["seen"].Value)); err != nil {
					t.Fatal(err)
				}
				return strings.TrimRight(string(b), "\x00")
			}
		}
		t.Fatal("libwitness.so is not loaded")
		return ""
	}
}

// Constructors run once, in ld.so's order and with its arguments, before the
// replacement is in force; the functions for the end never run.
func TestConstructors(t *testing.T) {
	f := newFixture(t, "stock")
	tg, witnessed := f.startWitness(t, "plain")
	c := packed(t, f.library, constructorsSource, "answer:answer_lp")
	in := New(Options{})
	before := writable(t, tg.pid)
	rs, err := in.Apply(background(), only(tg.pid), []*livepatch.Container{c})
	result(t, Applied, rs, err)
	if got := witnessed(); got != "abc" {
		t.Fatalf("the constructors ran as %q, want abc", got)
	}
	if now := writable(t, tg.pid); now > before+pageSize {
		t.Errorf("%d bytes of memory stayed behind", now-before)
	}
	tg.says(v2)
	rs, err = in.Revert(background(), only(tg.pid), nil)
	result(t, Reverted, rs, err)
	tg.says(old)
	rs, err = in.Apply(background(), only(tg.pid), []*livepatch.Container{c})
	result(t, Applied, rs, err)
	tg.says(v2)
	if got := witnessed(); strings.Trim(got, "x") != "abc" {
		t.Errorf("after another apply %q: a constructor ran again", got)
	}
	tg.unharmed()
	tg.ends()
}

// DT_INIT comes before DT_INIT_ARRAY.
func TestInitialisationFunction(t *testing.T) {
	f := newFixture(t, "stock")
	tg, witnessed := f.startWitness(t, "plain")
	c := packedWith(t, packing{
		target: f.library, lines: []string{"answer:answer_lp"}, args: []string{"-nostartfiles", "-Wl,-init,begin"},
		source: `extern void witness(char);
void begin(void) { witness('i'); }
__attribute__((constructor)) static void later(void) { witness('l'); }
int answer_lp(void) { return 2; }`,
	})
	rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{c})
	result(t, Applied, rs, err)
	if got := witnessed(); got != "il" {
		t.Errorf("%q, want il", got)
	}
	tg.says(v2)
	tg.ends()
}

// A container of lpbuild's has to say that it wants its constructors called.
func TestConstructorsOnRequest(t *testing.T) {
	f := newFixture(t, "stock")
	for _, wanted := range []bool{false, true} {
		t.Run(strconv.FormatBool(wanted), func(t *testing.T) {
			tg, witnessed := f.startWitness(t, "plain")
			d, err := livepatch.ParseDescription("d", []byte("p\n@t\nanswer:answer_lp\n"))
			if err != nil {
				t.Fatal(err)
			}
			info := f.info(t, d, 2)
			info.Constructors = wanted
			c := packedWith(t, packing{target: f.library, source: constructorsSource, lines: []string{"answer:answer_lp"}, info: info})
			rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{c})
			if !wanted {
				if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, "has a constructor") {
					t.Errorf("reason %q", r.Reason)
				}
				tg.says(old)
				return
			}
			result(t, Applied, rs, err)
			if got := witnessed(); got != "abc" {
				t.Errorf("the constructors ran as %q, want abc", got)
			}
			tg.says(v2)
		})
	}
}

// A constructor that does not return leaves a process that works, without the
// patch, and takes the next one.
func TestConstructorsThatFail(t *testing.T) {
	f := newFixture(t, "stock")
	for _, tt := range []struct{ name, body, reason string }{
		{"SIGSEGV", "*(volatile int *)8 = 1;", "ended in SIGSEGV"},
		{"SIGILL", "__builtin_trap();", "ended in SIGILL"},
		{"stack", "overflow(0);", "ended in SIGSEGV"},
		{"hangs", "for (;;) pause();", "did not return in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tg := f.startHard(t, "blocked")
			c := packed(t, f.library, fmt.Sprintf(`
#include <unistd.h>
static volatile char last;
int overflow(int n) { char some[4096]; some[n %% 64] = (char)n; last = some[7]; return overflow(n + 1) + some[3]; }
__attribute__((constructor)) static void f(void) { %s }
int answer_lp(void) { return 3; }
`, tt.body), "answer:answer_lp")
			rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{c})
			r := result(t, Failed, rs, err)
			if !strings.Contains(r.Reason, "constructor") || !strings.Contains(r.Reason, tt.reason) {
				t.Errorf("reason %q, want one that says %q", r.Reason, tt.reason)
			}
			tg.says(old)
			rs, err = New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{f.container(t, 2, "answer")})
			result(t, Applied, rs, err)
			tg.says(v2)
			tg.unharmed()
			tg.ends()
		})
	}
}

// A constructor that ends its thread does so once, and no other thread is given to it.
func TestConstructorThatEndsItsThread(t *testing.T) {
	f := newFixture(t, "stock")
	tg := f.startHard(t, "computing")
	before, err := listTasks("/proc", tg.pid)
	if err != nil {
		t.Fatal(err)
	}
	c := packed(t, f.library, `
#include <sys/syscall.h>
#include <unistd.h>
__attribute__((constructor)) static void f(void) { syscall(SYS_exit, 0); }
int answer_lp(void) { return 2; }`, "answer:answer_lp")
	rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{c})
	if r := result(t, Failed, rs, err); !strings.Contains(r.Reason, "ended its thread") {
		t.Errorf("reason %q", r.Reason)
	}
	if after, err := listTasks("/proc", tg.pid); err != nil || len(after) != len(before)-1 {
		t.Errorf("%d threads, before %d (%v)", len(after), len(before), err)
	}
	tg.unharmed()
}

// A thread that computes may hold any lock: no constructor runs in it, and
// nothing stays behind.
func TestNoConstructorInBusyThread(t *testing.T) {
	f := newFixture(t, "stock")
	tg := f.startResolvers(t, "registers")
	tg.hears("1")
	before := len(mappingsOf(t, tg.pid))
	c := packed(t, f.library, "__attribute__((constructor)) static void f(void) { __asm__(\"\"); } int answer_lp(void) { return 2; }", "answer:answer_lp")
	rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{c})
	result(t, Busy, rs, err)
	if now := len(mappingsOf(t, tg.pid)); now != before {
		t.Errorf("%d mappings more", now-before)
	}
	tg.unharmed()
}

func mappingsOf(t testing.TB, pid int) []mapping {
	t.Helper()
	maps, err := hold(t, pid).mappings()
	if err != nil {
		t.Fatal(err)
	}
	return maps
}

// Signals that come while a constructor runs are not lost.
func TestSignalsDuringConstructors(t *testing.T) {
	f := newFixture(t, "stock")
	c := packed(t, f.library, `
#include <time.h>
__attribute__((constructor)) static void f(void)
{
	struct timespec moment = { 0, 20 * 1000 * 1000 };
	if (nanosleep(&moment, 0)) __builtin_trap(); /* EINTR: a handler ran */
}
int answer_lp(void) { return 2; }`, "answer:answer_lp")
	for range rounds(3, 100) {
		tg := f.startHard(t, "signals")
		rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{c})
		result(t, Applied, rs, err)
		tg.says(v2)
		tg.unharmed()
		tg.ends()
	}
}

// A constructor may do what the filter of its thread forbids only where that is
// asked for; afterwards the filter is in force as before.
func TestConstructorUnderSeccomp(t *testing.T) {
	f := newFixture(t, "stock")
	program := f.once(t, "sandboxed", "testdata/sandboxed.c", f.library, "-Wl,-rpath,$ORIGIN")
	c := packed(t, f.library, `
#include <sys/syscall.h>
#include <unistd.h>
static int parent;
__attribute__((constructor)) static void f(void) { parent = syscall(SYS_getppid); }
int answer_lp(void) { return parent > 0 ? 2 : 7; }
`, "answer:answer_lp")
	tg := startTarget(t, exec.Command(program))
	rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{c})
	if r := result(t, Failed, rs, err); !strings.Contains(r.Reason, "ended in SIGSYS") {
		t.Errorf("reason %q", r.Reason)
	}
	tg.says(old)
	tg.allows("denied")
	rs, err = New(Options{SuspendSeccomp: true}).Apply(background(), only(tg.pid), []*livepatch.Container{c})
	if !canSuspend() {
		if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, "can't be suspended") {
			t.Errorf("reason %q", r.Reason)
		}
		return
	}
	result(t, Applied, rs, err)
	tg.says(v2)
	tg.allows("denied")
	tg.unharmed()
	tg.ends()
}

// allows asks a sandboxed program whether it may call getppid.
func (tg *target) allows(want string) {
	tg.t.Helper()
	if _, err := tg.stdin.Write([]byte("g")); err != nil {
		tg.t.Fatal(err)
	}
	tg.hears(want)
}

// canSuspend says whether this user may suspend seccomp filters.
func canSuspend() bool {
	var caps [2]unix.CapUserData
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	return unix.Capget(&head, &caps[0]) == nil && caps[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}
