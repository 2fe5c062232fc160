package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/injector"
	"github.com/lpbuild/lpbuild/livepatch"
)

// The steps of a test, in order. docs/testing.md is their definition.
const (
	StepBuild   = "build"   // the container, and the test program for that build
	StepStart   = "start"   // the program answers twice, and maps that build
	StepApply   = "apply"   // the injector says APPLIED
	StepPatched = "patched" // a new answer, twice
	StepRevert  = "revert"  // the injector says REVERTED
	StepRestore = "restore" // the old answer, twice, and the original's bytes in memory
	StepExit    = "exit"    // input closed, status 0, no other answer on the way

	testSteps = 7
)

// ErrNotPermitted says that the test program may not be traced.
var ErrNotPermitted = injector.ErrPermission

// A TestError is why a live patch did not prove itself on one build.
type TestError struct {
	// Step is one of the Step constants.
	Step string
	// Seen is what the program had said until then.
	Seen string
	Err  error
}

// Error is the reason followed by what was seen; the step stands in Step.
func (e *TestError) Error() string {
	if e.Seen == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v; seen: %s", e.Err, e.Seen)
}

// Unwrap returns Err.
func (e *TestError) Unwrap() error { return e.Err }

// TestOptions are those of a stage and a bound in time.
type TestOptions struct {
	Options
	// Timeout bounds the test of one build, the compiling included (default: 30 seconds).
	Timeout time.Duration
}

// Test makes the containers and tries each one on a process that runs that very
// build: old behaviour, apply, new behaviour, revert, old behaviour. A patch
// without test.c is a row with Skipped. No process outlives the call.
func (p *Project) Test(ctx context.Context, opts TestOptions) (*Report, error) {
	if opts.Timeout == 0 {
		opts.Timeout = 30 * time.Second
	}
	store, err := openStore(opts.Store)
	if err != nil {
		return nil, err
	}
	report, err := p.Make(ctx, opts.Options)
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "lpbuild-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	jobs, err := p.testJobs(report, store, work)
	if err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(opts.jobs())
	for i := range jobs {
		group.Go(func() error {
			jobs[i].run(ctx, opts)
			return ctx.Err()
		})
	}
	return report, group.Wait()
}

func (o Options) jobs() int {
	if o.Jobs > 0 {
		return o.Jobs
	}
	return runtime.NumCPU()
}

// A testJob is the test of one row.
type testJob struct {
	row   *Row
	patch Patch
	build *elfinfo.Build
	store libraries
	out   string // the path of the test program
}

// libraries is where the libraries of a build are, unpacked.
type libraries interface {
	// Library is the path of the target library itself, LibraryDir the folder
	// with the libraries of its package.
	Library(*elfinfo.Build) (string, error)
	LibraryDir(*elfinfo.Build) (string, error)
}

func (p *Project) testJobs(report *Report, store libraries, work string) ([]testJob, error) {
	records, err := p.records()
	if err != nil {
		return nil, err
	}
	var jobs []testJob
	row := 0
	for _, patch := range p.Patches {
		for _, build := range targets(patch, records) {
			jobs = append(jobs, testJob{
				row: &report.Rows[row], patch: patch, build: build, store: store,
				out: filepath.Join(work, fmt.Sprintf("%d", row), patch.Name),
			})
			row++
		}
	}
	return jobs, nil
}

// run tests one row and notes the result in it.
func (j *testJob) run(ctx context.Context, opts TestOptions) {
	task := opts.task(fmt.Sprintf("test %s %s", j.patch.Name, j.build.NEVRA), testSteps)
	began := time.Now()
	var err error
	switch {
	case j.row.Result == Failed:
		err = &TestError{Step: StepBuild, Err: j.row.Err}
	case j.patch.Test == "":
		j.row.Result, j.row.Reason = Skipped, "no test.c"
		task.Done(nil)
		return
	default:
		ctx, cancel := context.WithTimeoutCause(ctx, opts.Timeout, fmt.Errorf("not finished after %s", opts.Timeout))
		defer cancel()
		err = j.try(ctx, opts, func() { task.Add(1) })
	}
	j.row.Seconds = time.Since(began).Seconds()
	j.row.Result = Passed
	if err != nil {
		j.row.fail(err)
		var te *TestError
		if errors.As(err, &te) {
			j.row.Step = te.Step
		}
	}
	task.Done(err)
}

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
	done()
	prog, err := start(ctx, argv, env)
	if err != nil {
		return &TestError{Step: StepStart, Err: err}
	}
	defer prog.stop()
	t := &trial{
		testJob: j, program: prog, containers: []*livepatch.Container{container},
		injector: injector.New(injector.Options{Log: opts.Log, Restore: true}),
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{StepStart, t.started}, {StepApply, t.apply}, {StepPatched, t.patched},
		{StepRevert, t.revert}, {StepRestore, t.restored}, {StepExit, t.exit},
	} {
		if err := step.do(ctx); err != nil {
			return &TestError{Step: step.name, Seen: prog.said.String(), Err: err}
		}
		done()
	}
	return nil
}

// loader is the name of glibc's dynamic loader for x86-64 (psABI 5.2.1), hostLoader its path.
const (
	loader     = "ld-linux-x86-64.so.2"
	hostLoader = "/lib64/" + loader
)

// buildProgram builds test.c for the build. A libc runs with its own loader and
// its own libraries; any other library with this machine's.
func (j *testJob) buildProgram(ctx context.Context) (argv, env []string, err error) {
	dir, err := j.store.LibraryDir(j.build)
	if err != nil {
		return nil, nil, err
	}
	env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
	target := builder.ProgramEnv{LibraryDir: dir}
	if _, err := os.Stat(filepath.Join(dir, loader)); err != nil {
		library, err := j.store.Library(j.build)
		if err != nil {
			return nil, nil, err
		}
		host, err := filepath.EvalSymlinks(hostLoader)
		if err != nil {
			return nil, nil, err
		}
		target = builder.ProgramEnv{LibraryDir: filepath.Dir(host), Loader: host, Libraries: []string{library}}
		env = append(env, "LD_LIBRARY_PATH="+dir)
	}
	target.Flags = []string{"-I" + j.patch.Dir}
	if err := os.MkdirAll(filepath.Dir(j.out), 0o777); err != nil {
		return nil, nil, err
	}
	linked := j.out + ".linked"
	if err := builder.BuildProgram(ctx, j.patch.Test, linked, target); err != nil {
		return nil, nil, err
	}
	return []string{j.out}, env, copyProgram(linked, j.out)
}

// A trial is one run of a test program and the steps that it goes through.
type trial struct {
	*testJob
	program    *program
	injector   *injector.Injector
	containers []*livepatch.Container
	observed   observed
	old        string // the answer before
}

func (t *trial) started(ctx context.Context) (err error) {
	if t.old, err = t.program.said.settle(ctx, 1); err != nil {
		return errors.Join(err, t.program.ended())
	}
	if want := t.patch.Expect.Before; want != "" && t.old != want {
		return fmt.Errorf("the answer is %q, expected before: %q", t.old, want)
	}
	if t.observed, err = observe(t.program.pid); err != nil {
		return err
	}
	return errors.Join(t.observed.undisturbed(), t.observed.intact(t.patch, t.build))
}

func (t *trial) apply(ctx context.Context) error {
	results, err := t.injector.Apply(ctx, t.selection(), t.containers)
	if err := t.one(results, err, injector.Applied); err != nil {
		return err
	}
	return t.observed.undisturbed()
}

func (t *trial) patched(ctx context.Context) error {
	answer, err := t.program.said.settle(ctx, 2)
	if err != nil {
		return errors.Join(err, t.program.ended())
	}
	if want := t.patch.Expect.After; want != "" && answer != want {
		return fmt.Errorf("the answer is %q, expected after: %q", answer, want)
	}
	_, err = t.observed.base(t.build)
	return errors.Join(err, t.observed.undisturbed())
}

func (t *trial) revert(ctx context.Context) error {
	results, err := t.injector.Revert(ctx, t.selection(), t.containers)
	if err := t.one(results, err, injector.Reverted); err != nil {
		return err
	}
	return t.observed.undisturbed()
}

func (t *trial) restored(ctx context.Context) error {
	answer, err := t.program.said.settle(ctx, 3)
	if err != nil {
		return errors.Join(err, t.program.ended())
	}
	if answer != t.old {
		return fmt.Errorf("the answer is %q, it was %q before", answer, t.old)
	}
	return errors.Join(t.observed.undisturbed(), t.observed.intact(t.patch, t.build))
}

func (t *trial) exit(ctx context.Context) error {
	if err := t.program.finish(ctx); err != nil {
		return err
	}
	if n := t.program.said.count(); n != 3 {
		return fmt.Errorf("%d answers instead of old, new, old", n)
	}
	return nil
}

func (t *trial) selection() injector.Selection {
	return injector.Selection{PIDs: []int{t.program.pid}}
}

// one checks that the injector did to our process what was wanted, and notes
// the longest stop.
func (t *trial) one(results []injector.Result, err error, want injector.Word) error {
	if err != nil {
		return err
	}
	var words []string
	var cause error
	for _, r := range results {
		if r.PID == t.program.pid && r.Word == want {
			t.row.StoppedMicroseconds = max(t.row.StoppedMicroseconds, r.Stopped.Microseconds())
			return nil
		}
		words = append(words, strings.TrimSpace(string(r.Word)+" "+r.Reason))
		cause = r.Err
	}
	return &unexpectedWord{fmt.Sprintf("pid %d: %s instead of %s", t.program.pid, strings.Join(words, ", "), want), cause}
}

// unexpectedWord is another result of the injector than was wanted.
type unexpectedWord struct {
	text  string
	cause error
}

func (e *unexpectedWord) Error() string { return e.text }
func (e *unexpectedWord) Unwrap() error { return e.cause }
