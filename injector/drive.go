package injector

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// drive lets a thread run that is in a switchover's stub, and reports whether all
// was stored. If so, or if there is no error, it is out of there afterwards.
func (l *loan) drive(s switchover, mask uint64) (bool, error) {
	if err := l.t.resume(l.th, unix.PTRACE_CONT); err != nil {
		return false, err
	}
	const most = 4
	done, err := l.stored(s)
	for try := 0; err == nil && !done && try < most; try++ {
		again, e := l.goOn()
		if err = e; err != nil || !again {
			break
		}
		done, err = l.stored(s)
	}
	if err != nil || !done {
		return false, errors.Join(err, l.recall(mask))
	}
	l.t.measure()
	return true, errors.Join(l.leave(mask), l.sendHeld())
}

// goOn lets a thread run on that was stopped between two stores: taken home from
// there it would leave half a change. A signal for it waits until it is home. It
// reports false if it is elsewhere.
func (l *loan) goOn() (bool, error) {
	if !l.th.stopped || l.th.gone {
		return false, nil
	}
	if err := l.t.registers(l.th); err != nil || l.th.gone || !l.betweenStores() {
		return false, err
	}
	if l.th.signal != 0 {
		l.held = append(l.held, l.th.signal)
	}
	l.th.signal, l.th.group = 0, false
	return true, l.t.resume(l.th, unix.PTRACE_CONT)
}

// betweenStores says whether a stopped thread has made some of a switchover's
// stores, can make the others, and has yet to.
func (l *loan) betweenStores() bool {
	pc := l.th.regs.Rip
	return pc > l.storing.start && pc < l.storing.end && (l.th.signal == 0 || !causedByCode(l.th.tid))
}

// sendHeld sends the signals again that were held back.
func (l *loan) sendHeld() error {
	var err error
	for _, sig := range l.held {
		if e := unix.Tgkill(l.th.pid, l.th.tid, sig); !errors.Is(e, unix.ESRCH) {
			err = errors.Join(err, e)
		}
	}
	l.held = nil
	return err
}

// stored waits until the control page has the new sequence number; false if
// the thread stopped, ended or came home without that.
func (l *loan) stored(s switchover) (bool, error) {
	const patience = 2 * time.Millisecond
	page := make([]byte, pageSize)
	made := func() (bool, error) {
		err := l.t.p.readAt(page, s.page)
		c := decodeStatement(page, int(s.sequence%2))
		return err == nil && c != nil && c.sequence == s.sequence, err
	}
	for deadline := time.Now().Add(schedulingLimit); time.Now().Before(deadline); {
		var seen error
		done := false
		_, err := l.t.wait(earlier(deadline, time.Now().Add(patience)), func() bool {
			done, seen = made()
			return done || seen != nil || l.th.stopped || l.th.gone
		})
		if err := errors.Join(err, seen); err != nil || done || l.th.stopped || l.th.gone {
			return done, err
		}
		// It takes long: a full machine, or a call that the kernel refused.
		if out, err := l.look(); err != nil || out {
			done, seen := made()
			return done, errors.Join(err, seen)
		}
	}
	return false, nil
}

// recall takes a thread out of a stub in which it did not get to the end, and
// puts it back where it was.
func (l *loan) recall(mask uint64) error {
	if !l.th.stopped && !l.th.gone {
		if err := l.t.interrupt(l.th); err != nil {
			return err
		}
		ok, err := l.t.wait(time.Now().Add(schedulingLimit), func() bool { return l.th.stopped || l.th.gone })
		if err != nil {
			return err
		}
		if !ok {
			return busyf("thread %d did not run for %v", l.th.tid, schedulingLimit)
		}
	}
	return errors.Join(l.putBack(mask), l.sendHeld())
}

// putBack lets a stopped thread run on, with its own registers and signal mask
// if it is inside the stub.
func (l *loan) putBack(mask uint64) error {
	if l.th.gone {
		return nil
	}
	if err := l.t.registers(l.th); err != nil || l.th.gone {
		return err
	}
	inside := l.stub.holds(l.th.regs.Rip)
	if inside && l.betweenStores() {
		return errors.Join(busyf("thread %d is held between two stores", l.th.tid), l.t.release(l.th))
	}
	if inside {
		if l.th.signal != 0 && causedByCode(l.th.tid) {
			l.th.signal = 0 // the stub's, not the process's
		}
		l.th.regs, l.th.dirty = l.original, true
		if err := setSignalMask(l.th.tid, mask); err != nil {
			return l.th.lost("set the signal mask", err)
		}
	}
	return errors.Join(l.t.flush(l.th), l.t.release(l.th))
}

// leave waits until the thread has left the stub, whose stores are made. One
// that sleeps again elsewhere has; one that runs on is stopped once more, to see
// where it is.
func (l *loan) leave(mask uint64) error {
	const looks, running = 64, 4 // looks at all, and at a thread that runs
	ran := 0
	for range looks {
		if l.th.stopped || l.th.gone {
			break
		}
		_, _, pc, runs, err := taskSyscall(l.t.p.proc, l.th.pid, l.th.tid)
		switch {
		case errors.Is(err, ErrGone):
			l.th.gone = true
			return nil
		case err != nil:
			return err
		case !runs && !l.stub.holds(pc):
			return nil
		case runs:
			ran++
		}
		if ran == running {
			out, err := l.look()
			if err != nil || out {
				return err
			}
			ran = 0
		}
		if _, err := l.t.poll(); err != nil {
			return err
		}
		schedYield()
	}
	return l.recall(mask)
}

// look stops a thread, and reports whether it is out of the stub. If it is not
// it runs on in there.
func (l *loan) look() (bool, error) {
	if err := l.t.interrupt(l.th); err != nil {
		return false, err
	}
	ok, err := l.t.wait(time.Now().Add(borrowLimit), func() bool { return l.th.stopped || l.th.gone })
	if err != nil || !ok || l.th.gone || l.th.signal != 0 {
		return l.th.gone, err
	}
	if err := l.t.registers(l.th); err != nil {
		return false, err
	}
	return !l.stub.holds(l.th.regs.Rip), l.t.release(l.th)
}

// withdraw makes sure that the thread is out of the stub that mapped memory,
// and clears it. The thread stays stopped, and a signal that it is about to
// receive meets it at home. It reports false if it could not be stopped in time.
func (l *loan) withdraw(limit time.Duration) (bool, error) {
	l.t.lender = l.th
	if err := l.t.interrupt(l.th); err != nil {
		return false, err
	}
	ok, err := l.t.wait(time.Now().Add(limit), func() bool { return l.th.stopped || l.th.gone })
	if err != nil || !ok {
		return false, err
	}
	if !l.th.gone {
		if err := l.t.registers(l.th); err != nil {
			return false, err
		}
		if !l.th.gone && l.stub.holds(l.th.regs.Rip) {
			l.th.regs, l.th.dirty = l.original, true
			if err := l.t.flush(l.th); err != nil {
				return false, err
			}
		}
	}
	return true, l.t.clear(l.stub)
}
