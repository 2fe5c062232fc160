package injector

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// throwing builds testdata/throwing.cc and starts the program that uses it.
func throwing(t *testing.T) (*fixture, *target) {
	t.Helper()
	f := fixtureFrom(t, "testdata/throwing.cc", []string{"-lstdc++", "-fcf-protection=none"},
		"answer", "throws", "calls_back", "cleans_up", "begins_with_call")
	f.program = filepath.Join(f.dir, "throwing")
	run(t, "g++", "-O2", "-o", f.program, "testdata/throwing_program.cc", f.library, "-Wl,-rpath,$ORIGIN")
	return f, startTarget(t, exec.Command(f.program))
}

// TestExceptionsAroundPatches: exceptions pass through all other functions of a
// patched process, also out of a caller of the function replaced, and through a
// function that is in force again after its replacement was reverted.
func TestExceptionsAroundPatches(t *testing.T) {
	f, tg := throwing(t)
	set := []*livepatch.Container{
		f.containerFrom(t, "testdata/throwing_patch.cc", 2, "answer"),
		f.containerFrom(t, "testdata/throwing_patch.cc", 3, "begins_with_call"),
	}
	in := New(Options{})
	tg.does('x', "1,4,4,1")
	rs, err := in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	tg.does('x', "2,3,4,1") // the replacement of begins_with_call does not throw
	rs, err = in.Revert(background(), only(tg.pid), set[1:])
	result(t, Reverted, rs, err)
	tg.does('x', "2,4,4,1")
	rs, err = in.Revert(background(), only(tg.pid), nil)
	result(t, Reverted, rs, err)
	tg.does('x', "1,4,4,1")
	tg.unharmed()
	tg.ends()
}

// TestExceptionsThroughPatches: what an exception may have to pass is not
// replaced: without frame information it would end the process.
func TestExceptionsThroughPatches(t *testing.T) {
	f, tg := throwing(t)
	for _, tt := range []struct {
		function string
		value    int
		reason   string
	}{
		{"cleans_up", 2, "exception handler or clean-up"},
		{"calls_back", 2, "which may throw"},
		{"throws", 2, "exception handler or clean-up"},
		{"begins_with_call", 8, "refers to throws"},
		{"begins_with_call", 9, "refers to __cxa_"},
	} {
		t.Run(fmt.Sprint(tt.function, tt.value), func(t *testing.T) {
			set := []*livepatch.Container{f.containerFrom(t, "testdata/throwing_patch.cc", tt.value, tt.function)}
			rs, err := New(Options{}).Apply(background(), only(tg.pid), set)
			if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, tt.reason) {
				t.Errorf("reason %q, want %q", r.Reason, tt.reason)
			}
			tg.does('x', "1,4,4,1")
		})
	}
	tg.unharmed()
	tg.ends()
}

// TestCancellationAroundPatches: a thread that has called a replacement is
// cancelled as ever, and its callers' clean-up is done.
func TestCancellationAroundPatches(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.startProgram(t, "testdata/cancelled.c")
	in := New(Options{})
	for range 5 {
		tg.does('x', "1,2,cancelled")
		rs, err := in.Apply(background(), only(tg.pid), set)
		result(t, Applied, rs, err)
		tg.does('x', "2,2,cancelled")
		rs, err = in.Revert(background(), only(tg.pid), nil)
		result(t, Reverted, rs, err)
	}
	tg.unharmed()
	tg.ends()
}

// TestCancellationThroughPatches: a cancellation point is not replaced: without
// frame information the clean-up of its callers would be left out.
func TestCancellationThroughPatches(t *testing.T) {
	f := newFixture(t, "stock")
	tg := f.startProgram(t, "testdata/cancelled.c")
	lib, err := elfinfo.Open(filepath.Join(filepath.Dir(linker(t)), "libc.so.6"))
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	if f.build, err = elfinfo.NewBuild(lib, nil, []string{"read"}); err != nil {
		t.Fatal(err)
	}
	set := []*livepatch.Container{f.containerFrom(t, "testdata/reading_patch.c", 2, "read")}
	rs, err := New(Options{}).Apply(background(), only(tg.pid), set)
	if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, "cancelled in it") {
		t.Errorf("reason %q", r.Reason)
	}
	tg.does('x', "1,2,cancelled")
	tg.unharmed()
	tg.ends()
}
