package injector

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// busy: a thread could not be brought to a safe place in time: result BUSY.
type busy struct{ reason string }

func (b *busy) Error() string { return b.reason }

func busyf(format string, args ...any) error { return &busy{fmt.Sprintf(format, args...)} }

// stopAll brings every thread of the process, and of processes that share its
// memory, to a stop, with its registers read. A thread that can't stop (the
// parent of a vfork, an uninterruptible wait, a frozen cgroup) counts as
// stopped if it sleeps in the kernel at a place that safe approves of; safe may
// be nil if none is.
//
// Whatever it returns, letGo must follow.
func (t *tracer) stopAll(deadline time.Time, safe func(pc uint64) bool) error {
	if _, err := t.seizeAll(); err != nil {
		return err
	}
	newest := t.files.newestPID()
	if err := t.seizeSharers(); err != nil {
		return err
	}
	t.stopping = true
	for {
		before := len(t.threads)
		if err := t.stopSeized(deadline, safe); err != nil {
			return err
		}
		// A thread may have been created before its creator stopped.
		complete, err := t.seizeAll()
		if err != nil {
			return err
		}
		if complete && len(t.threads) == before {
			if newest, err = t.seizeNewSharers(newest); err != nil {
				return err
			}
		}
		if complete && len(t.threads) == before {
			return t.readRegisters()
		}
		if !time.Now().Before(deadline) {
			return busyf("it keeps starting threads")
		}
	}
}

func (t *tracer) stopSeized(deadline time.Time, safe func(pc uint64) bool) error {
	for _, th := range t.threads {
		if err := t.interrupt(th); err != nil {
			return err
		}
	}
	// Asking for one after the other: of any, the kernel would look at all that
	// have stopped already for every one.
	next := 0
	done := func() bool {
		for next < len(t.threads) && (t.threads[next].stopped || t.threads[next].gone) {
			next++
		}
		return next == len(t.threads)
	}
	if done() {
		return nil
	}
	poll := func() (bool, error) { return t.pollTask(t.threads[next].tid) }
	// Threads that cannot stop show within moments; the others need the
	// processor first, for which the deadline allows.
	grace := earlier(deadline, time.Now().Add(5*time.Millisecond))
	for {
		ok, err := t.waitBy(poll, grace, done)
		if err != nil || ok {
			return err
		}
		if err := t.pollAll(); err != nil {
			return err
		}
		err = t.excuse(safe)
		var b *busy
		if err == nil || !errors.As(err, &b) || grace.Equal(deadline) {
			return err
		}
		grace = deadline
	}
}

// pollAll takes all news.
func (t *tracer) pollAll() error {
	for news := true; news; {
		var err error
		if news, err = t.poll(); err != nil {
			return err
		}
	}
	return nil
}

// excuse looks at the threads that have not stopped, one by one.
func (t *tracer) excuse(safe func(pc uint64) bool) error {
	for _, th := range t.threads {
		if th.stopped || th.gone {
			continue
		}
		number, _, pc, running, err := taskSyscall(t.p.proc, th.pid, th.tid)
		switch {
		case errors.Is(err, ErrGone):
			th.gone = true
			continue
		case err != nil:
			return err
		case running:
			return busyf("thread %d does not stop", th.tid)
		case safe == nil || !safe(pc):
			return busyf("thread %d does not stop, and it waits at %#x, which is to change", th.tid, pc)
		}
		if number == unix.SYS_VFORK || number == unix.SYS_CLONE || number == unix.SYS_CLONE3 {
			// Its child runs in the same memory and is no thread of it.
			if err := t.stopSharers(); err != nil {
				return err
			}
		}
	}
	return nil
}

// readRegisters reads the registers of all stopped threads and hides the stop
// from those whose system call it would end with EINTR.
func (t *tracer) readRegisters() error {
	for _, th := range t.threads {
		if !th.stopped || th.gone {
			continue
		}
		if err := t.registers(th); err != nil {
			return err
		}
		if err := t.hideStop(th); err != nil {
			return err
		}
	}
	return nil
}
