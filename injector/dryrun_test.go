package injector

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// What is only tried says what will come of it, and leaves everything as it was.
func TestDryRun(t *testing.T) {
	f := newFixture(t, "stock")
	old, newer := f.container(t, 2, "answer"), f.container(t, 3, "answer")
	tg := f.start(t, 0, 1)
	dry, wet := New(Options{DryRun: true}), New(Options{})
	sel := only(tg.pid)

	try := func(word Word, rs []Result, err error) {
		t.Helper()
		r := result(t, word, rs, err)
		if !r.DryRun || r.Stopped != 0 {
			t.Errorf("dry run %v, stopped for %v", r.DryRun, r.Stopped)
		}
	}
	rs, err := dry.Revert(t.Context(), sel, nil)
	try(NotApplied, rs, err)
	before := text(t, tg.pid)
	rs, err = dry.Apply(t.Context(), sel, []*livepatch.Container{old})
	try(Applied, rs, err)
	if text(t, tg.pid) != before {
		t.Error("a dry run changed the process's mappings")
	}
	tg.expect("1001")

	rs, err = wet.Apply(t.Context(), sel, []*livepatch.Container{old})
	result(t, Applied, rs, err)
	tg.expect("1001", "2001")
	before = text(t, tg.pid)
	rs, err = dry.Apply(t.Context(), sel, []*livepatch.Container{old})
	try(Already, rs, err)
	rs, err = dry.Replace(t.Context(), sel, []*livepatch.Container{newer})
	try(Replaced, rs, err)
	if len(rs[0].Patches) != 1 || rs[0].Patches[0].ID != old.ID {
		t.Errorf("in force: %+v, want what still is", rs[0].Patches)
	}
	rs, err = dry.Revert(t.Context(), sel, nil)
	try(Reverted, rs, err)
	if text(t, tg.pid) != before {
		t.Error("a dry run changed the process's mappings")
	}
	tg.expect("1001", "2001")
}

// text is where a process has code.
func text(t *testing.T, pid int) string {
	t.Helper()
	maps, err := hold(t, pid).mappings()
	if err != nil {
		t.Fatal(err)
	}
	out := ""
	for _, m := range maps {
		if m.exec {
			out += fmt.Sprintf("%x-%x %d %s\n", m.start, m.end, m.inode, m.path)
		}
	}
	return out
}

// Status says of a process without live patches whether it could have one.
func TestStatusSaysWhetherItIsPatchable(t *testing.T) {
	f := newFixture(t, "stock")
	free, traced := f.start(t, 0, 0), f.start(t, 0, 0)
	static := launch(t, exec.Command(compile(t, "static", subjectSource, "-static")))
	release := holdTraced(t, traced.pid)
	defer release()
	for _, tt := range []struct {
		pid       int
		patchable bool
		reason    string
	}{
		{free.pid, true, ""},
		{traced.pid, false, fmt.Sprintf("it is traced by process %d already", os.Getpid())},
		{static.pid, false, "it is statically linked: it has no library that could be patched"},
	} {
		rs, err := New(Options{}).Status(t.Context(), only(tt.pid))
		r := result(t, NotApplied, rs, err)
		if r.Patchable == nil || *r.Patchable != tt.patchable || r.Reason != tt.reason {
			t.Errorf("pid %d: patchable %v, reason %q; want %v, %q", tt.pid, r.Patchable, r.Reason, tt.patchable, tt.reason)
		}
	}
}

// holdTraced traces a process, as a debugger would, until it is released.
func holdTraced(t *testing.T, pid int) (release func()) {
	t.Helper()
	p := hold(t, pid)
	held, let, ended := make(chan error, 1), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- trace(p, func(tr *tracer) error {
			_, err := tr.seize(pid, pid)
			held <- err
			<-let
			return err
		})
	}()
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	return func() {
		close(let)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
