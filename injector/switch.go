package injector

import (
	"bytes"
	"errors"
	"math"
	"slices"

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
		if ok, err := l.withdraw(borrowLimit); err != nil || !ok {
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
		if err != nil { // somebody may be in the stub
			return done, err
		}
		if done {
			return true, t.clear(stub)
		}
		if err := j.p.writeAt(page, c.controlAt); err != nil { // it may have got half way
			return false, err
		}
	}
	return false, t.clear(stub)
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
