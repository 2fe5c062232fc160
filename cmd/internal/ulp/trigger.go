package ulp

import (
	"context"
	"path"
	"slices"
	"time"

	"github.com/lpbuild/lpbuild/injector"
	"github.com/lpbuild/lpbuild/livepatch"
)

// trigger applies or reverts containers, or reverts all of one library.
func trigger(ctx context.Context, c *command) int {
	if c.user != "" {
		c.warn("error: user wildcard is currently unsupported in trigger")
		return int(eSysNoSys)
	}
	t := &triggering{command: c, in: c.injector(), outcomes: make(map[int]*outcome), deadline: time.Now().Add(c.timeout)}
	if failure := t.prepare(ctx); failure != none {
		if failure.skipped() {
			return 0
		}
		return exitStatus(failure)
	}
	if c.arg() == "" {
		t.revertLibrary(ctx)
	}
	for _, f := range t.files {
		t.file(ctx, f)
	}
	if ctx.Err() != nil {
		return exitStatus(eUnknown)
	}
	return t.report()
}

// A triggering is one run of the command trigger.
type triggering struct {
	*command
	in       *injector.Injector
	deadline time.Time
	sel      selection
	files    []file
	seen     []injector.Inspection
	// outcomes are by process id.
	outcomes map[int]*outcome
	// broken is what is wrong with the files where no process is named.
	broken code
}

// prepare reads the files and looks at the processes.
func (t *triggering) prepare(ctx context.Context) code {
	var failure code
	if t.files, failure = t.open(t.arg()); failure != none {
		return failure
	}
	var err error
	if t.sel, err = t.selection(); err != nil {
		t.warn("error gathering target process information: %s", describe(err))
		return eUnknown
	}
	t.seen, failure = t.inspect(ctx, t.in, t.sel)
	return failure
}

// file triggers one file in every process that it is for.
func (t *triggering) file(ctx context.Context, f file) {
	var pids []int
	for _, p := range t.seen {
		if failure := t.sanity(f, p); failure != none {
			t.note(p, f.path, failure, p.Reason)
			continue
		}
		pids = append(pids, p.PID)
	}
	if f.failure != none {
		t.broken |= f.failure
		return
	}
	do, successes := t.operation(f.container)
	t.attempt(ctx, pids, do, func(r injector.Result) {
		failure := codeOf(r)
		if failure == none {
			failure = successes(r.Word)
		}
		t.noteResult(r, f.path, failure)
	})
}

// sanity is what speaks against a file before anything is tried.
func (t *triggering) sanity(f file, p injector.Inspection) code {
	failure := codeOf(p.Result)
	if len(p.Libraries) == 0 && failure != none {
		return failure
	}
	if f.failure != none {
		return f.failure
	}
	for _, l := range p.Libraries {
		if l.BuildID == f.container.BuildID() {
			return failure
		}
	}
	for _, l := range p.Libraries {
		if l.Soname == f.container.Apply.Target || path.Base(l.Path) == f.container.Apply.Target {
			return eBuildID
		}
	}
	return eNoTargetLib
}

// An attempt does something to processes.
type attempt func(context.Context, injector.Selection) ([]injector.Result, error)

// operation is what to do with a container, and what its normal outcomes are
// called here.
func (t *triggering) operation(c *livepatch.Container) (do attempt, name func(injector.Word) code) {
	set := []*livepatch.Container{c}
	one := func(word injector.Word, is code) func(injector.Word) code {
		return func(w injector.Word) code {
			if w == word {
				return is
			}
			return none
		}
	}
	switch {
	case t.revert:
		do = func(ctx context.Context, sel injector.Selection) ([]injector.Result, error) {
			return t.in.Revert(ctx, sel, set)
		}
		return do, one(injector.NotApplied, eNotApplied)
	case t.revertAll != "":
		library := t.revertAll
		if library == "target" {
			library = c.Apply.Target
		}
		do = func(ctx context.Context, sel injector.Selection) ([]injector.Result, error) {
			return t.in.ReplaceLibrary(ctx, sel, library, set)
		}
		return do, func(injector.Word) code { return none }
	}
	do = func(ctx context.Context, sel injector.Selection) ([]injector.Result, error) {
		return t.in.Apply(ctx, sel, set)
	}
	return do, one(injector.Already, eApplied)
}

// attempt does something to processes, up to -r times where they are busy.
func (t *triggering) attempt(ctx context.Context, pids []int, do attempt, note func(injector.Result)) {
	for try := 1; len(pids) > 0; try++ {
		results, _ := do(ctx, injector.Selection{PIDs: pids}) // the context's error, which trigger looks at
		pids = nil
		for _, r := range results {
			if r.Word == injector.Busy && try < t.retries && time.Now().Before(t.deadline) {
				t.debug("live patching %d failed (attempt #%d): %s", r.PID, try, r.Reason)
				pids = append(pids, r.PID)
				continue
			}
			note(r)
		}
		if len(pids) > 0 {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return
			}
		}
	}
}

// revertLibrary takes all live patches of a library out of force.
func (t *triggering) revertLibrary(ctx context.Context) {
	what := "reverted all patches from '" + t.revertAll + "'"
	var pids []int
	for _, p := range t.seen {
		maps := slices.ContainsFunc(p.Libraries, func(l injector.Library) bool {
			return l.Soname == t.revertAll || path.Base(l.Path) == t.revertAll
		})
		switch failure := codeOf(p.Result); {
		case !maps && len(p.Libraries) > 0:
			t.note(p, what, eNoTargetLib, "")
		case failure != none:
			t.note(p, what, failure, p.Reason)
		default:
			pids = append(pids, p.PID)
		}
	}
	do := func(ctx context.Context, sel injector.Selection) ([]injector.Result, error) {
		return t.in.RevertLibrary(ctx, sel, t.revertAll)
	}
	t.attempt(ctx, pids, do, func(r injector.Result) {
		failure := codeOf(r)
		if r.Word == injector.NotApplied {
			failure = eNoPatch
		}
		t.noteResult(r, what, failure)
	})
}
