package injector

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/livepatch"
)

// TestSwitchLeftBehind: an injector is killed while its thread is in the stub
// that stores the slots, and the process is stopped before that has begun. What
// the stub is going to store must not meet the change of another injector.
func TestSwitchLeftBehind(t *testing.T) {
	f := newFixture(t, "stock")
	first := []*livepatch.Container{f.container(t, 2, "answer", "second")}
	next := []*livepatch.Container{f.container(t, 3, "answer")}
	tg := f.startHard(t, "plain")
	in := New(Options{})
	rs, err := in.Apply(background(), only(tg.pid), first)
	result(t, Applied, rs, err)
	p, _ := f.locate(t, tg, "answer")
	defer p.close()
	f.leaveInSwitch(t, p, func(*loan, switchover, uint64) error { return unix.Kill(tg.pid, unix.SIGSTOP) })
	rs, err = in.Apply(background(), only(tg.pid), next)
	result(t, Busy, rs, err)
	if err := unix.Kill(tg.pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	tg.says(old)
	rs, err = in.Status(background(), only(tg.pid))
	result(t, NotApplied, rs, err)
	rs, err = in.Apply(background(), only(tg.pid), first)
	result(t, Applied, rs, err)
	tg.says(v2)
	tg.ends()
}

// leaveInSwitch sends a thread into the stub that reverts everything, calls meanwhile
// and ends as if the injector had been killed.
func (f *fixture) leaveInSwitch(t *testing.T, p *process, meanwhile func(*loan, switchover, uint64) error) {
	t.Helper()
	j, pr := preparedJob(t, p, New(Options{}), operation{kind: opRevert, match: func(*recordContainer) bool { return true }})
	err := trace(p, func(tr *tracer) error {
		if err := j.claim(tr); err != nil {
			return err
		}
		c, _, err := j.establish(tr, pr)
		if err != nil {
			return err
		}
		page, err := j.controlPage(c.controlAt, c.known)
		if err != nil {
			return err
		}
		s := c.switchover(page)
		stub, ok, err := tr.cleanTail(c.rooms(j), switchSize(len(s.words)))
		if err != nil || !ok {
			return errors.Join(err, errors.New("no room"))
		}
		th, err := tr.ready(p.pid)
		if err != nil || th == nil {
			return errors.Join(err, errors.New("the thread can't be held"))
		}
		l, mask, err := tr.intoSwitch(th, s, stub)
		if err != nil {
			return err
		}
		return errors.Join(tr.flush(th), meanwhile(l, s, mask))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestStoppedBetweenStores: a thread that SIGSTOP meets between two stores makes the
// others before it stops.
func TestStoppedBetweenStores(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer", "second")}
	tg := f.startHard(t, "plain")
	in := New(Options{})
	rs, err := in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	p, _ := f.locate(t, tg, "answer")
	defer p.close()
	f.leaveInSwitch(t, p, func(l *loan, s switchover, mask uint64) error {
		const storesMade = 1
		for l.th.regs.Rip < l.storing.start+20*storesMade {
			if err := l.t.resume(l.th, unix.PTRACE_SINGLESTEP); err != nil {
				return err
			}
			if _, err := l.t.wait(time.Now().Add(10*time.Second), func() bool { return l.th.stopped }); err != nil {
				return err
			}
			l.th.signal = 0 // the step's
			if err := l.t.registers(l.th); err != nil {
				return err
			}
		}
		if err := unix.Tgkill(tg.pid, tg.pid, unix.SIGSTOP); err != nil {
			return err
		}
		done, err := l.drive(s, mask)
		if err == nil && !done {
			err = errors.New("not all was stored")
		}
		return err
	})
	for deadline := time.Now().Add(10 * time.Second); ; nanosleep(time.Millisecond) {
		if st, err := readStat("/proc", tg.pid); err != nil || st.state == 'T' {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("SIGSTOP is lost")
		}
	}
	if err := unix.Kill(tg.pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	tg.says(old)
	rs, err = in.Status(background(), only(tg.pid))
	result(t, NotApplied, rs, err)
	tg.ends()
}
