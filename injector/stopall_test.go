package injector

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/livepatch"
)

// mustHold holds a thread, however full the machine is.
func (t *tracer) mustHold(th *thread) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if ok, err := t.hold(th); ok || err != nil {
			return err
		}
	}
	return errors.New("the thread can't be held")
}

// place has the first thread stand at pc, as if it had been interrupted there
// in a call of branchy(NULL).
func (t *tracer) place(th *thread, pc uint64) error {
	if err := t.mustHold(th); err != nil {
		return err
	}
	if err := t.registers(th); err != nil {
		return err
	}
	const zeroFlag = 1 << 6
	th.regs = inStub(th.regs, pc)
	th.regs.Rdi, th.regs.Eflags, th.dirty = 0, th.regs.Eflags|zeroFlag, true
	return t.flush(th)
}

// TestNoThreadIsLeftInChangedCode: when the bytes change, a thread that stood
// in them stands elsewhere already, so that it is unharmed if this program is
// killed the next moment.
func TestNoThreadIsLeftInChangedCode(t *testing.T) {
	for _, c := range []struct {
		name, entry string
		revert      bool
		offset      int // from the function's entry
		// before and after are how many bytes change before and after the entry.
		before, after uint64
	}{
		{"covered instruction", "stock", false, 3, 0, nearJump},
		{"second nop", "padded", false, 1, slotJump, 2},
		{"padding that becomes a jump", "padded", false, -2, slotJump, 2},
		{"padding where a jump was", "padded", true, -slotJump, slotJump, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, c.entry)
			set := []*livepatch.Container{f.container(t, 2, "branchy")}
			tg := f.startHard(t, "plain")
			in := New(Options{})
			op := operation{kind: opApply, set: set}
			if c.revert {
				rs, err := in.Apply(background(), only(tg.pid), set)
				result(t, Applied, rs, err)
				op = operation{kind: opRevert, match: func(*recordContainer) bool { return true }, restore: true}
			}
			p, function := f.locate(t, tg, "branchy")
			defer p.close()
			now := f.commitAt(t, p, in, op, function+uint64(c.offset))
			if now > function-c.before-1 && now < function+c.after && now != function {
				t.Errorf("the thread stands at %#x, the function begins at %#x", now, function)
			}
			tg.ends() // branchy(NULL) is -1, and the program ends
		})
	}
}

// preparedJob is an operation on a process, with nothing stopped yet.
func preparedJob(t *testing.T, p *process, in *Injector, op operation) (*job, *prepared) {
	t.Helper()
	j := &job{ctx: background(), in: in, p: p, op: op, result: &Result{}}
	if err := j.look(); err != nil {
		t.Fatal(err)
	}
	g, err := j.decide(j.matches())
	if err != nil || g == nil {
		t.Fatal(g, err)
	}
	pr, err := j.prepare(g)
	if err != nil {
		t.Fatal(err)
	}
	return j, pr
}

// commitAt runs an operation up to the commit, with a thread standing at pc,
// and tells where the thread stands before it is let go.
func (f *fixture) commitAt(t *testing.T, p *process, in *Injector, op operation, pc uint64) (now uint64) {
	t.Helper()
	j, pr := preparedJob(t, p, in, op)
	err := trace(p, func(tr *tracer) error {
		if err := j.claim(tr); err != nil {
			return err
		}
		c, l, err := j.establish(tr, pr)
		if err != nil {
			return err
		}
		th := tr.threads[0]
		if err := tr.place(th, pc); err != nil {
			return err
		}
		if err := j.commit(tr, c, l); err != nil {
			return err
		}
		var regs unix.PtraceRegs
		err = unix.PtraceGetRegs(th.tid, &regs)
		now = regs.Rip
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// TestThreadsWithoutEnd: a process that starts threads faster than they can be
// stopped gets an answer, and is not held for longer than the timeout.
func TestThreadsWithoutEnd(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.startHard(t, "chain")
	in := New(Options{Timeout: time.Second})
	for range 20 {
		start := time.Now()
		rs, err := in.Apply(background(), only(tg.pid), set)
		if err != nil || rs[0].Word != Applied && rs[0].Word != Busy {
			t.Fatalf("%+v, %v", rs, err)
		}
		if took := time.Since(start); took > 10*time.Second || rs[0].Stopped > 3*time.Second {
			t.Errorf("after %v: %+v", took, rs[0])
		}
		t.Logf("%s after %v, held for %v", rs[0].Word, time.Since(start), rs[0].Stopped)
		if _, err := in.Revert(background(), only(tg.pid), nil); err != nil {
			t.Fatal(err)
		}
	}
	tg.ends()
}

// TestStoppedMeansAll: no thread escapes the stop by having been started by one
// that ended before it could be attached to.
func TestStoppedMeansAll(t *testing.T) {
	f := newFixture(t, "stock")
	tg := f.startHard(t, "chain")
	p := tg.opened()
	for range 500 {
		err := trace(p, func(tr *tracer) error {
			if err := tr.stopAll(time.Now().Add(10*time.Second), nil); err != nil {
				return err
			}
			tids, err := p.tasks()
			if err != nil {
				return err
			}
			for _, tid := range tids {
				if st, err := readTaskStatus("/proc", tg.pid, tid); err == nil && st.State != 't' {
					t.Errorf("thread %d is in state %c", tid, st.State)
				}
			}
			return nil
		})
		var b *busy
		if err != nil && !errors.As(err, &b) {
			t.Fatal(err)
		}
	}
	tg.ends()
}

// TestExecThatWaitsForATracer: while a thread calls exec and another one is a
// zombie that its tracer has not waited for, the kernel lets nobody attach. The
// process gets an answer all the same, and the others theirs.
func TestExecThatWaitsForATracer(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	stuck, tg := f.startHard(t, "execs"), f.startHard(t, "plain")
	p, err := openProcess("/proc", stuck.pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	tids, err := p.tasks()
	if err != nil || len(tids) != 3 {
		t.Fatal(tids, err)
	}
	in := New(Options{Jobs: 1})
	in.patience = 5 * time.Second
	err = trace(p, func(tr *tracer) error {
		if _, err := tr.seize(stuck.pid, tids[1]); err != nil {
			return err
		}
		if _, err := stuck.stdin.Write([]byte("x")); err != nil {
			return err
		}
		awaitState(t, stuck.pid, 'Z')
		begun := time.Now()
		rs, err := in.Apply(background(), Selection{PIDs: []int{stuck.pid, tg.pid}}, set)
		if err != nil || len(rs) != 2 {
			t.Fatal(rs, err)
		}
		for _, r := range rs {
			if want := map[int]Word{stuck.pid: Busy, tg.pid: Applied}[r.PID]; r.Word != want {
				t.Errorf("pid %d: %s %s, want %s", r.PID, r.Word, r.Reason, want)
			}
			for _, p := range r.Patches {
				if after := p.Time.Sub(begun); after > in.patience-time.Second {
					t.Errorf("it had to wait for the other process: patched after %v", after)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	tg.says(v2)
	stuck.ends()
}

// TestBusyIsNotNoticed: where threads are let go without any change, their
// system calls go on, too.
func TestBusyIsNotNoticed(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.startHard(t, "blocked")
	hasty, in := New(Options{Timeout: time.Nanosecond}), New(Options{Restore: true})
	busy := 0
	// Where many wait for a processor, its threads may have stopped before we look.
	for round, end := 0, time.Now().Add(time.Minute); round < 30 || busy == 0 && time.Now().Before(end); round++ {
		rs, err := hasty.Apply(background(), only(tg.pid), set)
		if err != nil || len(rs) != 1 || rs[0].Word != Busy && rs[0].Word != Applied {
			t.Fatalf("%+v, %v", rs, err)
		}
		if rs[0].Word == Busy {
			busy++
			tg.says(old)
			continue
		}
		tg.says(v2)
		rs, err = in.Revert(background(), only(tg.pid), nil)
		result(t, Reverted, rs, err)
		tg.says(old)
	}
	if busy == 0 {
		t.Error("it was never busy")
	}
	tg.unharmed()
	tg.ends()
}
