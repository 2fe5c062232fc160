package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/injector"
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
)

// The steps of every round, and those outside of them.
const (
	stepsOfRound = 4
	stepsOnce    = 3
)

// ErrNotPermitted says that the test program may not be traced.
var ErrNotPermitted = injector.ErrPermission

// How many times a live patch is applied and reverted.
const (
	DefaultRounds = 3
	MaxRounds     = 100
)

// A TestError is why a live patch did not prove itself on one build.
type TestError struct {
	// Step is one of the Step constants.
	Step string
	// Round counts the times that the patch was applied, from 1; 0 before that.
	Round int
	// Seen is what the program had said until then.
	Seen string
	Err  error
}

// Error is the reason followed by what was seen; the step stands in Step.
func (e *TestError) Error() string {
	text := e.Err.Error()
	if e.Round > 1 {
		text = fmt.Sprintf("round %d: %s", e.Round, text)
	}
	if e.Seen == "" {
		return text
	}
	return fmt.Sprintf("%s; seen: %s", text, e.Seen)
}

// Unwrap returns Err.
func (e *TestError) Unwrap() error { return e.Err }

// TestOptions are those of a stage, and how much is tried.
type TestOptions struct {
	Options
	// Rounds is how many times each live patch is applied and reverted (default:
	// DefaultRounds; at most MaxRounds).
	Rounds int
	// Timeout bounds the test of one build, the compiling included (default: 30 seconds).
	Timeout time.Duration
}

// Interrupted is the reason of a row that was Skipped as ctx was done.
const Interrupted = "interrupted"

// Test makes the containers and tries each one on a process that runs that very
// build: old behaviour, apply, new behaviour, revert, old behaviour. A patch
// without test.c is a row with Skipped. No process outlives the call.
//
// If ctx ends once the containers are there, the report comes with the error:
// rows that were not tried to the end are Skipped, with the reason Interrupted.
func (p *Project) Test(ctx context.Context, opts TestOptions) (*Report, error) {
	opts.setDefaults()
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

func (o *TestOptions) setDefaults() {
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Rounds == 0 {
		o.Rounds = DefaultRounds
	}
	o.Rounds = min(o.Rounds, MaxRounds)
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
	libcs *libcChoice
	out   string // the path of the test program
	log   *testLog
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
	libcs, err := newLibcChoice(records, store)
	if err != nil {
		return nil, err
	}
	var jobs []testJob
	row := 0
	for _, patch := range p.Patches {
		for _, build := range targets(patch, records) {
			jobs = append(jobs, testJob{
				row: &report.Rows[row], patch: patch, build: build, store: store, libcs: libcs,
				out: filepath.Join(work, fmt.Sprintf("%d", row), patch.Name), log: new(testLog),
			})
			row++
		}
	}
	return jobs, nil
}

// run tests one row and notes the result in it. When ctx ends, the row is
// Skipped: what was seen until then proves nothing either way.
func (j *testJob) run(ctx context.Context, opts TestOptions) {
	task := opts.task(fmt.Sprintf("test %s %s", j.patch.Name, j.build.NEVRA), int64(stepsOnce+stepsOfRound*opts.Rounds))
	began := time.Now()
	j.log.began = began
	var err error
	switch {
	case ctx.Err() != nil:
	case j.row.Result == Failed:
		err = &TestError{Step: StepBuild, Err: j.row.Err}
	case j.row.Result == NotConcerned:
		task.Done(nil)
		return
	case j.patch.Test == "":
		j.row.Result, j.row.Reason = Skipped, "no test.c"
		task.Done(nil)
		return
	case j.cannotRun() != "":
		j.row.Result, j.row.Reason = Skipped, j.cannotRun()
		task.Done(nil)
		return
	default:
		ctx, cancel := context.WithTimeoutCause(ctx, opts.Timeout, fmt.Errorf("not finished after %s", opts.Timeout))
		err = j.try(ctx, opts, func() { task.Add(1) })
		cancel()
	}
	j.row.Seconds = time.Since(began).Seconds()
	j.row.sumUp()
	if ctx.Err() != nil {
		j.row.Result, j.row.Reason = Skipped, Interrupted
		task.Done(ctx.Err())
		return
	}
	j.row.Result = Passed
	if err != nil {
		j.failed(err)
	}
	task.Done(err)
}

// failed notes the step that failed and the log.
func (j *testJob) failed(err error) {
	j.row.fail(err)
	var te *TestError
	if errors.As(err, &te) {
		j.row.Step = te.Step
	}
	j.log.line("%s: %s", j.row.Step, j.row.Reason)
	j.row.Log = j.log.String()
}

// loader is the name of glibc's dynamic loader for x86-64 (psABI 5.2.1), hostLoader its path.
const (
	loader     = "ld-linux-x86-64.so.2"
	hostLoader = "/lib64/" + loader
)

// cannotRun says why this machine cannot run the build, "" if it can.
func (j *testJob) cannotRun() string {
	if reason := cannotRun(j.build); reason != "" {
		return reason
	}
	if dir, err := j.store.LibraryDir(j.build); err != nil || hasLoader(dir) {
		return "" // buildProgram meets the error
	}
	_, _, reason, _ := j.libcs.choose(j.build)
	return reason
}

// hasLoader says whether a folder of libraries is that of a libc.
func hasLoader(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, loader))
	return err == nil
}

// buildProgram builds test.c for the build. A libc runs with its own loader and
// its own libraries; any other library with this machine's, if they are new
// enough for it.
func (j *testJob) buildProgram(ctx context.Context) (argv, env []string, err error) {
	dir, library, err := j.libraryDir()
	if err != nil {
		return nil, nil, err
	}
	env = []string{"LC_ALL=C", "PATH=/usr/bin:/bin"}
	target := builder.ProgramEnv{LibraryDir: dir}
	if !hasLoader(dir) {
		libc, loader, _, err := j.libcs.choose(j.build)
		if err != nil {
			return nil, nil, err
		}
		target = builder.ProgramEnv{LibraryDir: libc, Loader: loader, Libraries: []string{library}}
		env = append(env, "LD_LIBRARY_PATH="+dir)
	}
	header := j.out + ".h"
	if err := os.MkdirAll(filepath.Dir(j.out), 0o777); err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(header, hammerHeader, 0o600); err != nil {
		return nil, nil, err
	}
	target.Flags = []string{"-I" + j.patch.Dir, "-include", header}
	target.Companions = map[string][]byte{hammerFunction: hammerSource}
	linked := j.out + ".linked"
	if err := builder.BuildProgram(ctx, j.patch.Test, linked, target); err != nil {
		return nil, nil, err
	}
	return []string{j.out}, env, copyProgram(linked, j.out)
}
