package injector

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A tracer holds the ptrace attachments to one process. The kernel accepts
// ptrace requests from the attaching thread only (ptrace(2)), so every method
// must run on the goroutine that trace gave it to.
type tracer struct {
	p       *process
	buffers *traceBuffers
	files   *stopFiles
	threads []*thread
	byID    map[int]*thread
	// rings: the process has mapped an io_uring, so that it may have workers,
	// threads of the kernel's own, which are left alone.
	rings   bool
	workers map[int]bool
	// status is the process's when all of its threads had stopped.
	status procStatus
	// claimed is the thread that stays attached from the first look at the
	// ledger to the last write: no two tracers have it.
	claimed *thread
	// stopping: every thread that stops stays so. Otherwise only lender does;
	// others get their signals and run on.
	stopping bool
	lender   *thread
	judge    *judge
	// since is when the first thread was interrupted, stopped the longest time
	// for which threads were held so far.
	since   time.Time
	stopped time.Duration
}

// A thread is one task that the tracer has seized.
type thread struct {
	tid int
	// pid is the process to which the task belongs: the target, or a process
	// that shares its memory.
	pid int
	// stopped: the task is in a ptrace stop and takes requests.
	stopped bool
	// group: it was found in a job-control stop and must stay in one.
	group bool
	// call: it is stopped at the entry or exit of a system call.
	call bool
	// signal is what it was about to receive; it gets it when it is let go.
	signal unix.Signal
	// asked: it has been interrupted, and has not stopped for that yet.
	asked bool
	// gone: the task has ended.
	gone bool
	// known: regs were read in the stop that it is in.
	known bool
	regs  unix.PtraceRegs
	// dirty: regs differ from the task's registers.
	dirty bool
}

// begin opens what is read during stops, runs f and lets everything go.
func (t *tracer) begin(f func(*tracer) error) (err error) {
	if t.files, err = openStopFiles(t.p, t.buffers.file); err != nil {
		return err
	}
	defer t.files.close()
	err = errors.Join(f(t), t.letGo(), t.recallCallers())
	t.stopping = true
	// Those that are just stopping are let go properly, too: left to the kernel,
	// their system calls would end with EINTR.
	const moment = 5 * time.Millisecond
	stopping := func(th *thread) bool { return th.asked && !th.gone && !th.stopped }
	all := func() bool { return !slices.ContainsFunc(t.threads, stopping) }
	ok, late := t.wait(time.Now().Add(moment), all)
	if !ok && late == nil && slices.ContainsFunc(t.threads, func(th *thread) bool { return stopping(th) && !t.uninterruptible(th) }) {
		_, late = t.wait(time.Now().Add(borrowLimit), all)
	}
	return errors.Join(err, late, t.letGo())
}

// recallCallers asks threads to stop that are attached and run, or sleep in a
// system call that the kernel does not restart by itself. If a signal came that
// is ignored, just when the kernel lets them go, their call would end with
// EINTR: signals that are ignored wake a thread if it is traced.
func (t *tracer) recallCallers() error {
	for _, th := range t.threads {
		if th.gone || th.stopped {
			continue
		}
		number, _, _, running, err := taskSyscall(t.p.proc, th.pid, th.tid)
		if err != nil || !running && (number < 0 || !restartable[uint64(number)]) {
			continue // it has ended, or it is in no such call
		}
		if err := t.interrupt(th); err != nil {
			return err
		}
	}
	return nil
}

// uninterruptible says whether a thread waits for something but signals.
func (t *tracer) uninterruptible(th *thread) bool {
	st, err := readTaskStat(t.p.proc, th.pid, th.tid)
	return err != nil || st.state == 'D'
}

// interrupt asks one running task to stop (PTRACE_INTERRUPT): no signal is
// sent, a job-control stop is left in place, and a waiting parent sees nothing.
func (t *tracer) interrupt(th *thread) error {
	if th.gone || th.stopped {
		return nil
	}
	if t.since.IsZero() {
		t.since = time.Now()
	}
	if err := ptrace(unix.PTRACE_INTERRUPT, th.tid, 0); err != nil {
		if errors.Is(err, unix.ESRCH) {
			th.gone = true
			return nil
		}
		return fmt.Errorf("pid %d: thread %d: interrupt: %w", th.pid, th.tid, err)
	}
	th.asked = true
	return nil
}

// wait takes the news of tasks until done says so or the deadline passes, and
// reports whether done said so. It spins briefly: a wake-up costs more than
// most stops take; but it sleeps soon, since on a full machine the very task
// that it waits for needs this processor.
func (t *tracer) wait(deadline time.Time, done func() bool) (bool, error) {
	return t.waitBy(t.poll, deadline, done)
}

// waitBy is wait with another way to take news.
func (t *tracer) waitBy(poll func() (bool, error), deadline time.Time, done func() bool) (bool, error) {
	const spins, least, most = 40, 20 * time.Microsecond, time.Millisecond
	pause := least
	for i := 0; ; i++ {
		news, err := poll()
		if err != nil {
			return false, err
		}
		if done() {
			return true, nil
		}
		if news {
			continue
		}
		if !time.Now().Before(deadline) {
			return false, nil
		}
		if i < spins {
			schedYield()
			continue
		}
		nanosleep(pause)
		pause = min(2*pause, most)
	}
}

// poll takes one piece of news, if there is any.
func (t *tracer) poll() (bool, error) { return t.pollTask(-1) }

// pollTask takes one piece of news of one task, or of any if it is -1, for which
// the kernel looks at one after the other.
func (t *tracer) pollTask(which int) (bool, error) {
	tid, ws, err := wait4(which)
	switch {
	case errors.Is(err, unix.EINTR):
		return true, nil
	case errors.Is(err, unix.ECHILD), err == nil && tid == 0:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("pid %d: wait: %w", t.p.pid, err)
	}
	th := t.byID[tid]
	if th == nil {
		return true, nil
	}
	th.take(ws)
	if th.stopped && !th.group && !t.stopping && th != t.lender {
		return true, t.resume(th, unix.PTRACE_CONT)
	}
	return true, nil
}

// take records what a task reported.
func (th *thread) take(ws unix.WaitStatus) {
	if !ws.Stopped() {
		th.gone, th.stopped = true, false
		return
	}
	th.stopped, th.signal, th.group, th.call, th.known = true, 0, false, false, false
	sig := ws.StopSignal()
	switch int(ws) >> 16 {
	case unix.PTRACE_EVENT_STOP:
		th.group, th.asked = sig != unix.SIGTRAP, false
	case 0:
		th.call = sig == syscallStop
		if !th.call {
			th.signal = sig
		}
	}
}

// syscallStop is how PTRACE_O_TRACESYSGOOD marks a system-call stop.
const syscallStop = unix.SIGTRAP | 0x80

// resume lets a stopped task run on, with the registers set for it, still
// attached. request is PTRACE_CONT or PTRACE_SYSCALL.
func (t *tracer) resume(th *thread, request int) error {
	if err := t.hide(th); err != nil {
		return err
	}
	if err := ptrace(request, th.tid, uintptr(th.signal)); err != nil {
		return th.lost("continue", err)
	}
	th.stopped, th.signal = false, 0
	return nil
}

// hide prepares a task to run on as if it had not been stopped.
func (t *tracer) hide(th *thread) error {
	if !th.call {
		if !th.known && !th.dirty {
			if err := t.registers(th); err != nil || th.gone {
				return err
			}
		}
		if err := t.hideStop(th); err != nil {
			return err
		}
	}
	return t.flush(th)
}

// flush writes changed registers.
func (t *tracer) flush(th *thread) error {
	if !th.dirty {
		return nil
	}
	if err := setRegisters(th.tid, &th.regs); err != nil {
		return th.lost("set registers", err)
	}
	th.dirty = false
	return nil
}

// registers reads the registers of a stopped task into th.regs.
func (t *tracer) registers(th *thread) error {
	if err := getRegisters(th.tid, &th.regs); err != nil {
		return th.lost("get registers", err)
	}
	th.known = true
	return nil
}

// lost turns ESRCH, which a killed task answers, into th.gone.
func (th *thread) lost(what string, err error) error {
	if errors.Is(err, unix.ESRCH) {
		th.gone, th.stopped, th.dirty = true, false, false
		return nil
	}
	return fmt.Errorf("pid %d: thread %d: %s: %w", th.pid, th.tid, what, err)
}

// letGo detaches every task that is stopped, each with the signal that it was
// about to receive, and measures the stop. Tasks that never stopped are let go
// by the kernel when this operating-system thread ends.
func (t *tracer) letGo() error {
	t.claimed = nil
	return t.letRun()
}

// letRun does the same, but for the thread that keeps other tracers away: that
// one stays attached.
func (t *tracer) letRun() error {
	t.stopping, t.lender = false, nil
	var errs []error
	for _, th := range t.threads {
		if th.gone || !th.stopped {
			continue
		}
		if th == t.claimed {
			if !th.group {
				errs = append(errs, t.resume(th, unix.PTRACE_CONT))
			}
			continue
		}
		if err := t.hide(th); err != nil {
			errs = append(errs, err)
		}
		if err := ptrace(unix.PTRACE_DETACH, th.tid, uintptr(th.signal)); err != nil {
			errs = append(errs, th.lost("detach", err))
			continue
		}
		th.stopped = false
		delete(t.byID, th.tid)
	}
	t.threads = slices.DeleteFunc(t.threads, func(th *thread) bool { return t.byID[th.tid] == nil })
	t.measure()
	return errors.Join(errs...)
}

// measure closes the interval that the first interrupt opened.
func (t *tracer) measure() {
	if !t.since.IsZero() {
		t.stopped = max(t.stopped, time.Since(t.since))
		t.since = time.Time{}
	}
}

// ptrace makes a request that takes no pointer.
func ptrace(request, tid int, data uintptr) error {
	if _, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), 0, data, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func schedYield() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

func nanosleep(d time.Duration) {
	ts := unix.NsecToTimespec(d.Nanoseconds())
	_ = unix.Nanosleep(&ts, nil) // woken early by a signal: the caller looks again anyway
}
