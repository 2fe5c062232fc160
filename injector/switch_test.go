package injector

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// startCycle runs testdata/cycle.c, which calls the functions from every processor.
func (f *fixture) startCycle(t *testing.T) *target {
	t.Helper()
	program := filepath.Join(f.dir, "cycle")
	gcc(t, "-O2", "-pthread", "-o", program, "testdata/cycle.c", f.library, "-Wl,-rpath,$ORIGIN")
	return startTarget(t, exec.Command(program, strconv.Itoa(runtime.NumCPU())))
}

// TestSwitchedUnderLoad replaces a set of three functions by another one again
// and again, while every processor calls them: each answer is one that a
// complete set gives, and both sets are seen.
func TestSwitchedUnderLoad(t *testing.T) {
	for _, entry := range []string{"stock", "padded endbr"} {
		t.Run(entry, func(t *testing.T) {
			f := newFixture(t, entry)
			functions := []string{"answer", "second", "branchy"}
			sets := [][]*livepatch.Container{{f.container(t, 2, functions...)}, {f.container(t, 3, functions...)}}
			tg := f.startCycle(t)
			in := New(Options{})
			rs, err := in.Apply(background(), only(tg.pid), sets[0])
			result(t, Applied, rs, err)
			before := tg.changes()
			cycles := rounds(500, 10000)
			for i := range cycles {
				rs, err = in.Replace(background(), only(tg.pid), sets[(i+1)%2])
				result(t, Replaced, rs, err)
			}
			if seen := tg.changes() - before; seen < cycles/2 {
				t.Errorf("%d changes seen in %d cycles", seen, cycles)
			}
			for range cycles / 10 {
				rs, err = in.Revert(background(), only(tg.pid), nil)
				result(t, Reverted, rs, err)
				rs, err = in.Apply(background(), only(tg.pid), sets[1])
				result(t, Applied, rs, err)
			}
			tg.unharmed()
			tg.ends()
		})
	}
}

// changes asks testdata/cycle.c how often answers have changed.
func (tg *target) changes() int {
	tg.t.Helper()
	if _, err := tg.stdin.Write([]byte("x")); err != nil {
		tg.t.Fatalf("pid %d: %v (%v)", tg.pid, err, tg.cmd.Wait())
	}
	line, ok := <-tg.lines
	n, err := strconv.Atoi(line[min(len(line), len("state ")):])
	if !ok || err != nil {
		tg.t.Fatalf("pid %d says %q: %v", tg.pid, line, err)
	}
	return n
}

// TestSwitchStopsNobodyElse: a thread that can't be attached to, because
// somebody else traces it, is in the way of the first installation only.
func TestSwitchStopsNobodyElse(t *testing.T) {
	f := newFixture(t, "stock")
	first, next := []*livepatch.Container{f.container(t, 2, "answer", "second")}, []*livepatch.Container{f.container(t, 3, "answer", "second")}
	tg := f.start(t, 0, 3)
	in := New(Options{})
	rs, err := in.Apply(background(), only(tg.pid), first)
	result(t, Applied, rs, err)
	tids, err := listTasks("/proc", tg.pid)
	if err != nil {
		t.Fatal(err)
	}
	p := tg.opened()
	err = trace(p, func(tr *tracer) error {
		if _, err := tr.seize(tg.pid, tids[len(tids)-1]); err != nil {
			return err
		}
		rs, err := in.Replace(background(), only(tg.pid), next)
		result(t, Replaced, rs, err)
		rs, err = in.Revert(background(), only(tg.pid), nil)
		result(t, Reverted, rs, err)
		rs, err = in.Apply(background(), only(tg.pid), first)
		result(t, Applied, rs, err)
		rs, err = New(Options{Restore: true}).Revert(background(), only(tg.pid), nil)
		result(t, Blocked, rs, err)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	tg.expect(old, v2)
}

// TestSwitchedPageIsNotWritable: the control page, to which jumps lead, is
// writable for the time of a switchover only, and never with code in it.
func TestSwitchedPageIsNotWritable(t *testing.T) {
	f := newFixture(t, "stock")
	tg := f.startHard(t, "plain")
	in := New(Options{})
	for _, set := range [][]*livepatch.Container{{f.container(t, 2, "answer")}, {f.container(t, 3, "answer")}} {
		rs, err := in.Replace(background(), only(tg.pid), set)
		if err != nil || len(rs) != 1 || !rs[0].Word.OK() {
			t.Fatal(rs, err)
		}
	}
	p := tg.opened()
	maps, err := p.mappings()
	if err != nil {
		t.Fatal(err)
	}
	led, err := readLedger(p, maps)
	if err != nil || led == nil {
		t.Fatal(led, err)
	}
	if m, ok := findMapping(maps, led.address); !ok || m.write || m.exec || m.end-m.start != pageSize {
		t.Errorf("the control page is in %+v", m)
	}
	tg.says(v3)
	tg.ends()
}

// TestSwitchKeepsTheSignalMask: a borrowed thread blocks the signals afterwards
// that it blocked before.
func TestSwitchKeepsTheSignalMask(t *testing.T) {
	f := newFixture(t, "stock")
	sets := [][]*livepatch.Container{{f.container(t, 2, "answer")}, {f.container(t, 3, "answer")}}
	tg := f.startHard(t, "plain")
	before := maskOf(t, tg)
	in := New(Options{})
	for i := range rounds(100, 5000) {
		rs, err := in.Replace(background(), only(tg.pid), sets[i%2])
		if err != nil || len(rs) != 1 || !rs[0].Word.OK() {
			t.Fatal(rs, err)
		}
		if now := maskOf(t, tg); now != before {
			t.Fatalf("round %d: it blocks %#x, at first %#x", i, now, before)
		}
	}
	tg.ends()
}

func maskOf(t *testing.T, tg *target) (mask uint64) {
	t.Helper()
	p := tg.opened()
	err := trace(p, func(tr *tracer) error {
		th, err := tr.seize(tg.pid, tg.pid)
		if err != nil {
			return err
		}
		if _, err := tr.hold(th); err != nil {
			return err
		}
		mask, err = signalMask(th.tid)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return mask
}
