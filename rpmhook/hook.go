package rpmhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/lpbuild/lpbuild/injector"
	"github.com/lpbuild/lpbuild/livepatch"
)

// An Injector is what the hook needs of *injector.Injector. Both methods go
// through every process if nothing is selected, and leave alone what other sets
// have in force for other libraries.
type Injector interface {
	// Replace puts the containers in force in the place of all earlier ones for
	// the same libraries or of the same set, in one change of each process.
	Replace(ctx context.Context, sel injector.Selection, set []*livepatch.Container) ([]injector.Result, error)
	// RevertSet undoes all that belongs to the set, whichever version it is of.
	// It needs no file: the ledger in the process tells.
	RevertSet(ctx context.Context, sel injector.Selection, set string) ([]injector.Result, error)
}

// Options says where and how the hook runs. The zero value is the running system.
type Options struct {
	// Injector is nil for the real one.
	Injector Injector
	// Log takes the details: one record for each process concerned. nil discards them.
	Log *slog.Logger
	// Timeout bounds the whole run, waiting for another hook included (default: DefaultTimeout).
	Timeout time.Duration
	// Root is where /proc and /run are looked for (default: /).
	Root string
	// SetRoot is the folder of the sets (default: SetRoot).
	SetRoot string
	// Getenv reads the environment (default: os.Getenv).
	Getenv func(string) string
	// Pause is how long to wait before busy processes are tried again (default: 200 ms),
	// and half of how long the next time.
	Pause time.Duration
}

// DefaultTimeout bounds one run of the hook.
const DefaultTimeout = time.Minute

func (o *Options) setDefaults() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Injector == nil {
		o.Injector = injector.New(injector.Options{Log: o.Log})
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Root == "" {
		o.Root = "/"
	}
	if o.SetRoot == "" {
		o.SetRoot = SetRoot
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Pause <= 0 {
		o.Pause = 200 * time.Millisecond
	}
}

// Run does what the event asks for and says what came of it. It always returns
// before the timeout plus a second, also if the kernel keeps a call waiting: the
// work is then left behind to end with the program, which harms no process, as
// each is wholly old or wholly new at every instant.
func Run(ctx context.Context, e Event, opts Options) Summary {
	opts.setDefaults()
	s := Summary{Event: e}
	if e.action() == nothing {
		s.Skipped = "another version stays installed"
		return s
	}
	if s.Skipped = dormant(opts.Root, opts.Getenv); s.Skipped != "" {
		return s
	}
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	done := make(chan Summary, 1)
	go func() { done <- run(ctx, e, opts) }()
	select {
	case s = <-done:
		return s
	case <-ctx.Done():
	}
	grace := time.NewTimer(time.Second)
	defer grace.Stop()
	select {
	case s = <-done:
	case <-grace.C:
		s.Err = unfinished(opts)
	}
	return s
}

// everyProcess selects all of them.
var everyProcess injector.Selection

// run does the work under the lock.
func run(ctx context.Context, e Event, opts Options) Summary {
	s := Summary{Event: e}
	held, err := lock(ctx, filepath.Join(opts.Root, lockPath))
	switch {
	case err == nil:
		defer held.Close()
	case errors.Is(err, errLocked):
		s.Err = err
		return s
	default: // a root without /run: there is no other hook to keep apart from
		opts.Log.Warn("no lock", "error", err)
	}
	m, containers, err := loadSet(opts.SetRoot, e.Name)
	if m != nil {
		s.Version = m.Version
	}
	p := pass{log: opts.Log, pause: opts.Pause, found: make(map[target]injector.Result)}
	switch {
	case e.action() == revert:
		// The set's own files are of no use: processes may run another version.
		s.Err = p.settle(ctx, func() ([]injector.Result, error) { return opts.Injector.RevertSet(ctx, everyProcess, e.Name) })
	case errors.Is(err, errNoSet) && e.Script == PostTrans:
		// Erased again by a later element of the same transaction.
		s.Skipped = err.Error()
	case err != nil:
		s.Err = fmt.Errorf("nothing applied: %w", err)
	default:
		s.Err = p.settle(ctx, func() ([]injector.Result, error) { return opts.Injector.Replace(ctx, everyProcess, containers) })
	}
	if errors.Is(s.Err, context.DeadlineExceeded) {
		s.Err = unfinished(opts)
	}
	s.count(p.found)
	p.report(e, s.Err)
	return s
}

// unfinished is the error of a run that the deadline ended.
func unfinished(opts Options) error {
	return fmt.Errorf("not finished within %v: %w", opts.Timeout, context.DeadlineExceeded)
}
