package injector

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// callRules say in which thread functions are called, and for how long.
type callRules struct {
	// asleep: only in a thread that sleeps in a system call. One that runs may
	// hold any lock.
	asleep bool
	// limit is how long all functions together may take.
	limit time.Duration
	// suspendSeccomp lifts the thread's seccomp filter meanwhile.
	suspendSeccomp bool
}

// callLimit is how long functions that only compute something may take: no
// time, but for the processor that they wait for.
const callLimit = 2 * schedulingLimit

// A remoteRun is one thread that runs the stub of a workplace.
type remoteRun struct {
	*loan
	w    *workplace
	stub callStub
	// mask are the signals that the thread itself blocks.
	mask uint64
	// deadline is until when the functions, and then the way home, may take.
	deadline time.Time
	// group: the thread is in a job-control stop, and shall stay in it.
	group bool
	// functions are what it calls, failure says why one of them did not return.
	functions []remoteFunction
	failure   string
}

// call has a thread of the target call the functions, and returns what they
// returned. When it returns, the thread is where it was, in its old state, and
// no thread is in the workplace; unless it answers errStuck.
//
// If this program is killed at any point, the functions return all the same and
// the stub puts the thread back by itself.
func (t *tracer) call(w *workplace, functions []remoteFunction, rules callRules) ([]uint64, error) {
	deadline := time.Now().Add(schedulingLimit)
	for {
		tids, err := t.lenders()
		if err != nil {
			return nil, err
		}
		results, err := t.callAny(tids, w, functions, rules)
		if err != nil || results != nil {
			return results, err
		}
		if !time.Now().Before(deadline) {
			return nil, busyf("there is no thread of it in which a function could be called")
		}
		// Whoever is on the way to sleep shall get there, signals and all.
		const moment = 200 * time.Microsecond
		t.lender = nil
		if _, err := t.wait(time.Now().Add(moment), func() bool { return false }); err != nil {
			return nil, err
		}
	}
}

// callAny asks one thread after the other; no results and no error mean that
// none of them could be used just now.
func (t *tracer) callAny(tids []int, w *workplace, functions []remoteFunction, rules callRules) ([]uint64, error) {
	var refused refusals
	for _, tid := range tids {
		r, err := t.callIn(tid, w, functions, rules)
		switch {
		case refused.add(err), err == nil && r == nil:
			continue
		case err != nil:
			return nil, err
		}
		results, err := r.run(rules)
		var failure *callFailure
		if err != nil && !errors.As(err, &failure) {
			return nil, fmt.Errorf("%w: %w", errStuck, err)
		}
		if err != nil || results != nil {
			return results, err
		}
	}
	if refused.all(tids) {
		return nil, refused.last
	}
	return nil, nil
}

// callIn stops a thread and prepares to send it into the stub; nil if this
// thread can't be used now.
func (t *tracer) callIn(tid int, w *workplace, functions []remoteFunction, rules callRules) (*remoteRun, error) {
	th, err := t.ready(tid)
	if err != nil || th == nil {
		return nil, err
	}
	switch {
	case rules.asleep && !restarts(&th.regs),
		regsetSize(th.tid, regsetXState) > stateRoom,
		// A function that is given up on would leave the shadow stack higher.
		regsetSize(th.tid, regsetShadowStack) != 0:
		return nil, t.release(th)
	}
	mask, err := signalMask(th.tid)
	if err != nil {
		return nil, errors.Join(th.lost("read the signal mask", err), t.release(th))
	}
	r := &remoteRun{loan: &loan{t: t, th: th, original: th.regs}, w: w, mask: mask, functions: functions, group: th.group}
	resume := afterStub(&r.original)
	r.stub = assembleCalls(w, functions, &resume)
	code := func(*unix.PtraceRegs) []byte { return r.stub.code }
	if err := t.permits(th, r.stub.calls, w.base, code); err != nil {
		return nil, errors.Join(err, t.release(th))
	}
	if err := w.prepare(t.p, r.stub.code, mask); err != nil {
		return nil, errors.Join(err, t.release(th))
	}
	if err := r.options(rules.suspendSeccomp); err != nil {
		return nil, errors.Join(err, t.release(th))
	}
	th.regs, th.dirty = inStub(r.original, w.base), true
	if err := errors.Join(t.flush(th), r.setMask(blockable|mask)); err != nil {
		return nil, fmt.Errorf("%w: %w", errStuck, err)
	}
	return r, nil
}

// setMask sets the signals that the thread blocks. The stub does the same by
// itself, at its start and at its end; but a signal that waits already would be
// delivered before its first instruction.
func (r *remoteRun) setMask(mask uint64) error {
	if err := setSignalMask(r.th.tid, mask); err != nil {
		return r.th.lost("set the signal mask", err)
	}
	return nil
}

// options sets how the thread is traced.
func (r *remoteRun) options(suspend bool) error {
	const suspendSeccomp = 1 << 21 // PTRACE_O_SUSPEND_SECCOMP
	options := uintptr(unix.PTRACE_O_TRACESYSGOOD)
	if suspend {
		options |= suspendSeccomp
	}
	err := ptrace(unix.PTRACE_SETOPTIONS, r.th.tid, options)
	if suspend && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL)) {
		return blockedf("its seccomp filter can't be suspended: %v (that takes CAP_SYS_ADMIN and a kernel with CONFIG_CHECKPOINT_RESTORE)", err)
	}
	if err != nil {
		return r.th.lost("set options", err)
	}
	return nil
}

// run lets the thread run until it is about to leave the stub, and puts it
// where it was. No results and no error mean that a signal came first and
// nothing has been called.
func (r *remoteRun) run(rules callRules) ([]uint64, error) {
	r.deadline = time.Now().Add(rules.limit)
	for {
		if err := r.t.resume(r.th, unix.PTRACE_SYSCALL); err != nil {
			return nil, err
		}
		r.t.measure()
		if err := r.await(); err != nil {
			return nil, err
		}
		if !r.th.gone {
			if err := r.t.registers(r.th); err != nil {
				return nil, err
			}
		}
		if r.th.gone {
			return nil, r.ended()
		}
		home, err := r.stopped()
		if err != nil {
			return nil, err
		}
		if home {
			return r.finish(rules)
		}
	}
}

// ended says what became of a thread that is not there any more.
func (r *remoteRun) ended() error {
	if err := r.t.p.verify(); err != nil {
		return err
	}
	results, err := r.w.results(r.t.p)
	if err != nil {
		return err
	}
	return &callFailure{r.functions[min(len(results), len(r.functions)-1)].name, "ended its thread"}
}

// await waits for the next stop. After the deadline it stops the thread itself.
func (r *remoteRun) await() error {
	stopped := func() bool { return r.th.stopped || r.th.gone }
	if ok, err := r.t.wait(r.deadline, stopped); err != nil || ok {
		return err
	}
	if err := r.t.interrupt(r.th); err != nil {
		return err
	}
	ok, err := r.t.wait(time.Now().Add(schedulingLimit), stopped)
	if err != nil || ok {
		return err
	}
	return busyf("thread %d does not come back from a function that it was to call", r.th.tid)
}

// errStuck: a thread may still be in a workplace.
var errStuck = errors.New("a borrowed thread is not back")

// stopped deals with a stop of the thread, and reports whether all of its state
// is as before, but for the registers that are set when it goes home.
func (r *remoteRun) stopped() (bool, error) {
	const atEntry = -int64(unix.ENOSYS) // what rax holds at the entry of a system call
	at := r.th.regs.Rip - r.w.base
	inside := r.w.holds(r.th.regs.Rip)
	if !inside && waitsOn(&r.th.regs) && waitsOn(&r.original) {
		giveUpWait(&r.original) // a thread has one wait to go on with: it is the function's now
	}
	switch {
	case r.th.signal != 0:
		return r.signalled(inside, at), nil
	case !r.th.call:
		r.group = r.th.group
	case inside && at >= r.stub.leave && int64(r.th.regs.Rax) != atEntry:
		return true, nil
	}
	switch late := time.Now().After(r.deadline); {
	case late && r.failure != "":
		return false, busyf("thread %d does not come back from a function that %s", r.th.tid, r.failure)
	case late:
		r.abandon("did not return in time")
	}
	return false, nil
}

// signalled deals with a signal, and reports whether the thread can go home.
// Before its state is saved and after it is restored, it does so at once. A
// function that causes a signal is given up on, and the process never sees the
// signal; others are for the process, which gets them afterwards.
func (r *remoteRun) signalled(inside bool, at uint64) bool {
	sig := r.th.signal
	r.th.signal = 0
	caused := causedByCode(r.th.tid)
	if !caused {
		r.held = append(r.held, sig)
	} else if r.failure == "" {
		r.failure = "ended in " + unix.SignalName(sig)
	}
	switch {
	case inside && (at < r.stub.saved || at >= r.stub.leave), inside && at >= r.stub.restore && caused:
		return true
	case caused:
		r.abandon(r.failure)
	}
	return false
}

// abandon has the thread restore its state without finishing what it is at.
func (r *remoteRun) abandon(why string) {
	r.failure = why
	r.th.regs, r.th.dirty = inStub(r.th.regs, r.w.base+r.stub.restore), true
	r.deadline = time.Now().Add(schedulingLimit)
}

// finish puts the thread where it was, and reads the results.
func (r *remoteRun) finish(rules callRules) ([]uint64, error) {
	err := errors.Join(r.setMask(r.mask), r.goHome(r.group))
	if rules.suspendSeccomp {
		err = errors.Join(err, r.options(false))
	}
	err = errors.Join(err, r.sendHeld())
	results, e := r.w.results(r.t.p)
	if err := errors.Join(err, e, r.t.release(r.th)); err != nil {
		return nil, err
	}
	r.t.lender = nil
	switch {
	case len(results) == len(r.functions):
		return results, nil
	case r.failure != "":
		return nil, &callFailure{r.functions[len(results)].name, r.failure}
	}
	return nil, nil
}

// callFailure is the error of a function that did not return.
type callFailure struct{ function, what string }

func (f *callFailure) Error() string { return f.function + " " + f.what }

// goHome puts a stopped thread where it was. group says that it shall stay
// stopped. At the exit of a system call the kernel does not look whether another
// one is to be restarted, so that it is done here, as the stub does it.
func (l *loan) goHome(group bool) error {
	l.th.regs, l.th.dirty = l.original, true
	if l.th.call && !group {
		l.th.regs = afterStub(&l.original)
	}
	l.th.call, l.th.group = false, group
	return l.t.flush(l.th)
}

// dismiss takes the thread out of a stub that has done its work, clears that and
// lets the thread run on.
func (l *loan) dismiss() error {
	out, err := l.withdraw(schedulingLimit)
	if err == nil && !out {
		err = busyf("thread %d did not run for %v", l.th.tid, schedulingLimit)
	}
	if !out {
		return err
	}
	err = errors.Join(err, l.t.release(l.th))
	l.t.lender = nil
	return err
}

// once runs a stub with one system call to the end of that call, and puts the
// thread back itself. It reports false if a signal came first: then the call
// has not been made.
func (l *loan) once() (bool, error) {
	group := l.th.group
	if err := ptrace(unix.PTRACE_SETOPTIONS, l.th.tid, unix.PTRACE_O_TRACESYSGOOD); err != nil {
		return false, l.th.lost("set options", err)
	}
	stops := 0 // one at the entry of the call, one at its exit
	for stops < 2 && l.th.signal == 0 {
		if err := l.t.resume(l.th, unix.PTRACE_SYSCALL); err != nil {
			return false, err
		}
		ok, err := l.t.wait(time.Now().Add(schedulingLimit), func() bool { return l.th.stopped || l.th.gone })
		switch {
		case err != nil:
			return false, err
		case !ok:
			return false, busyf("thread %d did not run for %v", l.th.tid, schedulingLimit)
		case l.th.gone:
			return stops > 0, nil
		case l.th.call:
			stops++
		}
	}
	if err := l.t.registers(l.th); err != nil || l.th.gone {
		return stops == 2, err
	}
	return l.afterOnce(stops == 2, group)
}

func (l *loan) afterOnce(made, group bool) (bool, error) {
	result := l.th.regs.Rax
	caused := l.th.signal != 0 && causedByCode(l.th.tid)
	if caused {
		l.th.signal = 0
	}
	err := errors.Join(l.goHome(group), l.t.clear(l.stub), l.t.release(l.th))
	switch {
	case err != nil:
		return made, err
	case caused:
		return false, blockedf("it does not let other code run")
	case made && result != l.calls[0].want:
		return true, refused(l.calls[0], result)
	}
	return made, nil
}
