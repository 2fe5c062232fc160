package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/lpbuild/lpbuild/injector"
	"github.com/lpbuild/lpbuild/livepatch"
)

// try goes through the steps and calls done after each.
func (j *testJob) try(ctx context.Context, opts TestOptions, done func()) error {
	container, err := livepatch.OpenContainer(j.row.Container)
	if err != nil {
		return &TestError{Step: StepBuild, Err: err}
	}
	argv, env, err := j.buildProgram(ctx)
	if err != nil {
		return &TestError{Step: StepBuild, Err: err}
	}
	j.log.line("%s: done", StepBuild)
	done()
	t := &trial{
		testJob: j, argv: argv, env: env, container: container,
		injector: injector.New(injector.Options{Log: j.log.logger(opts.Log), Restore: true}),
	}
	defer t.stop()
	for _, step := range t.steps(opts.Rounds) {
		if err := step.do(ctx); err != nil {
			return &TestError{Step: step.name, Round: t.round, Seen: t.seen(), Err: t.blame(step.name, err)}
		}
		j.log.line("%s, round %d: done; seen so far: %s", step.name, t.round, t.seen())
		done()
	}
	return nil
}

// A trial is one run of a test program and the steps that it goes through.
type trial struct {
	*testJob
	argv, env []string
	program   *program  // nil before it was started
	hammer    *hammerer // nil if the program has no threads to hammer with
	injector  *injector.Injector
	container *livepatch.Container
	observed  observed
	round     int    // counts from 1
	old, new  string // the answers before and after
}

// A step is one of those after the build.
type step struct {
	name string
	do   func(context.Context) error
}

func (t *trial) steps(rounds int) []step {
	steps := []step{{StepStart, t.started}}
	for range rounds {
		steps = append(steps, step{StepApply, t.apply}, step{StepPatched, t.patched},
			step{StepRevert, t.revert}, step{StepRestore, t.restored})
	}
	return append(steps, step{StepExit, t.exit})
}

// start runs the program, with the page of the hammer if it has one.
func (t *trial) start(ctx context.Context) error {
	has, err := definesHammer(t.argv[0])
	if err != nil {
		return err
	}
	if !has {
		t.row.warn(fmt.Sprintf("%s: test.c defines no %s: the function was not called while the patch was applied and reverted",
			t.patch.Name, hammerFunction))
		t.program, err = start(ctx, command{argv: t.argv, env: t.env})
		return err
	}
	if t.hammer, err = newHammerer(); err != nil {
		return err
	}
	t.program, err = start(ctx, command{
		argv: t.argv, env: append(t.env, "LPBUILD_HAMMER=3"), files: []*os.File{t.hammer.file},
	})
	return err
}

// stop kills the program if it runs, and logs what it wrote to standard error.
func (t *trial) stop() {
	if t.program != nil {
		t.program.stop()
		if text := t.program.stderr.suffix(); text != "" {
			t.log.line("standard error%s", text)
		}
	}
	if t.hammer != nil {
		t.hammer.close()
	}
}

// blame ends the program after a step has failed. If it had ended before that
// by itself, by a crash say, this comes first: what the step met may be no more
// than a consequence.
func (t *trial) blame(step string, err error) error {
	if t.program == nil || step == StepExit {
		return err
	}
	t.program.stop()
	if died := t.program.died(); died != nil {
		return fmt.Errorf("%w; %w", died, err)
	}
	return err
}

func (t *trial) seen() string {
	if t.program == nil {
		return ""
	}
	return t.program.said.String()
}

func (t *trial) started(ctx context.Context) (err error) {
	if err := t.start(ctx); err != nil {
		return err
	}
	if t.old, err = t.program.said.settle(ctx, 1); err != nil {
		return err
	}
	if want := t.patch.Expect.Before; want != "" && t.old != want {
		return fmt.Errorf("the answer is %q, expected before: %q", t.old, want)
	}
	if t.observed, err = observe(t.program.pid); err != nil {
		return err
	}
	if err := errors.Join(t.observed.undisturbed(), t.observed.intact(t.container, t.build)); err != nil || t.hammer == nil {
		return err
	}
	if err := t.hammer.begin(); err != nil {
		return err
	}
	t.row.Hammer = &Hammer{Threads: hammerThreads}
	return t.hammered(ctx, &t.row.Hammer.Before)
}

// hammered waits until every thread has made calls that began after now, and
// adds all new ones to the count.
func (t *trial) hammered(ctx context.Context, count *uint64) error {
	if t.hammer == nil {
		return nil
	}
	err := t.hammer.progress(ctx, t.program)
	*count += t.hammer.fresh()
	return err
}

// operate applies or reverts, and notes what was called meanwhile.
func (t *trial) operate(ctx context.Context, do operation, want injector.Word) (injector.Result, error) {
	if t.hammer != nil {
		between := &t.row.Hammer.After
		if want == injector.Reverted {
			between = &t.row.Hammer.Patched
		} else if t.round == 1 {
			between = &t.row.Hammer.Before
		}
		*between += t.hammer.fresh()
		defer func() { t.row.Hammer.During += t.hammer.fresh() }()
	}
	result, err := t.untilFree(ctx, do, want)
	if err != nil {
		return result, err
	}
	return result, t.observed.undisturbed()
}

// busyTries bounds how often a busy process is tried. On a machine that tests
// many builds at a time, threads wait long for a processor.
const busyTries = 10

// untilFree does it again as long as the process is busy: nothing has changed
// then.
func (t *trial) untilFree(ctx context.Context, do operation, want injector.Word) (injector.Result, error) {
	for try := 1; ; try++ {
		results, err := do(ctx, injector.Selection{PIDs: []int{t.program.pid}}, []*livepatch.Container{t.container})
		if err != nil {
			return injector.Result{}, err
		}
		result, err := t.one(results, want)
		busy := slices.ContainsFunc(results, func(r injector.Result) bool { return r.Word == injector.Busy })
		if err == nil || !busy || try == busyTries {
			return result, err
		}
		t.log.line("try %d of %d: %v", try, busyTries, err)
		select {
		case <-ctx.Done():
			return result, err
		case <-time.After(time.Duration(try) * 100 * time.Millisecond):
		}
	}
}

// operation is the injector's Apply or Revert.
type operation func(context.Context, injector.Selection, []*livepatch.Container) ([]injector.Result, error)

func (t *trial) apply(ctx context.Context) error {
	t.round++
	result, err := t.operate(ctx, t.injector.Apply, injector.Applied)
	t.row.Rounds = append(t.row.Rounds, Round{ApplyMicroseconds: result.Stopped.Microseconds()})
	return err
}

func (t *trial) patched(ctx context.Context) error {
	answer, err := t.program.said.settle(ctx, 2*t.round)
	if err != nil {
		return err
	}
	if want := t.patch.Expect.After; want != "" && answer != want {
		return fmt.Errorf("the answer is %q, expected after: %q", answer, want)
	}
	if t.round > 1 && answer != t.new {
		return fmt.Errorf("the answer is %q, it was %q when the patch was applied first", answer, t.new)
	}
	t.new = answer
	if t.hammer != nil {
		if err := t.hammered(ctx, &t.row.Hammer.Patched); err != nil {
			return err
		}
	}
	_, err = t.observed.base(t.build)
	return errors.Join(err, t.observed.undisturbed())
}

func (t *trial) revert(ctx context.Context) error {
	result, err := t.operate(ctx, t.injector.Revert, injector.Reverted)
	t.row.Rounds[t.round-1].RevertMicroseconds = result.Stopped.Microseconds()
	return err
}

func (t *trial) restored(ctx context.Context) error {
	answer, err := t.program.said.settle(ctx, 2*t.round+1)
	if err != nil {
		return err
	}
	if answer != t.old {
		return fmt.Errorf("the answer is %q, it was %q before", answer, t.old)
	}
	if t.hammer != nil {
		if err := t.hammered(ctx, &t.row.Hammer.After); err != nil {
			return err
		}
	}
	return errors.Join(t.observed.undisturbed(), t.observed.intact(t.container, t.build))
}

func (t *trial) exit(ctx context.Context) error {
	if t.hammer != nil {
		// What a library does as its process exits need not bear calls.
		if err := t.hammer.rest(ctx, t.program); err != nil {
			return err
		}
		t.row.Hammer.After += t.hammer.fresh()
	}
	if err := t.program.finish(ctx); err != nil {
		return err
	}
	if n := t.program.said.count(); n != 2*t.round+1 {
		return fmt.Errorf("%d answers instead of old, new, old", n)
	}
	return nil
}

// one checks that the injector did to our process what was wanted.
func (t *trial) one(results []injector.Result, want injector.Word) (injector.Result, error) {
	var words []string
	var cause error
	for _, r := range results {
		if r.PID == t.program.pid && r.Word == want {
			return r, nil
		}
		reason := strings.TrimPrefix(r.Reason, fmt.Sprintf("pid %d: ", r.PID))
		words = append(words, strings.TrimSpace(string(r.Word)+" "+reason))
		cause = r.Err
	}
	return injector.Result{}, &unexpectedWord{fmt.Sprintf("pid %d: %s instead of %s", t.program.pid, strings.Join(words, ", "), want), cause}
}

// unexpectedWord is another result of the injector than was wanted.
type unexpectedWord struct {
	text  string
	cause error
}

func (e *unexpectedWord) Error() string { return e.text }
func (e *unexpectedWord) Unwrap() error { return e.cause }
