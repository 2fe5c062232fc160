package rpmhook

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/lpbuild/lpbuild/injector"
)

// maxPasses bounds how often the processes are gone through.
const maxPasses = 5

// A target is one library in one process.
type target struct {
	pid     int
	start   uint64
	library string
	buildID string
}

// A pass goes through all processes until that changes nothing any more: a
// process may have been busy, or may have been forked by one that was still to
// be done after the list of processes was read.
type pass struct {
	log   *slog.Logger
	pause time.Duration
	found map[target]injector.Result
}

// settle calls act until it has nothing left to do, at most maxPasses times.
func (p *pass) settle(ctx context.Context, act func() ([]injector.Result, error)) error {
	for i := range maxPasses {
		if i > 0 && !p.wait(ctx) {
			return nil
		}
		results, err := act()
		again := p.take(results)
		if err != nil {
			return err
		}
		if !again {
			return nil
		}
	}
	return nil
}

// wait pauses if a process is busy, twice as long each time: on a machine under
// load, threads wait long for a processor. It reports whether there is time left.
func (p *pass) wait(ctx context.Context) bool {
	busy := false
	for _, r := range p.found {
		busy = busy || r.Word == injector.Busy
	}
	if !busy {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(p.pause)
	p.pause *= 2
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// take merges the results of one pass into what the passes before found, and
// reports whether another pass may find something to do.
func (p *pass) take(results []injector.Result) bool {
	again := false
	for _, r := range results {
		t := target{r.PID, r.StartTime, r.Library, r.BuildID}
		if r.Word == injector.Gone {
			// It ended, which is what processes do. If its library was not known
			// yet, an earlier result stands.
			continue
		}
		again = again || changed(r.Word) || r.Word == injector.Busy
		if before, seen := p.found[t]; seen && changed(before.Word) && r.Word.OK() && !changed(r.Word) {
			continue // the second pass finds done what the first one did
		}
		p.found[t] = r
	}
	return again
}

// changed reports whether the process is not what it was before.
func changed(w injector.Word) bool {
	return w == injector.Applied || w == injector.Replaced || w == injector.Reverted
}

// report logs each process that is concerned, in the order of their pids.
func (p *pass) report(e Event, err error) {
	log := p.log.With("package", e.Name, "scriptlet", string(e.Script))
	results := make([]injector.Result, 0, len(p.found))
	for _, r := range p.found {
		if r.Word != injector.NotLoaded && r.Word != injector.NotApplied {
			results = append(results, r)
		}
	}
	slices.SortFunc(results, func(a, b injector.Result) int { return a.PID - b.PID })
	for _, r := range results {
		level := slog.LevelInfo
		if !r.Word.OK() {
			level = slog.LevelWarn
		}
		log.Log(context.Background(), level, fmt.Sprintf("pid %d: %s", r.PID, r.Word),
			"command", r.Command, "library", r.Library, "build_id", r.BuildID, "reason", r.Reason, "stopped", r.Stopped)
	}
	if err != nil {
		log.Error(err.Error())
	}
}
