// Bench measures what a live patch costs the process that gets it, beside the
// least that any tracer could cost, in one run on one machine:
//
//	go run ./bench [-rounds N]
//
// The figures of the first table are those that the target itself sees: the
// longest interval in which its main thread, which does nothing but read the
// clock, did not run. Then come whole commands on one process and on many, what
// a patched call costs, and how much memory a live patch takes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/injector"
	"github.com/lpbuild/lpbuild/livepatch"
)

func main() {
	rounds := flag.Int("rounds", 20, "repetitions of each measurement")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := bench(ctx, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// row is the format of a line of the table.
const row = "%-8s %-20s %-20s %-20s %-20s %-20s %-20s %-20s %s\n"

func bench(ctx context.Context, rounds int) error {
	dir, err := os.MkdirTemp("", "lpbuild-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &workbench{dir: dir, rounds: rounds}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	fmt.Printf("largest stop as the target sees it, µs: median (minimum … maximum) of %d\n", rounds)
	fmt.Printf(row, "threads", "nothing", "floor", "apply", "replace", "revert", "apply again", "restore", "apply/floor")
	for _, load := range []struct {
		name   string
		others int
		busy   bool
	}{{"1", 0, false}, {"10", 9, false}, {"100", 99, false}, {"1,000", 999, false}, {"10 busy", 9, true}} {
		if err := b.measure(ctx, load.name, load.others, load.busy); err != nil {
			return fmt.Errorf("%s threads: %w", load.name, err)
		}
	}
	for _, f := range []func(context.Context) error{b.commands, b.many, b.calls, b.memory} {
		if err := f(ctx); err != nil {
			return err
		}
	}
	return nil
}

// busyWindow is how long each step is observed where more threads are busy than
// there are processors: the main thread then waits for its turn again and again,
// and a longer step would see more of that than a shorter one.
const busyWindow = 100 * time.Millisecond

// A workbench holds the programs to measure and the containers to apply: first
// makes the function answer 2, next 3.
type workbench struct {
	dir         string
	rounds      int
	first, next []*livepatch.Container
}

func (b *workbench) path(name string) string { return filepath.Join(b.dir, name) }

func (b *workbench) prepare(ctx context.Context) error {
	source := func(name string) string { return filepath.Join("bench", "testdata", name) }
	for _, args := range [][]string{
		{"-shared", "-fPIC", "-Wl,-soname,libanswer.so.1,--build-id", "-o", b.path("libanswer.so.1"), source("answer.c")},
		{"-pthread", "-o", b.path("spin"), source("spin.c"), b.path("libanswer.so.1"), "-Wl,-rpath," + b.dir},
		{"-o", b.path("sleeper"), source("sleeper.c"), b.path("libanswer.so.1"), "-Wl,-rpath," + b.dir},
		{"-o", b.path("floor"), source("floor.c")},
	} {
		cmd := exec.CommandContext(ctx, "gcc", append([]string{"-O2", "-g"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("gcc %v: %w\n%s", args, err, out)
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "urfave_cli_no_docs", "-o", b.path("lpctl"), "./cmd/lpctl")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return b.containers(ctx)
}

// containers makes the containers to apply.
func (b *workbench) containers(ctx context.Context) error {
	lib, err := elfinfo.Open(b.path("libanswer.so.1"))
	if err != nil {
		return err
	}
	defer lib.Close()
	build, err := elfinfo.NewBuild(lib, nil, []string{"answer"})
	if err != nil {
		return err
	}
	build.NEVRA, build.Package, build.Arch, build.Library = "answer-1-1.x86_64", "answer", "x86_64", "/usr/lib64/libanswer.so.1"
	if b.first, err = b.container(ctx, build, 2); err != nil {
		return err
	}
	b.next, err = b.container(ctx, build, 3)
	return err
}

// container makes the function answer value.
func (b *workbench) container(ctx context.Context, build *elfinfo.Build, value int) ([]*livepatch.Container, error) {
	dir := filepath.Join("bench", "testdata", "patch")
	patch := builder.Patch{
		Name: "patch", Dir: dir,
	}
	made, err := builder.Make(ctx, []builder.Patch{patch}, []*elfinfo.Build{build}, builder.Options{
		OutDir: b.path(fmt.Sprint(value)), Set: "bench", SetVersion: fmt.Sprint(value), Flags: []string{fmt.Sprintf("-DVALUE=%d", value)},
	})
	if err != nil {
		return nil, err
	}
	if made[0].Err != nil {
		return nil, made[0].Err
	}
	c, err := livepatch.OpenContainer(made[0].Container)
	return []*livepatch.Container{c}, err
}

// measure prints one line of the table. Every round has a new process, so that
// each apply is a first one: memory is mapped and detours are installed.
func (b *workbench) measure(ctx context.Context, name string, others int, busy bool) error {
	in, only := injector.New(injector.Options{}), injector.Selection{}
	clean := injector.New(injector.Options{Restore: true})
	var nothing, floor, apply, replace, revert, again, restore []time.Duration
	for range b.rounds {
		s, err := b.start(ctx, others, busy)
		if err != nil {
			return err
		}
		if busy {
			s.window = busyWindow
		}
		only.PIDs = []int{s.pid}
		err = s.steps(
			step{"nothing", &nothing, 1, func() error { return nil }},
			step{"floor", &floor, 1, func() error { return b.floor(ctx, s.pid) }},
			step{"apply", &apply, 2, func() error { return done(injector.Applied)(in.Apply(ctx, only, b.first)) }},
			step{"replace", &replace, 3, func() error { return done(injector.Replaced)(in.Replace(ctx, only, b.next)) }},
			step{"revert", &revert, 1, func() error { return done(injector.Reverted)(in.Revert(ctx, only, nil)) }},
			step{"apply again", &again, 2, func() error { return done(injector.Applied)(in.Apply(ctx, only, b.first)) }},
			step{"restore", &restore, 1, func() error { return done(injector.Reverted)(clean.Revert(ctx, only, nil)) }},
		)
		s.stop()
		if err != nil {
			return err
		}
	}
	ratio := float64(median(apply)) / float64(median(floor))
	fmt.Printf(row, name, show(nothing), show(floor), show(apply), show(replace), show(revert), show(again), show(restore), fmt.Sprintf("%.2f", ratio))
	return nil
}

// floor runs the C program that stops and lets go, and changes nothing.
func (b *workbench) floor(ctx context.Context, pid int) error {
	out, err := exec.CommandContext(ctx, b.path("floor"), fmt.Sprint(pid)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("floor: %w: %s", err, out)
	}
	return nil
}

// done checks the result of an operation on one process.
func done(want injector.Word) func([]injector.Result, error) error {
	return func(results []injector.Result, err error) error {
		if err != nil {
			return err
		}
		if len(results) != 1 || results[0].Word != want {
			return fmt.Errorf("%+v, want %s", results, want)
		}
		return nil
	}
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

func show(d []time.Duration) string {
	us := func(d time.Duration) int64 { return d.Microseconds() }
	return fmt.Sprintf("%d (%d … %d)", us(median(d)), us(slices.Min(d)), us(slices.Max(d)))
}
