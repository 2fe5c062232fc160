package injector

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// A switchover turns slots with no thread stopped but the one that it borrows:
// a stub of ours stores the words of the control page that change, 8 bytes
// each. An aligned 8-byte store is one step for every processor (Intel SDM
// volume 3, "Guaranteed Atomic Operations"; AMD64 APM volume 2, "Access
// Atomicity"), so that a jump through a slot goes to the old code or to the new
// one, and stores become visible in the order in which they are made: the
// ledger's statement comes last.
type switchover struct {
	page  uint64
	words []store
	// sequence is what the control page says when all words are stored.
	sequence uint64
}

// A store is 8 bytes for an aligned address.
type store struct{ address, value uint64 }

// A place for stubs is reserved in every region, so that the next operation
// needs no page of anybody else.
const roomSize = 1024

// switchable says whether a change is one of the control page alone.
func (c *composed) switchable() bool { return len(c.install) == 0 && len(c.remove) == 0 }

// switchover lists the words in which the control page will differ from what it
// is now: slots first, then the statement.
func (c *composed) switchover(now []byte) switchover {
	then := bytes.Clone(now)
	c.final.change(then)
	s := switchover{page: c.controlAt, sequence: c.final.sequence}
	for at := pageSize - 8; at >= 0; at -= 8 {
		if v := leUint64(then[at:]); v != leUint64(now[at:]) {
			s.words = append(s.words, store{c.controlAt + uint64(at), v})
		}
	}
	return s
}

// data is what a switchover's stub reads: the signals to block, and those that
// the thread blocks by itself.
func (s switchover) data(blocked uint64) []byte {
	return append(leBytes(blockable), leBytes(blocked)...)
}

// blockable are all signals but those that an instruction causes: blocked, they
// would end the process.
const blockable = math.MaxUint64 &^ (1<<(unix.SIGSEGV-1) | 1<<(unix.SIGBUS-1) | 1<<(unix.SIGILL-1) |
	1<<(unix.SIGFPE-1) | 1<<(unix.SIGTRAP-1) | 1<<(unix.SIGSYS-1))

// calls are the system calls of a switchover's stub. data is where the words
// that it reads lie. While the page is writable it is not executable, and the
// other way round; and nobody jumps to it. No signal handler runs between the
// first and the last: it might never come back (longjmp).
func (s switchover) calls(data uint64) []remoteCall {
	const setMask = 2 // SIG_SETMASK
	return []remoteCall{
		{number: unix.SYS_RT_SIGPROCMASK, args: [6]uint64{setMask, data, 0, 8}},
		{number: unix.SYS_MPROTECT, args: [6]uint64{s.page, pageSize, protReadWrite}},
		{number: unix.SYS_MPROTECT, args: [6]uint64{s.page, pageSize, protRead}},
		{number: unix.SYS_RT_SIGPROCMASK, args: [6]uint64{setMask, data + 8, 0, 8}},
	}
}

// switchOver makes a change by a switchover, and reports whether it did. If
// not, the process is as it was, and commit can do it.
func (j *job) switchOver(t *tracer, c *composed, l *loan) (bool, error) {
	if !c.switchable() || j.search != nil || j.ctx.Err() != nil {
		return false, nil
	}
	if l != nil {
		if ok, err := l.withdraw(); err != nil || !ok {
			return false, err
		}
	}
	page, err := j.controlPage(c.controlAt, c.known)
	if err != nil {
		return false, err
	}
	s := c.switchover(page)
	stub, ok, err := t.cleanTail(append(c.rooms(j), tails(j.objs)...), switchSize(len(s.words)))
	if err != nil || !ok {
		return false, err
	}
	tids, err := t.lenders()
	if err != nil {
		return false, err
	}
	if l != nil && !l.th.gone { // it has shown that it can
		tids = append([]int{l.th.tid}, tids...)
	}
	const most = 4
	for _, tid := range tids[:min(len(tids), most)] {
		done, err := t.runSwitch(s, tid, stub)
		if err != nil || done {
			return done, errors.Join(err, t.clearUnused(stub, err))
		}
		if err := j.p.writeAt(page, c.controlAt); err != nil { // it may have got half way
			return false, err
		}
	}
	return false, t.clear(stub)
}

// clearUnused clears a stub that is known to be left.
func (t *tracer) clearUnused(stub tail, err error) error {
	if err != nil {
		return nil
	}
	return t.clear(stub)
}

// rooms are the places for stubs in the regions of a process.
func (c *composed) rooms(j *job) []tail {
	if c.room.size > 0 {
		return append([]tail{c.room}, j.rooms()...)
	}
	return j.rooms()
}

// rooms are those in the regions of earlier operations.
func (j *job) rooms() []tail {
	if j.led == nil {
		return nil
	}
	var out []tail
	for _, r := range j.led.records {
		m, ok := findMapping(j.maps, r.Room)
		if ok && m.ourCode() && r.Room+roomSize <= m.end {
			out = append(out, tail{r.Room, roomSize})
		}
	}
	return out
}

// cleanTail picks room that is clean, as freeTail does, but stops nobody to
// make it so.
func (t *tracer) cleanTail(room []tail, size int) (tail, bool, error) {
	for _, s := range room {
		if s.size < size {
			continue
		}
		mem := make([]byte, s.size)
		switch err := t.p.readAt(mem, s.address); {
		case errors.Is(err, ErrGone):
			return tail{}, false, err
		case err == nil && !slices.ContainsFunc(mem, func(b byte) bool { return b != 0 }):
			s.size = size
			return s, true, nil
		}
	}
	return tail{}, false, nil
}

// runSwitch has one thread run a switchover's stub, and reports whether all was
// stored. If so, or if there is no error, nobody is in the stub afterwards.
func (t *tracer) runSwitch(s switchover, tid int, stub tail) (bool, error) {
	th, err := t.ready(tid)
	if err != nil || th == nil {
		return false, err
	}
	if th.group {
		return false, nil // stopped by job control, as everybody else is
	}
	l, mask, err := t.intoSwitch(th, s, stub)
	if err != nil {
		return false, notFiltered(err)
	}
	return l.drive(s, mask)
}

// intoSwitch prepares to send a stopped thread into a switchover's stub, and
// gives the signals that it blocks by itself.
func (t *tracer) intoSwitch(th *thread, s switchover, stub tail) (*loan, uint64, error) {
	mask, err := signalMask(th.tid)
	if err != nil {
		return nil, 0, errors.Join(th.lost("read the signal mask", err), t.release(th))
	}
	l := &loan{t: t, th: th, original: th.regs, stub: stub}
	data := s.data(mask)
	calls := s.calls(stub.start())
	assemble := func(resume *unix.PtraceRegs) []byte { return assembleSwitch(s.words, calls, resume) }
	entry := stub.start() + uint64(len(data))
	if err := t.permits(th, calls, entry, assemble); err != nil {
		return nil, 0, errors.Join(err, t.release(th))
	}
	l.storing = storing(s.words, calls, entry)
	return l, mask, l.enter(data, assemble)
}

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
	_, err := l.putBack(mask)
	return errors.Join(err, l.sendHeld())
}

// putBack lets a stopped thread run on, with its own registers and signal mask
// if it is inside the stub. It reports whether it was.
func (l *loan) putBack(mask uint64) (bool, error) {
	if l.th.gone {
		return false, nil
	}
	if err := l.t.registers(l.th); err != nil || l.th.gone {
		return false, err
	}
	inside := l.stub.holds(l.th.regs.Rip)
	if inside && l.betweenStores() {
		return true, errors.Join(busyf("thread %d is held between two stores", l.th.tid), l.t.release(l.th))
	}
	if inside {
		if l.th.signal != 0 && causedByCode(l.th.tid) {
			l.th.signal = 0 // the stub's, not the process's
		}
		l.th.regs, l.th.dirty = l.original, true
		if err := setSignalMask(l.th.tid, mask); err != nil {
			return true, l.th.lost("set the signal mask", err)
		}
	}
	return inside, errors.Join(l.t.flush(l.th), l.t.release(l.th))
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
// receive meets it at home. It reports false if it could not be stopped.
func (l *loan) withdraw() (bool, error) {
	l.t.lender = l.th
	if err := l.t.interrupt(l.th); err != nil {
		return false, err
	}
	ok, err := l.t.wait(time.Now().Add(borrowLimit), func() bool { return l.th.stopped || l.th.gone })
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
