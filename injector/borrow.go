package injector

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// A loan is one thread of the target that runs a stub of ours.
type loan struct {
	t     *tracer
	th    *thread
	calls []remoteCall
	// original are the registers to go back to.
	original unix.PtraceRegs
	stub     tail
	// storing is where a switchover's stub stores.
	storing span
	// held are signals that came meanwhile, to be sent again.
	held []unix.Signal
}

// borrowLimit is how long one borrowed thread may take to come back.
const borrowLimit = 100 * time.Millisecond

// schedulingLimit is how long a thread that may run may wait for a processor.
const schedulingLimit = 10 * borrowLimit

// run has the target make system calls, in one of its own threads, which is
// stopped only to be sent there. It returns when the last call has been made;
// the thread may then still be about to leave the stub (see tracer.settle).
// The calls must be those of a region, whose success can be seen from outside.
//
// If this program is killed at any point, the thread runs on and the stub puts
// everything back by itself.
func (t *tracer) run(calls []remoteCall, room []tail) (*loan, error) {
	const attempts, patience, pause, longest = 256, 10 * borrowLimit, 10 * time.Microsecond, time.Millisecond
	deadline := time.Now().Add(patience)
	stub, err := t.freeTail(room, stubSize(len(calls)))
	if err != nil {
		return nil, err
	}
	stub.size = stubSize(len(calls))
	var last error
	for try := 0; try < attempts && time.Now().Before(deadline); try++ {
		tids, err := t.lenders()
		if err != nil {
			return nil, err
		}
		var refused refusals
		for _, tid := range tids {
			l, err := t.lend(tid, calls, stub)
			if refused.add(err) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if l == nil {
				continue
			}
			done, err := l.finish()
			if err == nil && !done {
				// It is home again: nobody is in the stub.
				calls, err = t.missing(calls)
				done = len(calls) == 0
			}
			if errors.As(err, &blocked{}) {
				return nil, errors.Join(err, t.clear(stub))
			}
			if err != nil || done {
				return l, err
			}
			last = busyf("thread %d did not get through: signals interrupt it, or its control group is frozen", tid)
			try = 0 // each let it receive what was queued: only time limits that
		}
		if refused.all(tids) {
			return nil, refused.last
		}
		if last == nil {
			last = busyf("no thread stopped at a place from where it can be borrowed")
		}
		// A thread that is in restartable sequences most of the time is not there
		// at some moment, if it is not asked in step with them.
		nanosleep(min(time.Duration(try+1)*pause, longest))
	}
	return nil, last
}

// finish starts the thread and watches until the last call has been made. It
// reports false if a signal came between and the thread had to be sent home.
func (l *loan) finish() (bool, error) {
	if l.th.group {
		return l.step()
	}
	if err := l.t.resume(l.th, unix.PTRACE_CONT); err != nil {
		return false, err
	}
	// It is not held meanwhile: on a full machine it waits for a processor.
	deadline := time.Now().Add(schedulingLimit)
	patience := time.Now().Add(2 * time.Millisecond)
	for {
		var seen error
		ok, err := l.t.wait(earlier(deadline, patience), func() bool {
			var made bool
			made, seen = l.made()
			return made || seen != nil || l.th.stopped || l.th.gone
		})
		if err := errors.Join(err, seen); err != nil {
			return false, err
		}
		switch {
		case l.th.gone:
			return false, nil
		case l.th.stopped:
			return l.home()
		case ok:
			l.t.measure()
			return true, nil
		case !time.Now().Before(deadline):
			return false, busyf("thread %d did not run for %v", l.th.tid, schedulingLimit)
		}
		// It takes long: a full machine, or a call that was refused. Look.
		patience = deadline
		if err := l.t.interrupt(l.th); err != nil {
			return false, err
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// made reports whether all calls have been made. That something can be read
// there is a cheap hint; whether it is ours, maps tells.
func (l *loan) made() (bool, error) {
	var probe [1]byte
	switch err := l.t.p.readAt(probe[:], l.calls[0].args[0]); {
	case errors.Is(err, ErrGone):
		return false, err
	case err != nil:
		return false, nil
	}
	left, err := l.t.missing(l.calls)
	if errors.As(err, &blocked{}) {
		return false, nil
	}
	return len(left) == 0, err
}

// missing are the calls whose effect is not to be seen.
func (t *tracer) missing(calls []remoteCall) ([]remoteCall, error) {
	var maps []mapping
	var err error
	for _, s := range ranges(calls) {
		in, e := t.p.mappingsIn(s)
		maps, err = append(maps, in...), errors.Join(err, e)
	}
	if errors.Is(err, errNoQuery) {
		maps, err = t.p.mappings()
	}
	if err != nil {
		return nil, err
	}
	return unmade(maps, calls)
}

// home deals with a thread that stopped on its way: for a signal, for a
// job-control stop, or because we asked. A thread inside the stub goes back to
// where it was, in its original state, so that the signal meets what it would
// have met without us.
func (l *loan) home() (bool, error) {
	if err := l.t.registers(l.th); err != nil || l.th.gone {
		return false, err
	}
	left := !l.stub.holds(l.th.regs.Rip)
	if !left {
		l.th.regs, l.th.dirty = l.original, true
		if l.th.signal != 0 && causedByCode(l.th.tid) {
			// The stub's, not the process's: it must never see it.
			reason := blockedf("it does not let other code run: that ended in %v", unix.SignalName(l.th.signal))
			l.th.signal = 0
			return false, errors.Join(reason, l.t.flush(l.th), l.t.release(l.th))
		}
	}
	made, err := l.made()
	if err != nil {
		return false, err
	}
	signal := l.th.signal
	if err := errors.Join(l.t.flush(l.th), l.t.release(l.th)); err != nil {
		return false, err
	}
	if !made && left && signal == 0 {
		return false, blockedf("the kernel does not let the process map memory where it is needed (a limit, a filter or a security module)")
	}
	return made, nil
}

// step runs the stub of a process in a job-control stop from one system-call
// stop to the next, and puts the thread back itself, so that it executes
// nothing of its own and stays stopped.
func (l *loan) step() (bool, error) {
	if err := ptrace(unix.PTRACE_SETOPTIONS, l.th.tid, unix.PTRACE_O_TRACESYSGOOD); err != nil {
		return false, l.th.lost("set options", err)
	}
	var failed error
	for stops := 0; stops < 2*len(l.calls) && failed == nil; {
		if err := l.next(); err != nil || l.th.gone {
			return false, err
		}
		if l.th.signal != 0 { // it is being continued by somebody else
			return l.home()
		}
		if !l.th.call {
			continue // the job-control stop, reported once more
		}
		// Two stops a call: at its entry, and at its exit with the result.
		if call := l.calls[stops/2]; stops%2 == 1 && l.th.regs.Rax != call.want {
			failed = refused(call, l.th.regs.Rax)
		}
		stops++
	}
	l.th.regs, l.th.dirty, l.th.group = l.original, true, true
	if err := l.t.flush(l.th); err != nil {
		return false, err
	}
	return failed == nil, failed
}

// next lets the thread run to its next system-call stop, or any other.
func (l *loan) next() error {
	if err := l.t.resume(l.th, unix.PTRACE_SYSCALL); err != nil || l.th.gone {
		return err
	}
	ok, err := l.t.wait(time.Now().Add(borrowLimit), func() bool { return l.th.stopped || l.th.gone })
	if err != nil || l.th.gone {
		return err
	}
	if !ok {
		return busyf("thread %d did not run for %v", l.th.tid, borrowLimit)
	}
	return l.t.registers(l.th)
}

// refused explains a call that answered something else than was wanted.
func refused(c remoteCall, result uint64) error {
	if e := -int64(result); e > 0 && e < 4096 {
		return blockedf("the kernel does not let the process map memory at %#x: %v", c.args[0], unix.Errno(e))
	}
	return blockedf("the kernel mapped memory at %#x instead of %#x", result, c.args[0])
}

// settle makes sure that the borrowed thread is out of the stub, and clears it.
// Precondition: all threads are stopped.
func (l *loan) settle() error {
	if l.th.stopped && !l.th.gone && l.stub.holds(l.th.regs.Rip) {
		l.th.regs, l.th.dirty = l.original, true
		if err := l.t.flush(l.th); err != nil {
			return err
		}
	}
	if !l.th.stopped && !l.th.gone {
		_, _, pc, running, err := taskSyscall(l.t.p.proc, l.th.pid, l.th.tid)
		if err != nil {
			return err
		}
		if running || l.stub.holds(pc) {
			return busyf("thread %d is still inside the stub", l.th.tid)
		}
	}
	return l.t.clear(l.stub)
}
