package injector

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// TestKilledWhileFunctionsRun kills lpctl at every system call that it makes
// while it applies a container whose constructors and IFUNC resolvers the target
// has to run: the thread that does comes home by itself.
func TestKilledWhileFunctionsRun(t *testing.T) {
	f := newFixture(t, "stock")
	lpctl := f.killable(t)
	c := packed(t, f.library, `
#include <stdlib.h>
#include <string.h>
static int *value;
static char *(*volatile search)(const char *, const char *) = strstr;
static void take(void *p) { free(p); }
__attribute__((constructor)) static void f(void)
{
	value = malloc(sizeof *value);
	take(malloc(1 << 20)); /* system calls of its own */
	*value = search("xneedle", "needle") ? 2 : 7;
}
int answer_lp(void) { return *value; }
int second_lp(int n) { return n + 10 * *value; }
`, "answer:answer_lp", "second:second_lp")
	if tg := f.start(t, 0, 3); pending(t, tg.pid, c) == 0 {
		t.Fatal("strstr has a slot: no resolver runs")
	}
	file := filepath.Join(f.dir, c.Name)
	if err := os.WriteFile(file, c.Data, 0o644); err != nil {
		t.Fatal(err)
	}
	k := killer{f: f, lpctl: lpctl, args: []string{"apply", file}, next: f.container(t, 3, "answer", "second"), from: old, to: v2}
	k.everywhere(t, thin(k.record(t)))
}

// thin leaves out most of the places where the injector looks whether something
// has happened yet, unless a soak is asked for: from one to the next, nothing does.
func thin(faults []fault) []fault {
	seen := make(map[string]int)
	var out []fault
	for _, ft := range faults {
		switch ft.call {
		case "wait4", "sched_yield", "nanosleep", "futex", "epoll_pwait", "read", "pread64":
			seen[ft.call]++
			if seen[ft.call]%rounds(10, 1) != 0 {
				continue
			}
		}
		out = append(out, ft)
	}
	return out
}

// TestKilledWhileComputingThreadIsLent kills lpctl at every ptrace request while
// a thread that computes runs a resolver: what the stub restores by itself is all
// that the thread has.
func TestKilledWhileComputingThreadIsLent(t *testing.T) {
	f := newFixture(t, "stock")
	lpctl := f.killable(t)
	c, next := f.callsResolved(t, "clobbers"), []*livepatch.Container{f.container(t, 3, "answer")}
	start := func(t *testing.T) *target {
		tg := f.startResolvers(t, "registers")
		tg.hears("1")
		return tg
	}
	k := killer{f: f, lpctl: lpctl, args: []string{"apply", filepath.Join(f.dir, c.Name)}, target: start}
	killed := 0
	for _, ft := range k.record(t) {
		if ft.call != "ptrace" || ft.nth%rounds(2, 1) != 0 {
			continue
		}
		tg := start(t)
		if _, was := k.kill(t, tg, ft); was {
			killed++
		}
		rs, err := New(Options{}).Replace(background(), only(tg.pid), next)
		if err != nil || len(rs) != 1 || !rs[0].Word.OK() {
			t.Fatalf("%v: afterwards: %+v, %v", ft, rs, err)
		}
		tg.hears("3")
		tg.unharmed()
		_ = tg.cmd.Process.Kill()
	}
	if killed < 10 {
		t.Errorf("killed at only %d places", killed)
	}
}
