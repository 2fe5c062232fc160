package injector

import "testing"

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
	k := killer{f: f, lpctl: lpctl, args: []string{"apply", c.Name}, next: f.container(t, 3, "answer", "second"), from: old, to: v2}
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
