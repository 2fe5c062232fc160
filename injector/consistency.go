package injector

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Consistency says what may still execute the code that an operation takes out
// of force when that is done.
type Consistency int

const (
	// Immediate lets calls under way finish in the code in which they began.
	Immediate Consistency = iota
	// Stack changes a process only while no thread, and no suspended coroutine,
	// has a frame in a function that changes: neither in the original nor in
	// any replacement but the one that comes into force. What counts as a frame
	// is decided without unwinding, and rather once too often
	// (docs/injector-consistency.md).
	Stack
)

// String is the name that ParseConsistency takes.
func (c Consistency) String() string {
	if c == Stack {
		return "stack"
	}
	return "immediate"
}

// ParseConsistency takes "immediate" or "stack".
func ParseConsistency(name string) (Consistency, error) {
	for _, c := range []Consistency{Immediate, Stack} {
		if name == c.String() {
			return c, nil
		}
	}
	return Immediate, fmt.Errorf("consistency %q: want immediate or stack", name)
}

// DefaultWait is how long a process is tried whose code is in use, by default.
const DefaultWait = 3 * time.Second

// inUse: code that is to change is being executed, or will be returned to:
// result BUSY. It may be free in a moment.
type inUse struct{ reason string }

func (u *inUse) Error() string { return u.reason }

// Is makes it a case of errBusy.
func (u *inUse) Is(target error) bool { return target == errBusy }

// isInUse says whether that is why a process was not changed.
func (r *Result) isInUse() bool { return r != nil && errors.As(r.Err, new(*inUse)) }

// A waiter says how often, and how long, processes are tried whose code is in
// use. Everything runs meanwhile, and nothing is attached.
type waiter struct {
	deadline, began time.Time
	pause           time.Duration
}

func (in *Injector) newWaiter() *waiter {
	now := time.Now()
	return &waiter{deadline: now.Add(in.opts.Wait), began: now, pause: time.Millisecond}
}

// again waits before another try and reports whether there shall be one. It
// waits at least for as long as the last try took: half of the time, at most,
// is spent on looking.
func (w *waiter) again(ctx context.Context) bool {
	const longest = 50 * time.Millisecond
	pause := max(w.pause, time.Since(w.began))
	if time.Now().Add(pause).After(w.deadline) {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	}
	w.pause = min(2*w.pause, longest)
	w.began = time.Now()
	return true
}

// expectUnused looks, with nothing stopped, whether code that is to change is
// in use, so that a process in which it is need not be stopped to find that
// out. What it finds is true of a moment only; see confirmUnused.
func (j *job) expectUnused(pr *prepared) error {
	if j.in.opts.Consistency != Stack {
		return nil
	}
	code, err := j.changing(pr)
	if err != nil {
		return err
	}
	if len(code) == 0 {
		return nil
	}
	if j.search, err = newFrameSearch(j.p, code); err != nil {
		return err
	}
	threads, err := j.sleepers()
	if err != nil {
		return err
	}
	const enough = time.Second
	return j.search.run(threads, time.Now().Add(enough))
}

// confirmUnused looks once more.
// Precondition: all threads are stopped, and their registers were read.
func (j *job) confirmUnused(t *tracer, deadline time.Time) error {
	if j.search == nil {
		return nil
	}
	threads, err := t.standing()
	if err != nil {
		return err
	}
	return j.search.run(threads, deadline)
}

// finishSearch lets go of what a search holds open.
func (j *job) finishSearch() {
	if j.search != nil {
		j.search.close()
		j.search = nil
	}
}
