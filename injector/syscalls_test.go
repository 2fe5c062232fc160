package injector

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/livepatch"
)

// startCase runs a case of one of the programs in testdata.
func (f *fixture) startCase(t testing.TB, source string, args ...string) *target {
	t.Helper()
	return startTarget(t, exec.Command(f.compileCase(t, source), args...))
}

func (f *fixture) compileCase(t testing.TB, source string) string {
	t.Helper()
	program := filepath.Join(f.dir, strings.TrimSuffix(source, ".c"))
	if _, err := os.Stat(program); err != nil {
		gcc(t, "-O2", "-Wall", "-Werror", "-pthread", "-o", program, "testdata/"+source, f.library,
			"-Wl,-rpath,$ORIGIN")
	}
	return program
}

// backAndForth applies and reverts, in turn with every thread stopped and with
// none but a borrowed one. Each must succeed at once; the case answers in
// between.
func (tg *target) backAndForth(set []*livepatch.Container, rounds int) {
	tg.t.Helper()
	const fullMachine = 5 * time.Second // where a thread waits long for a processor
	injectors := []*Injector{New(Options{Timeout: fullMachine}), New(Options{Timeout: fullMachine, Restore: true})}
	for i := range rounds {
		in := injectors[i%2]
		rs, err := in.Apply(background(), only(tg.pid), set)
		tg.became(Applied, rs, err)
		tg.says(v2)
		rs, err = in.Revert(background(), only(tg.pid), nil)
		tg.became(Reverted, rs, err)
		tg.says(old)
	}
}

// became checks the word of an operation; what the case has said explains it.
func (tg *target) became(word Word, rs []Result, err error) {
	tg.t.Helper()
	if err != nil || len(rs) != 1 || rs[0].Word != word {
		_ = tg.stdin.Close()
		for line := range tg.lines {
			tg.t.Logf("pid %d says %q", tg.pid, line)
		}
	}
	result(tg.t, word, rs, err)
}

// statistics asks the case for its two numbers.
func (tg *target) statistics() (first, second int) {
	tg.t.Helper()
	if _, err := tg.stdin.Write([]byte("s")); err != nil {
		tg.t.Fatalf("pid %d: %v; it says %q", tg.pid, err, <-tg.lines)
	}
	line := <-tg.lines
	if _, err := fmt.Sscan(line, &first, &second); err != nil {
		tg.t.Fatalf("pid %d says %q: %v", tg.pid, line, err)
	}
	return first, second
}

// TestSystemCallsGoOn: no system call notices that it was interrupted.
func TestSystemCallsGoOn(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	for _, mode := range []string{"hold", "ignored"} {
		t.Run(mode, func(t *testing.T) {
			tg := f.startCase(t, "syscalls.c", mode)
			tg.backAndForth(set, rounds(50, 5000))
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
	tg.backAndForth(set, rounds(50, 5000))
	handled, missed := tg.statistics()
	t.Logf("of %d signals, %d interrupted nothing", handled, missed)
	if handled == 0 || tooMany(missed, handled) {
		t.Errorf("of %d signals, %d interrupted nothing", handled, missed)
	}
	tg.unharmed()
	tg.ends()
}

// tooMany judges how many signals have interrupted no call. A signal can come
// after the kernel has decided to restart a call, and before it has: so it is
// for every stop, whoever causes it.
func tooMany(missed, handled int) bool { return missed > 1 && missed*200 > handled }

// TestSystemCallsOfLenders: nor does a call notice whose thread was borrowed.
func TestSystemCallsOfLenders(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	out, err := exec.Command(f.compileCase(t, "syscalls.c"), "count").Output()
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	var handled, missed int
	for i := range n {
		for _, mode := range []string{"hold", "ignored", "handled"} {
			tg := f.startCase(t, "syscalls.c", mode, strconv.Itoa(i))
			tg.backAndForth(set, rounds(2, 100))
			a, b := tg.statistics()
			handled, missed = handled+a, missed+b
			tg.unharmed()
			tg.ends()
		}
	}
	t.Logf("%d calls; of %d signals, %d interrupted nothing", n, handled, missed)
	if handled == 0 || tooMany(missed, handled) {
		t.Errorf("of %d signals, %d interrupted nothing", handled, missed)
	}
}

// TestTimeoutsGoOn: where the kernel keeps the deadline of a call, stops that
// come more often than it passes don't keep it from passing, nor does it pass
// too early.
func TestTimeoutsGoOn(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.startCase(t, "syscalls.c", "timeouts")
	const calls = 8
	passed := 0
	for end := time.Now().Add(time.Minute); passed < calls; passed, _ = tg.statistics() {
		if time.Now().After(end) {
			t.Fatalf("%d of %d timeouts have passed", passed, calls)
		}
		tg.backAndForth(set, 1)
	}
	tg.unharmed()
	tg.ends()
}
