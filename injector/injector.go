// Package injector applies live patches to running processes, reverts and
// replaces them, without a restart or a preloaded library. docs/injector.md
// explains how, and why that is safe.
//
// # How
//
// The unit of work is the set: all containers for one process with all their
// functions. An operation has three parts.
//
//  1. Prepare, with nothing stopped: find the process and the files it really
//     maps, read its ledger, check that the functions in memory are those that
//     the containers were made for, resolve every import as dlopen would, choose
//     a free place within reach of the library and relocate everything for it.
//  2. Borrow, with one thread stopped for a moment: a stub of ours in unused
//     room behind some library's code maps the memory and puts the thread back
//     by itself; then the prepared bytes are written. Resolvers and constructors
//     that have to run are called by another stub.
//  3. Change. Where all detours are in place a borrowed thread stores the slots
//     through which they lead (switchover). Else every thread is stopped (commit)
//     and detours are installed, each leading to the old code through its slot;
//     then one write of the control page, which holds all slots and what is
//     active, turns all of them at once.
//
// # Invariants
//
//   - A process is known by pidfd, start time and address space, never by pid alone.
//   - Whenever this program is killed, the target runs on, wholly old or wholly
//     new: a single write within one page separates the two, or stores that a
//     stub makes to the end; threads run on when their tracer dies, and a thread
//     in a stub finds its way home alone.
//   - Bytes are changed only if they are what the container recorded, and
//     restored only if they are what was written.
//   - Everything read from a process is hostile: bounded, checked, never followed
//     blindly. The worst that a process can do is to harm itself.
//   - What is applied is remembered in the process itself (docs/ledger-format.md).
//
// Precondition for all of it: the right to trace the process (ptrace(2)).
package injector

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/lpbuild/lpbuild/livepatch"
)

// Options configure an Injector; the zero value is usable.
type Options struct {
	// Log receives what is worth knowing when something went wrong; nil: nothing.
	Log *slog.Logger
	// DryRun has Apply, Replace and Revert only say what they would do, as far as
	// that can be known with nothing stopped: nothing is changed.
	DryRun bool
	// Timeout is the longest time for which threads are held before they are
	// let go and the answer is BUSY. 0: DefaultTimeout.
	Timeout time.Duration
	// Proc is where procfs is mounted. "": /proc.
	Proc string
	// State is where SetPatchable keeps what it is told. "": DefaultState.
	State string
	// Restore has Revert and Replace put the shipped bytes back of functions for
	// which no live patch is left in force, for which all threads are stopped.
	// Otherwise their detours stay, and lead to the old code: nobody is stopped
	// but one thread. RevertSet always restores.
	Restore bool
	// Consistency says what may still execute the code that goes out of force.
	Consistency Consistency
	// Wait is how long a process is tried in which Consistency finds code in
	// use; it runs meanwhile. 0: DefaultWait.
	Wait time.Duration
	// SuspendSeccomp lifts the seccomp filter of the thread that runs a
	// container's constructors, for as long as they run: they may then do what
	// the process itself may not. A process is so made to escape its sandbox if
	// the container is not to be trusted with that; and if this program is killed
	// meanwhile, the filter is back in force at once and may end the process. It
	// takes CAP_SYS_ADMIN and a kernel with CONFIG_CHECKPOINT_RESTORE.
	SuspendSeccomp bool
	// Jobs is how many processes are worked on at once. 0: one per processor.
	Jobs int
}

// DefaultTimeout is the longest time for which threads are held, by default.
const DefaultTimeout = 100 * time.Millisecond

// defaultTimeout is DefaultTimeout, and longer in tests: beside others of
// their kind, threads wait long for a processor.
var defaultTimeout = DefaultTimeout

// Injector applies, reverts and inspects live patches. Its methods may be
// called concurrently.
type Injector struct {
	opts     Options
	files    *fileCache
	patience time.Duration
}

// New makes an Injector.
func New(opts Options) *Injector {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Timeout <= 0 {
		opts.Timeout = defaultTimeout
	}
	if opts.Proc == "" {
		opts.Proc = "/proc"
	}
	if opts.State == "" {
		opts.State = DefaultState
	}
	if opts.Jobs <= 0 {
		opts.Jobs = runtime.NumCPU()
	}
	if opts.Wait <= 0 {
		opts.Wait = DefaultWait
	}
	return &Injector{opts: opts, files: newFileCache(), patience: patience}
}

// Apply puts containers into force, in addition to those that are. Every
// selected process gets a result; where every process is selected, only those
// that map a target library do.
func (in *Injector) Apply(ctx context.Context, sel Selection, set []*livepatch.Container) ([]Result, error) {
	return in.each(ctx, sel, operation{kind: opApply, set: set})
}

// Replace puts containers into force instead of all earlier ones for the same
// libraries or of the same patch sets, in one change. Processes in which earlier
// ones are in force but none of these is for their build are reverted.
func (in *Injector) Replace(ctx context.Context, sel Selection, set []*livepatch.Container) ([]Result, error) {
	return in.each(ctx, sel, operation{kind: opReplace, set: set, restore: in.opts.Restore})
}

// Revert takes containers out of force, in whatever order they were applied;
// nil means all.
func (in *Injector) Revert(ctx context.Context, sel Selection, set []*livepatch.Container) ([]Result, error) {
	match := func(*recordContainer) bool { return true }
	if set != nil {
		match = func(c *recordContainer) bool {
			return slices.ContainsFunc(set, func(s *livepatch.Container) bool { return s.ID == c.ID })
		}
	}
	return in.each(ctx, sel, operation{kind: opRevert, set: set, match: match, restore: in.opts.Restore})
}

// RevertSet takes every container of one patch set out of force, whatever its
// version.
func (in *Injector) RevertSet(ctx context.Context, sel Selection, set string) ([]Result, error) {
	return in.each(ctx, sel, operation{
		kind: opRevert, match: func(c *recordContainer) bool { return c.Set == set }, restore: true,
	})
}

// Check tells what Apply would answer, and changes nothing: NOT-APPLIED means
// that it would succeed as far as can be known without stopping anything.
func (in *Injector) Check(ctx context.Context, sel Selection, set []*livepatch.Container) ([]Result, error) {
	return in.each(ctx, sel, operation{kind: opCheck, set: set})
}

// Status tells which live patches are in force: APPLIED, with the list, or
// NOT-APPLIED. Unless Selection.All asks for more, only those with a ledger get a
// result, and those selected by their ids.
func (in *Injector) Status(ctx context.Context, sel Selection) ([]Result, error) {
	return in.each(ctx, sel, operation{kind: opStatus})
}

type operationKind int

const (
	opApply operationKind = iota
	opReplace
	opRevert
	opCheck
	opStatus
	opInspect
)

// An operation is what is asked of every selected process.
type operation struct {
	kind operationKind
	// sel is what chose the processes.
	sel Selection
	set []*livepatch.Container
	// match says which active containers to revert. A replace for one library has
	// it too, and the library's name.
	match   func(*recordContainer) bool
	library string
	// see is what Inspect does with a job that has looked.
	see func(*job) error
	// restore: see Options.Restore.
	restore bool
	// crew traces the processes.
	crew *crew
}

// each runs an operation on every selected process, several at a time, and
// gives the results in the order of the process ids.
func (in *Injector) each(ctx context.Context, sel Selection, op operation) ([]Result, error) {
	chosen, err := in.candidates(ctx, sel)
	if err != nil {
		return nil, err
	}
	op.sel, op.crew = sel, new(crew)
	defer op.crew.dismiss()
	results := make([]*Result, len(chosen))
	left := make([]int, len(chosen))
	for i := range left {
		left[i] = i
	}
	in.pass(ctx, op, chosen, left, results)
	for w := in.newWaiter(); ; {
		left = slices.DeleteFunc(left, func(i int) bool { return !results[i].isInUse() })
		if len(left) == 0 || !w.again(ctx) {
			break
		}
		in.pass(ctx, op, chosen, left, results)
	}
	var out []Result
	for _, r := range results {
		if r != nil {
			out = append(out, *r)
		}
	}
	return out, ctx.Err()
}

// pass runs an operation once on some of the chosen processes.
func (in *Injector) pass(ctx context.Context, op operation, chosen []candidate, which []int, results []*Result) {
	free, strays := make(seats, in.opts.Jobs), make(seats, maxStrays)
	var all sync.WaitGroup
	for _, i := range which {
		free.take()
		all.Go(func() {
			s := &seat{of: free, strays: strays}
			defer s.leave()
			if ctx.Err() == nil {
				results[i] = in.patient(ctx, chosen[i], op, s)
			}
		})
	}
	all.Wait()
}

// patience is how long an operation on one process may take. Most take
// milliseconds; but a process can make who looks at it wait without end: its
// memory may be backed by a program of its own (FUSE), and an exec waits for
// its tracer while that waits for the exec (ptrace(2)).
const patience = 30 * time.Second

// patient runs an operation on one process, and gives up on it after a while.
// What then still waits in the kernel does no more than that: see job.ctx.
func (in *Injector) patient(ctx context.Context, c candidate, op operation, s *seat) *Result {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan *Result, 1)
	go func() { done <- in.one(ctx, c, op, slices.Contains(op.sel.PIDs, c.pid)) }()
	slow, tooLong := time.NewTimer(long), time.NewTimer(in.patience)
	defer slow.Stop()
	defer tooLong.Stop()
	for {
		select {
		case r := <-done:
			r.makePrintable()
			return r
		case <-slow.C:
			s.giveUp()
		case <-tooLong.C:
			r := &Result{PID: c.pid, Patches: []Patch{}}
			return r.fail(busyf("it could not be looked at for %v: it keeps those waiting who do", in.patience))
		}
	}
}

// one runs an operation on one process. It answers nil for a process that was
// not asked for by its id and that the operation does not concern. A process
// that is loading a library, whose main thread is just ending, that calls exec
// or that somebody traces is looked at again.
func (in *Injector) one(ctx context.Context, c candidate, op operation, asked bool) *Result {
	const tries, pause, doublings = 9, time.Millisecond, 5 // 0.16 s in all: some load libraries without pause
	for try := 1; ; try++ {
		r, err := in.attempt(ctx, c, op, asked)
		if errors.As(err, new(*inUse)) {
			return r
		}
		var b blocked
		again := errors.Is(err, errBusy) || errors.Is(err, ErrGone) || errors.As(err, &b) && b.again
		if try == tries || !again {
			return r
		}
		if _, gone := readStat(in.opts.Proc, c.pid); gone != nil {
			return r
		}
		nanosleep(pause << min(try, doublings))
	}
}

func (in *Injector) attempt(ctx context.Context, c candidate, op operation, asked bool) (*Result, error) {
	r := &Result{PID: c.pid, Patches: []Patch{}, DryRun: in.opts.DryRun}
	p, err := c.open(in.opts.Proc)
	if err != nil {
		if hidden := op.sel.All && errors.Is(err, ErrPermission); !asked && !hidden {
			return nil, err
		}
		if st, err := readStat(in.opts.Proc, c.pid); err == nil {
			r.StartTime, r.Command = st.start, st.comm
		}
		return r.fail(err), err
	}
	defer p.close()
	r.StartTime, r.Command = p.start, p.comm
	j := &job{ctx: ctx, in: in, p: p, op: op, result: r}
	err = j.run()
	if errors.Is(err, errNotSelected) {
		return nil, nil
	}
	if err == nil && asked && r.Word == NotLoaded {
		err = j.unpatchable()
	}
	if op.kind == opStatus && err == nil {
		err = j.judge()
	}
	if err != nil {
		r.fail(err)
		in.opts.Log.Debug("process not changed", "pid", c.pid, "result", r.Word, "reason", r.Reason)
	}
	if !asked && !j.concerned && !op.sel.All {
		return nil, err
	}
	return r, err
}

// fail gives a result the word for an error.
func (r *Result) fail(err error) *Result {
	var (
		isBlocked blocked
		isBusy    *busy
		isForeign *foreign
	)
	r.Err, r.Reason = err, err.Error()
	switch {
	case errors.Is(err, ErrGone):
		r.Word = Gone
	case errors.As(err, &isForeign):
		r.Word, r.Reason = Foreign, isForeign.reason
	case errors.As(err, &isBlocked):
		r.Word, r.Reason = Blocked, isBlocked.reason
	case errors.As(err, &isBusy):
		r.Word, r.Reason = Busy, isBusy.reason
	case errors.Is(err, errBusy):
		r.Word = Busy
	case errors.Is(err, ErrPermission), errors.Is(err, errNotProcess):
		r.Word = Blocked
	default:
		r.Word = Failed
	}
	return r
}
