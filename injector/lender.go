package injector

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// lenders lists the threads to ask, those that sleep in a system call first:
// the busy ones then notice nothing.
func (t *tracer) lenders() ([]int, error) {
	const most = 64
	tids, err := t.files.listTasks()
	if err != nil {
		return nil, err
	}
	// Enough to look at: the state of thousands of threads costs more than it gives.
	tids = tids[:min(len(tids), most)]
	const useless = 3
	strict := 0
	rank := make(map[int]int, len(tids))
	for _, tid := range tids {
		st, err := readTaskStatus(t.p.proc, t.p.pid, tid)
		switch {
		case err != nil || st.State == 'Z' || st.State == 'X':
			rank[tid] = useless
		case st.Seccomp == seccompStrict:
			rank[tid] = useless
			strict++
		case st.Seccomp != 0: // what its filters say takes a moment: see permits
			t.judge.seen[tid] = true
			rank[tid] = 2
		case st.State == 'S':
			rank[tid] = 0
		case st.State == 'D':
			rank[tid] = 2
		default:
			rank[tid] = 1
		}
	}
	tids = slices.DeleteFunc(tids, func(tid int) bool { return rank[tid] == useless })
	if len(tids) == 0 && strict > 0 {
		return nil, errStrict
	}
	slices.SortStableFunc(tids, func(a, b int) int { return rank[a] - rank[b] })
	return tids, nil
}

// lend stops one thread and prepares to send it into a stub that makes the
// calls; nil if this thread can't be used now, a filtered error if its seccomp
// filters forbid it.
func (t *tracer) lend(tid int, calls []remoteCall, stub tail) (*loan, error) {
	th, err := t.ready(tid)
	if err != nil || th == nil {
		return nil, err
	}
	l := &loan{t: t, th: th, calls: calls, original: th.regs, stub: stub}
	assemble := func(resume *unix.PtraceRegs) []byte { return assembleStub(calls, resume) }
	if err := t.permits(th, calls, stub.start(), assemble); err != nil {
		return nil, errors.Join(err, t.release(th))
	}
	return l, l.enter(nil, assemble)
}

// ready stops one thread at a place from which it can be sent into a stub; nil
// if this thread can't be used now.
func (t *tracer) ready(tid int) (*thread, error) {
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
	return th, t.hideStop(th)
}

// enter writes a stub: data for it to read, which begins behind the magic, and
// the code that assemble makes. It sets the registers of the thread so that it
// enters the code when it runs on. The registers with which the stub leaves are
// those of l.original, as the kernel would have set them.
func (l *loan) enter(data []byte, assemble func(resume *unix.PtraceRegs) []byte) error {
	resume := afterStub(&l.original)
	code := append([]byte(stubMagic), data...)
	entry := l.stub.address + uint64(len(code))
	code = append(code, assemble(&resume)...)
	if len(code) > l.stub.size {
		return blockedf("the stub takes %d bytes, there are %d for it", len(code), l.stub.size)
	}
	// All of the room: nothing of an earlier, longer stub stays behind.
	if err := l.t.p.writeAt(append(code, make([]byte, l.stub.size-len(code))...), l.stub.address); err != nil {
		return err
	}
	l.th.regs = inStub(l.original, entry)
	l.th.dirty = true
	return nil
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
	if restarts(&th.regs) && !t.behindSyscall(th.regs.Rip) {
		return "it is in a system call of 32-bit code", nil
	}
	in, err := t.inRseq(th)
	if in {
		return "it is in a restartable sequence", err
	}
	return "", err
}

// behindSyscall says whether the instruction before an address is syscall: another
// one (int $0x80) has other numbers, so that it could not be made to restart a call.
func (t *tracer) behindSyscall(address uint64) bool {
	var code [syscallLength]byte
	return t.p.readAt(code[:], address-syscallLength) == nil && code == [...]byte{0x0f, 0x05}
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
