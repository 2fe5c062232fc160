package injector

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/livepatch"
)

// TestKilledAtRandomInstants kills lpctl at any moment of an apply, a replace
// and a revert, of one function and of several, in processes with one thread
// and with many: each goes on wholly old or wholly new, and the next operation
// succeeds.
func TestKilledAtRandomInstants(t *testing.T) {
	f := newFixture(t, "stock")
	lpctl := filepath.Join(f.dir, "lpctl")
	run(t, "go", "build", "-o", lpctl, "../cmd/lpctl")
	for _, set := range []struct {
		functions []string
		// answers are those of the shipped code and of the two containers.
		answers []string
	}{
		{[]string{"answer"}, []string{"1001", "2001", "3001"}},
		{[]string{"answer", "second", "branchy"}, []string{old, v2, v3}},
	} {
		containers := []*livepatch.Container{nil, f.container(t, 2, set.functions...), f.container(t, 3, set.functions...)}
		for _, threads := range []int{1, 10, 100} {
			t.Run(fmt.Sprintf("%d functions, %d threads", len(set.functions), threads), func(t *testing.T) {
				k := &randomKiller{f: f, lpctl: lpctl, containers: containers, answers: set.answers, tg: f.start(t, 0, threads-1)}
				k.calibrate(t)
				tries := rounds(50, 1000)
				for range tries {
					k.try(t)
				}
				t.Logf("killed %d times of %d, %d times after the change", k.killed, tries, k.changed)
				if k.killed < tries/4 || k.changed == k.killed {
					t.Errorf("of %d tries %d were killed, %d after the change", tries, k.killed, k.changed)
				}
			})
		}
	}
}

type randomKiller struct {
	f          *fixture
	lpctl      string
	containers []*livepatch.Container // by the state that they bring about: 0 is the shipped code
	answers    []string
	tg         *target
	// length is how long an operation takes.
	length          time.Duration
	killed, changed int
}

// command brings about a state.
func (k *randomKiller) command(state int) *exec.Cmd {
	pid := strconv.Itoa(k.tg.pid)
	if state == 0 {
		return exec.Command(k.lpctl, "revert", "-p", pid, "--all")
	}
	return exec.Command(k.lpctl, "replace", "-p", pid, filepath.Join(k.f.dir, k.containers[state].Name))
}

func (k *randomKiller) calibrate(t *testing.T) {
	t.Helper()
	const times = 5
	begin := time.Now()
	for i := range times {
		if out, err := k.command((i + 1) % 3).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	k.length = time.Since(begin) / times
}

// try kills one operation. Every other time the process starts with its code as
// shipped, so that detours have to be installed.
func (k *randomKiller) try(t *testing.T) {
	t.Helper()
	from := k.state(t)
	if rand.IntN(2) == 0 {
		from = 0
		rs, err := New(Options{Restore: true}).Revert(background(), only(k.tg.pid), nil)
		if err != nil || len(rs) != 1 || !rs[0].Word.OK() {
			t.Fatalf("restore: %+v, %v", rs, err)
		}
	}
	to := (from + 1 + rand.IntN(2)) % 3
	cmd := k.command(to)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(rand.N(k.length)); time.Now().Before(end); { // a sleep is not exact enough
	}
	_ = cmd.Process.Kill()
	killed := cmd.Wait() != nil
	now := k.state(t)
	if now != from && now != to || !killed && now != to {
		t.Fatalf("from %d to %d, killed %v: the target is in state %d", from, to, killed, now)
	}
	if killed {
		k.killed++
		if now == to {
			k.changed++
		}
	}
	next := (to + 1) % 3
	if out, err := k.command(next).CombinedOutput(); err != nil {
		t.Fatalf("afterwards: %v\n%s", err, out)
	}
	if now := k.state(t); now != next {
		t.Fatalf("afterwards: the target is in state %d, want %d", now, next)
	}
}

// state asks all threads. One that lpctl has borrowed may make the change after
// lpctl was killed, so they are asked again if they disagree.
func (k *randomKiller) state(t *testing.T) int {
	t.Helper()
	var last map[string][]string
	for range 10 {
		if _, err := io.WriteString(k.tg.stdin, "x"); err != nil {
			t.Fatalf("pid %d: %v (%v)", k.tg.pid, err, k.tg.cmd.Wait())
		}
		k.tg.await("called")
		last = k.tg.answers()
		for state, answer := range k.answers {
			if k.tg.all(answer) {
				k.tg.unharmed()
				return state
			}
		}
	}
	t.Fatalf("pid %d: its threads disagree: %v", k.tg.pid, last)
	return -1
}
