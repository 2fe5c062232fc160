package pipeline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hammers is what a test program adds to be hammered.
const hammers = `
#include <string.h>
const char *lpbuild_hammer(void)
{
	const char *answer = greeting();
	return strcmp(answer, "hello") == 0 || strcmp(answer, "good day") == 0 ? NULL : answer;
}
`

// systemCalls are functions that the library does not import.
const systemCalls = `
static long call(long number)
{
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number) : "rcx", "r11", "memory");
	return result;
}
static inline void sched_yield(void) { call(24); }
static inline int gettid(void) { return call(186); }
static inline int getpid(void) { return call(39); }
`

// Replacements of which the answers that main prints tell nothing: it calls too rarely, and alone.
const (
	good = `return "good day";`
	// Crashes when two threads are inside.
	notForThreads = `
	static int inside;
	if (__atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST) > 0)
		__builtin_trap();
	for (int i = 0; i < 50; i++)
		sched_yield();
	__atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
	return "good day";`
	// Is wrong now and then.
	wrongAtTimes = `
	static int calls;
	return __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST) % 1000 ? "good day" : "broken <&\n";`
	// Never returns to any thread but main's.
	hangs = `
	while (gettid() != getpid())
		sched_yield();
	return "good day";`
)

// TestHammer: bad live patches that pass as long as nobody else calls the
// function are found when somebody does.
func TestHammer(t *testing.T) {
	requireTracing(t)
	lib := newGreet(t, "one")
	tests := []struct {
		name, body string
		step       string // "" if it is to pass
		reason     string
		timeout    time.Duration
	}{
		{name: "good", body: good},
		{name: "not for threads", body: notForThreads, step: StepApply + StepPatched, reason: "the program: signal: "},
		{name: "wrong at times", body: wrongAtTimes, step: StepPatched + StepApply + StepRevert + StepRestore, reason: `lpbuild_hammer: "broken <&\n"`},
		{name: "hangs", body: hangs, step: StepPatched, reason: "has not come back from lpbuild_hammer: not finished after ", timeout: 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			opts := TestOptions{Rounds: 4, Timeout: time.Minute}
			if row := testBody(t, lib, tt.body, "", opts); row.Result != Passed || row.Hammer != nil ||
				len(row.Warnings) != 1 || !strings.Contains(row.Warnings[0], "test.c defines no lpbuild_hammer") {
				t.Errorf("not hammered: %+v", row)
			}
			row := retryTimeout(tt.timeout, opts, func(opts TestOptions) Row { return testBody(t, lib, tt.body, hammers, opts) })
			if tt.step == "" {
				hammeredRow(t, row, opts.Rounds)
				return
			}
			if row.Result != Failed || !strings.Contains(tt.step, row.Step) || !strings.Contains(row.Reason, tt.reason) {
				t.Errorf("%s at step %q: %s\nwant step %q: %s", row.Result, row.Step, row.Reason, tt.step, tt.reason)
			}
		})
	}
}

// retryTimeout tests with that timeout, if it is not 0. A machine under load may
// need longer to get as far as where the test is to fail: it gets longer.
func retryTimeout(timeout time.Duration, opts TestOptions, test func(TestOptions) Row) Row {
	if timeout == 0 {
		return test(opts)
	}
	for {
		opts.Timeout = timeout
		row := test(opts)
		if row.Step == StepPatched || timeout > time.Minute {
			return row
		}
		timeout *= 3
	}
}

// testBody tests a replacement with that body, with more text in test.c.
func testBody(t *testing.T, lib *greet, body, more string, opts TestOptions) Row {
	t.Helper()
	patch := greetPatch(t, "good day", "", "0")
	source := systemCalls + "const char *greeting_lp(void) {" + body + "}\n"
	if err := os.WriteFile(filepath.Join(patch.Dir, "patch.c"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(patch.Test)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(patch.Test, append(program, more...), 0o600); err != nil {
		t.Fatal(err)
	}
	row := madeRow(t, patch, lib.build)
	job := testJob{row: &row, patch: patch, build: lib.build, store: lib, libcs: chooseLibc(t, lib), out: filepath.Join(t.TempDir(), "prog"), log: new(testLog)}
	job.run(t.Context(), opts)
	return row
}

func hammeredRow(t *testing.T, row Row, rounds int) {
	t.Helper()
	if row.Result != Passed || len(row.Warnings) > 0 || len(row.Rounds) != rounds {
		t.Errorf("row %+v", row)
	}
	h := row.Hammer
	// Each of the threads has come back twice in every phase of every round.
	least := uint64(2 * hammerThreads)
	if h == nil || h.Threads != hammerThreads || h.Before < least || h.Patched < least*uint64(rounds) || h.After < least*uint64(rounds) {
		t.Errorf("hammer %+v", h)
	}
	if row.StoppedMedianMicroseconds <= 0 || row.StoppedMedianMicroseconds > row.StoppedMicroseconds {
		t.Errorf("stopped %d µs, median %d µs", row.StoppedMicroseconds, row.StoppedMedianMicroseconds)
	}
	t.Logf("%+v, stopped %d µs at most", *h, row.StoppedMicroseconds)
}

// TestCrashLeavesNoCore: it would be in the root folder.
func TestCrashLeavesNoCore(t *testing.T) {
	t.Parallel()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil || limit.Max == 0 {
		t.Skipf("no core files here: %v", err)
	}
	p, err := start(t.Context(), command{argv: []string{"/bin/cat"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	if err := unix.Prlimit(p.pid, unix.RLIMIT_CORE, nil, &limit); err != nil || limit.Max != 0 {
		t.Errorf("core files of %d bytes, %v", limit.Max, err)
	}
}

func TestHammerOfAnotherType(t *testing.T) {
	t.Parallel()
	lib := newGreet(t, "one")
	row := testBody(t, lib, good, "\nvoid lpbuild_hammer(void) { greeting(); }\n", TestOptions{Rounds: 1, Timeout: time.Minute})
	if row.Step != StepBuild || !strings.Contains(row.Reason, "conflicting types for") {
		t.Errorf("%s at step %q: %s", row.Result, row.Step, row.Reason)
	}
}
