package injector

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"
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

// start is where a stub in it begins, behind the magic.
func (s tail) start() uint64 { return s.address + uint64(len(stubMagic)) }

// tails are the room that the objects of a process offer.
func tails(objs []*object) []tail {
	var out []tail
	for _, o := range objs {
		if o.cached == nil {
			continue
		}
		vaddr, n := o.cached.textTail()
		pad := int(-vaddr & (stubAlign - 1))
		if n-pad >= len(stubMagic)+64 {
			out = append(out, tail{o.addr(vaddr) + uint64(pad), n - pad})
		}
	}
	return out
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

// clearLeftBehind clears the stubs that killed injectors have left in a process
// with a ledger. A thread may be in one still, frozen or waiting for a processor;
// and what a switchover's stub has yet to store must not meet a control page
// that was changed meanwhile.
func (j *job) clearLeftBehind(t *tracer) error {
	if j.led == nil {
		return nil
	}
	left, err := t.leftBehind(append(j.rooms(), tails(j.objs)...))
	if err != nil || len(left) == 0 {
		return err
	}
	outside := func(pc uint64) bool {
		return !slices.ContainsFunc(left, func(s tail) bool { return s.holds(pc) })
	}
	if err = t.stopAll(time.Now().Add(borrowLimit), outside); err == nil {
		err = t.sweep(left)
	}
	return errors.Join(err, t.letRun())
}

// leftBehind are those rooms that have a stub in them.
func (t *tracer) leftBehind(room []tail) ([]tail, error) {
	var out []tail
	magic := make([]byte, len(stubMagic))
	for _, s := range room {
		switch err := t.p.readAt(magic, s.address); {
		case errors.Is(err, ErrGone):
			return nil, err
		case err == nil && string(magic) == stubMagic:
			out = append(out, s)
		}
	}
	return out, nil
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

// uses says whether a thread is inside a stub, or a signal handler of it will
// return there.
func (t *tracer) uses(th *thread, s tail) (bool, error) {
	if th.gone {
		return false, nil
	}
	pc, sp := th.regs.Rip, th.regs.Rsp
	if !th.stopped {
		var running bool
		var err error
		_, sp, pc, running, err = taskSyscall(t.p.proc, th.pid, th.tid)
		switch {
		case errors.Is(err, ErrGone):
			return false, nil
		case err != nil || running:
			return running, err
		}
	}
	if s.holds(pc) {
		return true, nil
	}
	if !t.mayBeInHandler(th) {
		return false, nil
	}
	frames, err := t.signalFrames(sp, t.p.maps, time.Now().Add(borrowLimit))
	return slices.ContainsFunc(frames, func(f signalFrame) bool { return s.holds(f.pc) }), err
}

// clear takes a stub away that nobody is in.
func (t *tracer) clear(s tail) error {
	if err := t.p.writeAt(make([]byte, s.size), s.address); err != nil {
		return fmt.Errorf("clear the stub: %w", err)
	}
	return nil
}
