package pipeline

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/elfinfo"
)

const endsByItself = `
extern const char *greeting(void);
extern int puts(const char *);
int main(void) { puts(greeting()); return STATUS; }
`

const changesItsMind = `
#include <stdio.h>
#include <unistd.h>
extern const char *greeting(void);
int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < 4; i++) {
		puts(greeting());
		puts("well, well");
	}
	pause();
	return STATUS;
}
`

const remembers = `
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <poll.h>
extern const char *greeting(void);
int main(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;
	int patched = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	do {
		const char *answer = greeting();
		int now = strcmp(answer, "good day") == 0;
		puts(patched && !now ? "hello again" : answer);
		patched |= now;
	} while (poll(&in, 1, 5) <= 0 || read(STDIN_FILENO, &byte, 1) > 0);
	return STATUS;
}
`

func TestTrial(t *testing.T) {
	requireTracing(t)
	lib, other := newGreet(t, "one"), newGreet(t, "two")
	tests := []struct {
		name                 string
		replacement, program string
		status               string
		expect               Expect
		timeout              time.Duration // 0 for plenty
		containerFor         *elfinfo.Build
		step                 string // "" if it is to pass
		reason               string
	}{
		{name: "passes"},
		{name: "passes as expected", expect: Expect{Before: "hello", After: "good day"}},
		{name: "another answer before", expect: Expect{Before: "hallo"}, step: StepStart, reason: `the answer is "hello", expected before: "hallo"`},
		{name: "another answer after", expect: Expect{After: "guten Tag"}, step: StepPatched, reason: `the answer is "good day", expected after: "guten Tag"`},
		{name: "no change", replacement: "hello", timeout: 3 * time.Second, step: StepPatched, reason: `no new answer: not finished after `},
		{name: "status", status: "7", step: StepExit, reason: "exit status 7"},
		{name: "not a program", program: "int main(", step: StepBuild, reason: "test.c"},
		{name: "ends by itself", program: endsByItself, status: "4", step: StepStart, reason: "exit status 4"},
		{name: "changes its mind", program: changesItsMind, step: StepStart, reason: `unexpected answer "well, well"`},
		{name: "another answer after it was reverted", program: remembers, step: StepRestore, reason: `the answer is "hello again", it was "hello" before`},
		{name: "container for another build", containerFor: other.build, step: StepApply, reason: "NO-PATCH-FOR-BUILD"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			patch := greetPatch(t, cmp.Or(tt.replacement, "good day"), tt.program, cmp.Or(tt.status, "0"))
			patch.Expect = tt.expect
			target := lib.build
			if tt.containerFor != nil {
				target = tt.containerFor
			}
			made := madeRow(t, patch, target)
			row := retryTimeout(tt.timeout, TestOptions{Rounds: 2, Timeout: time.Minute}, func(opts TestOptions) Row {
				row := made
				job := testJob{row: &row, patch: patch, build: lib.build, store: lib, libcs: chooseLibc(t, lib), out: filepath.Join(t.TempDir(), "prog"), log: new(testLog)}
				job.run(t.Context(), opts)
				return row
			})
			if tt.step == "" {
				if row.Result != Passed || row.Reason != "" || row.Seconds <= 0 || row.StoppedMicroseconds <= 0 {
					t.Errorf("row %+v", row)
				}
				return
			}
			if row.Result != Failed || row.Step != tt.step || !strings.Contains(row.Reason, tt.reason) {
				t.Errorf("%s at step %q: %s\nwant step %q: %s", row.Result, row.Step, row.Reason, tt.step, tt.reason)
			}
		})
	}
}

func madeRow(t *testing.T, patch Patch, build *elfinfo.Build) Row {
	t.Helper()
	outcomes, err := builder.Make(t.Context(), []builder.Patch{patch.Patch}, []*elfinfo.Build{build}, builder.Options{OutDir: t.TempDir(), Set: "set", SetVersion: "1"})
	if err != nil {
		t.Fatal(err)
	}
	row := outcomeRow("make", patch, outcomes[0])
	if row.Err != nil {
		t.Fatal(row.Err)
	}
	return row
}

// requireTracing skips the test where processes cannot be traced.
func requireTracing(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("not root: processes cannot be traced")
	}
	t.Skip("not root: processes cannot be traced")
}

// TestProgramIsKilled: whatever a program does, it is gone after stop, and so
// are its children.
func TestProgramIsKilled(t *testing.T) {
	t.Parallel()
	p, err := start(t.Context(), command{argv: []string{"/bin/sh", "-c", "sleep 1000 & echo $!; echo $!; trap '' TERM HUP; wait"}})
	if err != nil {
		t.Fatal(err)
	}
	child, err := p.said.settle(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	p.stop()
	for _, path := range []string{"/proc/" + child + "/exe"} {
		if _, err := os.Readlink(path); !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
}
