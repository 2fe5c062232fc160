package injector

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/livepatch"
)

// TestStartedAndEndedMeanwhile: a process that starts threads, children, or
// children in its own memory without pause is patched and reverted every time.
func TestStartedAndEndedMeanwhile(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	for _, mode := range []string{"threads", "forks", "shares"} {
		t.Run(mode, func(t *testing.T) {
			tg := f.startCase(t, "lifecycle.c", mode)
			tg.backAndForth(set, rounds(100, 5000))
			if n, _ := tg.statistics(); n == 0 {
				t.Error("nothing was started")
			}
			tg.unharmed()
			tg.ends()
		})
	}
}

// TestStoppedMeansSharersToo: nor does a process that shares the memory without
// being a thread, or a child of vfork, escape the stop.
func TestStoppedMeansSharersToo(t *testing.T) {
	f := newFixture(t, "stock")
	tg := f.startCase(t, "lifecycle.c", "shares")
	p := tg.opened()
	shared := 0
	for range rounds(300, 5000) {
		err := trace(p, func(tr *tracer) error {
			if err := tr.stopAll(time.Now().Add(10*time.Second), nil); err != nil {
				return err
			}
			for _, pid := range sharersOf(t, tg.pid) {
				shared++
				if st, err := readStat("/proc", pid); err == nil && st.state != 't' && !st.ended() {
					t.Errorf("process %d is in state %c", pid, st.state)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if shared == 0 {
		t.Error("nobody shared the memory")
	}
	tg.unharmed()
	tg.ends()
}

// sharersOf lists all processes that share the memory of one.
func sharersOf(t *testing.T, pid int) []int {
	t.Helper()
	all, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, e := range all {
		if n, err := strconv.Atoi(e.Name()); err == nil && n != pid && sharesMemory(pid, n) {
			pids = append(pids, n)
		}
	}
	return pids
}

// TestExecMeanwhile: a process that becomes another program all the time gets an
// answer, is never harmed, and is patched once it stays what it is.
func TestExecMeanwhile(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.startCase(t, "lifecycle.c", "execs", "0")
	in := New(Options{})
	count := make(map[Word]int)
	for range rounds(200, 5000) {
		for _, do := range []func() ([]Result, error){
			func() ([]Result, error) { return in.Apply(background(), only(tg.pid), set) },
			func() ([]Result, error) { return in.Revert(background(), only(tg.pid), nil) },
		} {
			rs, err := do()
			if err != nil || len(rs) != 1 {
				t.Fatal(rs, err)
			}
			switch rs[0].Word {
			case Applied, Reverted, NotApplied, NotLoaded, Gone, Busy:
				count[rs[0].Word]++
			default:
				t.Fatalf("%s %s", rs[0].Word, rs[0].Reason)
			}
		}
	}
	t.Log(count)
	if n, _ := tg.statistics(); n < 2 {
		t.Errorf("%d programs", n)
	}
	if _, err := in.Revert(background(), only(tg.pid), nil); err != nil {
		t.Fatal(err)
	}
	tg.backAndForth(set, 2)
	if exe, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(tg.pid), "exe")); err != nil || filepath.Base(exe) != "lifecycle" {
		t.Errorf("it is %s, %v", exe, err)
	}
	tg.unharmed()
	tg.ends()
}
