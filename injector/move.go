package injector

import (
	"errors"
	"time"
)

// syscallLength is that of the syscall instruction. A thread in a system call
// stands behind it, and may execute it again.
const syscallLength = 2

// changes says whether code at pc changes, or just before pc.
func (c *composed) changes(pc uint64) bool {
	for _, d := range c.install {
		if pc > d.Address && pc < d.Address+uint64(len(d.Original))+syscallLength || d.inPadding(pc) {
			return true
		}
	}
	for _, d := range c.remove {
		if d.inPadding(pc) {
			return true
		}
	}
	return false
}

// moveThreads sends every thread that stands inside bytes about to change to
// the same instruction elsewhere, also where a signal handler will return. It
// is there at once, so that this program may be killed the next moment.
func (j *job) moveThreads(t *tracer, c *composed, deadline time.Time) error {
	if len(c.install)+len(c.remove) == 0 {
		return nil
	}
	for _, th := range t.threads {
		if th.gone {
			continue
		}
		if err := c.moveThread(t, th); err != nil {
			return err
		}
		if !t.mayBeInHandler(th) {
			continue
		}
		if err := j.moveFrames(t, c, th, deadline); err != nil {
			return err
		}
	}
	return nil
}

// moveThread moves one thread. One that could not be stopped is in the kernel
// at a place that does not change.
func (c *composed) moveThread(t *tracer, th *thread) error {
	if !th.stopped {
		return nil
	}
	back := uint64(0)
	if restarts(&th.regs) {
		back = syscallLength
	}
	to, inside, err := c.elsewhere(th.regs.Rip - back)
	if err != nil || !inside {
		return err
	}
	th.regs.Rip, th.dirty = to+back, true
	return t.flush(th)
}

func (j *job) moveFrames(t *tracer, c *composed, th *thread, deadline time.Time) error {
	sp := th.regs.Rsp
	if !th.stopped {
		var err error
		if _, sp, _, _, err = taskSyscall(j.p.proc, th.pid, th.tid); err != nil {
			if errors.Is(err, ErrGone) {
				return nil
			}
			return err
		}
	}
	if _, ok := findMapping(j.maps, sp); !ok { // a stack made or grown since
		var err error
		if j.maps, err = j.p.mappings(); err != nil {
			return err
		}
	}
	frames, err := t.signalFrames(sp, j.maps, deadline)
	if err != nil {
		return err
	}
	for _, f := range frames {
		to, inside, err := c.elsewhere(f.pc)
		if err != nil {
			return err
		}
		if inside {
			if err := j.p.writeAt(leBytes(to), f.address); err != nil {
				return err
			}
		}
	}
	return nil
}

// elsewhere gives the place that stands for pc once the bytes have changed.
func (c *composed) elsewhere(pc uint64) (uint64, bool, error) {
	for _, d := range c.install {
		if d.inPadding(pc) {
			return d.Old, true, nil
		}
		if !d.covers(pc) {
			continue
		}
		if to, ok := d.moved(pc); ok {
			return to, true, nil
		}
		return 0, false, busyf("a thread stands at %#x, in the middle of an instruction that is to change", pc)
	}
	for _, d := range c.remove {
		// It was about to take the jump, or is among the NOPs of an earlier removal.
		if d.inPadding(pc) {
			return d.Old, true, nil
		}
	}
	return pc, false, nil
}
