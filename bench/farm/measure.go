package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// A cost is what one command took: from fork to wait, the processor time of
// it and of all that it started, and the largest resident memory in KiB of any
// of these processes.
type cost struct {
	took, cpu time.Duration
	memory    int64
}

// run runs a command to its end. Cache is the folder of caches, which the
// command finds as a user's.
func (f *farm) run(ctx context.Context, cache string, args ...string) (cost, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+cache, "LPBUILD_CACHE=")
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	c := cost{took: time.Since(begin)}
	if err != nil {
		return c, fmt.Errorf("%v: %w\n%s", args, err, out)
	}
	c.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		c.memory = usage.Maxrss
	}
	return c, nil
}

// lpbuild runs the program on a project.
func (f *farm) lpbuild(ctx context.Context, project, cache string, args ...string) (cost, error) {
	return f.run(ctx, cache, append([]string{f.path("lpbuild"), "--quiet", "-C", project}, args...)...)
}

// A figure is all that was measured of one thing.
type figure []cost

func took(c cost) time.Duration { return c.took }
func cpu(c cost) time.Duration  { return c.cpu }

// sorted are one of the times of all runs.
func (f figure) sorted(of func(cost) time.Duration) []time.Duration {
	var all []time.Duration
	for _, c := range f {
		all = append(all, of(c))
	}
	slices.Sort(all)
	return all
}

func (f figure) median(of func(cost) time.Duration) float64 {
	return f.sorted(of)[len(f)/2].Seconds()
}

// memory is the most that a run needed, in MiB.
func (f figure) memory() int64 {
	var most int64
	for _, c := range f {
		most = max(most, c.memory)
	}
	return most >> 10
}

// show is one of the times: median (minimum … maximum).
func (f figure) show(of func(cost) time.Duration) string {
	all := f.sorted(of)
	return fmt.Sprintf("%.2f (%.2f … %.2f)", f.median(of), all[0].Seconds(), all[len(all)-1].Seconds())
}

// ratio is how many times as long as g a run of f takes, by the clock and in
// processor time.
func (f figure) ratio(g figure) string {
	return fmt.Sprintf("%.2f, %.2f", f.median(took)/g.median(took), f.median(cpu)/g.median(cpu))
}

// header and line print a table of figures.
func header(title, last string) {
	fmt.Printf("\n%-44s %-22s %-22s %s\n", title, "seconds", "of processors", last)
}

func line(name string, f figure, last string) {
	fmt.Printf("%-44s %-22s %-22s %s\n", name, f.show(took), f.show(cpu), last)
}
