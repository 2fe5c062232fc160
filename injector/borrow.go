package injector

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A tail is room for a stub: the end of the last page of an object's code,
// behind everything that the linker put there, zero in the file. Nothing
// executes it and nothing reads it.
type tail struct {
	address uint64
	size    int
}

// holds says whether a program counter is inside.
func (s tail) holds(pc uint64) bool { return pc >= s.address && pc < s.address+uint64(s.size) }

// tails are the room that the objects of a process offer.
func tails(objs []*object) []tail {
	var out []tail
	for _, o := range objs {
		if o.file == nil {
			continue
		}
		vaddr, n := o.file.TextTail()
		if n >= len(stubMagic)+64 {
			out = append(out, tail{o.addr(vaddr), n})
		}
	}
	return out
}

// A loan is one thread of the target that runs a stub of ours.
type loan struct {
	t     *tracer
	th    *thread
	calls []remoteCall
	// original are the registers to go back to.
	original unix.PtraceRegs
	stub     tail
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
	const attempts, patience = 64, 10 * borrowLimit
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
		for _, tid := range tids {
			l, err := t.lend(tid, calls, stub)
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
			last = busyf("signals kept interrupting thread %d", tid)
		}
		if last == nil {
			last = busyf("no thread stopped at a place from where it can be borrowed")
		}
	}
	return nil, last
}

// freeTail picks room that is clean. Room with a stub in it is left behind by
// an injector that was killed; its thread is most likely long gone from there,
// but that is only known when all are stopped: see sweep.
func (t *tracer) freeTail(room []tail, size int) (tail, error) {
	var dirty []tail
	for _, s := range room {
		if s.size < size {
			continue
		}
		mem := make([]byte, s.size)
		if err := t.p.readAt(mem, s.address); err != nil {
			if errors.Is(err, ErrGone) {
				return tail{}, err
			}
			continue
		}
		switch {
		case len(bytes.Trim(mem, "\x00")) == 0:
			return s, nil
		case bytes.HasPrefix(mem, []byte(stubMagic)):
			dirty = append(dirty, s)
		}
	}
	if len(dirty) == 0 {
		return tail{}, blockedf("no object of it has %d unused bytes behind its code", size)
	}
	if err := t.stopAll(time.Now().Add(borrowLimit), nil); err != nil {
		return tail{}, err
	}
	err := t.sweep(dirty)
	return dirty[0], errors.Join(err, t.letRun())
}

// sweep clears stubs left behind. Precondition: all threads are stopped.
func (t *tracer) sweep(dirty []tail) error {
	for _, s := range dirty {
		for _, th := range t.threads {
			in, err := t.uses(th, s)
			if err != nil {
				return err
			}
			if in {
				return busyf("thread %d is still inside a stub", th.tid)
			}
		}
		if err := t.p.writeAt(make([]byte, s.size), s.address); err != nil {
			return err
		}
	}
	return nil
}

// uses says whether a stopped thread is inside a stub, or a signal handler of
// it will return there.
func (t *tracer) uses(th *thread, s tail) (bool, error) {
	if !th.stopped || th.gone {
		return false, nil
	}
	if s.holds(th.regs.Rip) {
		return true, nil
	}
	if !t.status.handlesSignals() {
		return false, nil
	}
	frames, err := t.signalFrames(th.regs.Rsp, t.p.maps, time.Now().Add(borrowLimit))
	return slices.ContainsFunc(frames, func(f signalFrame) bool { return s.holds(f.pc) }), err
}

// lenders lists the threads to ask, those that sleep in a system call first:
// the busy ones then notice nothing.
func (t *tracer) lenders() ([]int, error) {
	const most = 64
	tids, err := t.p.tasks()
	if err != nil {
		return nil, err
	}
	// Enough to look at: the state of thousands of threads costs more than it gives.
	tids = tids[:min(len(tids), most)]
	const useless = 3
	rank := make(map[int]int, len(tids))
	for _, tid := range tids {
		st, err := readTaskStatus(t.p.proc, t.p.pid, tid)
		switch {
		case err != nil || st.State == 'Z' || st.State == 'X':
			rank[tid] = useless
		case st.Seccomp != 0: // a filter may kill for a call that it does not like
			rank[tid] = useless
		case st.State == 'S':
			rank[tid] = 0
		case st.State == 'D':
			rank[tid] = 2
		default:
			rank[tid] = 1
		}
	}
	tids = slices.DeleteFunc(tids, func(tid int) bool { return rank[tid] == useless })
	slices.SortStableFunc(tids, func(a, b int) int { return rank[a] - rank[b] })
	return tids, nil
}

// lend stops one thread and sends it into a stub; nil if this thread can't be
// used now.
func (t *tracer) lend(tid int, calls []remoteCall, stub tail) (*loan, error) {
	th, err := t.seize(t.p.pid, tid)
	if err != nil || th == nil {
		return nil, err
	}
	if ok, err := t.hold(th); err != nil || !ok {
		return nil, err
	}
	if err := t.registers(th); err != nil || th.gone {
		return nil, err
	}
	if reason, err := t.unfit(th); err != nil || reason != "" {
		return nil, errors.Join(err, t.release(th))
	}
	hideStop(&th.regs)
	l := &loan{t: t, th: th, calls: calls, original: th.regs, stub: stub}
	resume := afterStub(&l.original)
	code := append([]byte(stubMagic), assembleStub(calls, &resume)...)
	if len(code) > stub.size {
		return nil, blockedf("the stub takes %d bytes, there are %d for it", len(code), stub.size)
	}
	// All of the room: nothing of an earlier, longer stub stays behind.
	if err := t.p.writeAt(append(code, make([]byte, stub.size-len(code))...), stub.address); err != nil {
		return nil, err
	}
	th.regs = inStub(l.original, stub.address+uint64(len(stubMagic)))
	th.dirty = true
	return l, nil
}

// hold brings one thread to a stop that is no signal's delivery.
func (t *tracer) hold(th *thread) (bool, error) {
	const signals = 32
	t.lender = th
	for range signals {
		if err := t.interrupt(th); err != nil || th.gone {
			return false, err
		}
		ok, err := t.wait(time.Now().Add(borrowLimit/4), func() bool { return th.stopped || th.gone })
		if err != nil || !ok || th.gone {
			return false, err
		}
		if th.signal == 0 {
			return true, nil
		}
		// Deliver it; the interrupt is still pending and stops the thread again.
		if err := t.resume(th, unix.PTRACE_CONT); err != nil {
			return false, err
		}
	}
	return false, nil
}

// release lets a thread run on, still attached.
func (t *tracer) release(th *thread) error {
	if th.gone || !th.stopped || th.group {
		return nil
	}
	err := t.resume(th, unix.PTRACE_CONT)
	t.measure()
	return err
}

// unfit says why a stopped thread can't run a stub: it does not execute 64-bit
// user code, or it is inside an rseq critical section, which the kernel would
// not restart any more after a detour elsewhere (rseq(2)).
func (t *tracer) unfit(th *thread) (string, error) {
	if th.regs.Cs != userCode64 {
		return "it executes 32-bit code", nil
	}
	if th.regs.Rip == 0 && th.regs.Rsp == 0 {
		return "it never leaves the kernel", nil // a worker of io_uring
	}
	if th.regs.Rip >= 1<<47 {
		return "it is in the vsyscall page", nil
	}
	in, err := t.inRseq(th)
	if in {
		return "it is in a restartable sequence", err
	}
	return "", err
}

// inRseq reads the thread's struct rseq_cs, if it has registered one.
func (t *tracer) inRseq(th *thread) (bool, error) {
	area, err := rseqArea(th.tid)
	if err != nil || area == 0 {
		return false, nil // a kernel without rseq has no critical sections
	}
	var cs, section [8]byte
	const csOffset = 8 // offsetof(struct rseq, rseq_cs)
	if err := t.p.readAt(cs[:], area+csOffset); err != nil {
		return false, err
	}
	at := leUint64(cs[:])
	if at == 0 {
		return false, nil
	}
	var bounds [2]uint64 // start_ip, post_commit_offset: offsets 8 and 16
	for i := range bounds {
		if err := t.p.readAt(section[:], at+8+8*uint64(i)); err != nil {
			return true, nil //nolint:nilerr // unreadable: assume the worst, ask another thread
		}
		bounds[i] = leUint64(section[:])
	}
	return th.regs.Rip-bounds[0] < bounds[1], nil
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
	maps, err := t.p.mappings()
	if err != nil {
		return nil, err
	}
	return unmade(maps, calls)
}

// clear takes a stub away that nobody is in.
func (t *tracer) clear(s tail) error {
	if err := t.p.writeAt(make([]byte, s.size), s.address); err != nil {
		return fmt.Errorf("clear the stub: %w", err)
	}
	return nil
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
