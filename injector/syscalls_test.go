package injector

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/livepatch"
)

// startCase runs a case of one of the programs in testdata.
func (f *fixture) startCase(t testing.TB, source string, args ...string) *target {
	t.Helper()
	program := filepath.Join(f.dir, strings.TrimSuffix(source, ".c"))
	run(t, "gcc", "-O2", "-Wall", "-Werror", "-pthread", "-o", program, "testdata/"+source, f.library, "-Wl,-rpath,"+f.dir)
	return startTarget(t, exec.Command(program, args...))
}

// backAndForth applies and reverts, each of which must succeed at once, and has
// the case answer in between.
func (tg *target) backAndForth(in *Injector, set []*livepatch.Container, rounds int) {
	tg.t.Helper()
	for i := range rounds {
		rs, err := in.Apply(background(), only(tg.pid), set)
		tg.became(Applied, rs, err)
		tg.says(v2)
		rs, err = in.Revert(background(), only(tg.pid), nil)
		tg.became(Reverted, rs, err)
		tg.says(old)
		if tg.t.Failed() {
			tg.t.Fatalf("in round %d", i)
		}
	}
}

// became checks the word of an operation; what the case has said explains it.
func (tg *target) became(word Word, rs []Result, err error) {
	tg.t.Helper()
	if err != nil || len(rs) != 1 || rs[0].Word != word {
		for len(tg.lines) > 0 {
			tg.t.Logf("pid %d says %q", tg.pid, <-tg.lines)
		}
	}
	result(tg.t, word, rs, err)
}

// TestSystemCallsGoOn: no system call notices that it was interrupted.
func TestSystemCallsGoOn(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	for _, mode := range []string{"hold", "ignored"} {
		t.Run(mode, func(t *testing.T) {
			tg := f.startCase(t, "syscalls.c", mode)
			tg.backAndForth(New(Options{}), set, rounds(50, 5000))
			tg.unharmed()
			tg.ends()
		})
	}
}

// TestSystemCallsAreInterruptedBySignals: a handler without SA_RESTART ends
// each of them with EINTR, as it would without us.
func TestSystemCallsAreInterruptedBySignals(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.startCase(t, "syscalls.c", "handled")
	tg.backAndForth(New(Options{}), set, rounds(50, 5000))
	handled, missed := tg.statistics()
	if handled == 0 {
		t.Fatal("no signals")
	}
	// A signal can come after the kernel has decided to restart a call, and
	// before it has: then nothing is interrupted. That is so for every stop.
	if missed*200 > handled {
		t.Errorf("of %d signals, %d interrupted nothing", handled, missed)
	}
	t.Logf("of %d signals, %d interrupted nothing", handled, missed)
	tg.unharmed()
	tg.ends()
}

// statistics asks the case for its two numbers.
func (tg *target) statistics() (first, second int) {
	tg.t.Helper()
	if _, err := tg.stdin.Write([]byte("s")); err != nil {
		tg.t.Fatal(err)
	}
	line := <-tg.lines
	if _, err := fmt.Sscan(line, &first, &second); err != nil {
		tg.t.Fatalf("pid %d says %q: %v", tg.pid, line, err)
	}
	return first, second
}

// TestTimeoutsGoOn: where the kernel keeps the deadline of a call, stops that
// come more often than it passes don't keep it from passing, nor does it pass
// too early.
func TestTimeoutsGoOn(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.startCase(t, "syscalls.c", "timeouts")
	in := New(Options{})
	const calls = 8
	passed := 0
	for end := time.Now().Add(time.Minute); passed < calls; passed, _ = tg.statistics() {
		if time.Now().After(end) {
			t.Fatalf("%d of %d timeouts have passed", passed, calls)
		}
		tg.backAndForth(in, set, 1)
	}
	tg.unharmed()
	tg.ends()
}
