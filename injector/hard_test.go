package injector

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/livepatch"
)

// startHard runs one case of testdata/hard.c.
func (f *fixture) startHard(t testing.TB, name string) *target {
	t.Helper()
	program := filepath.Join(f.dir, "hard")
	gcc(t, "-O2", "-pthread", "-o", program, "testdata/hard.c", f.library, "-Wl,-rpath,$ORIGIN")
	return startTarget(t, exec.Command(program, name))
}

// says has the case call once more and checks the answer.
func (tg *target) says(want string) {
	tg.t.Helper()
	if _, err := tg.stdin.Write([]byte("x")); err != nil {
		tg.t.Fatalf("pid %d: %v (%v)", tg.pid, err, tg.cmd.Wait())
	}
	select {
	case line := <-tg.lines:
		if !strings.HasSuffix(line, " "+want) {
			tg.t.Fatalf("pid %d says %q, want %s", tg.pid, line, want)
		}
	case <-time.After(30 * time.Second):
		tg.t.Fatalf("pid %d says nothing, want %s", tg.pid, want)
	}
}

// ends closes the case's input and wants it to end well.
func (tg *target) ends() {
	tg.t.Helper()
	_ = tg.stdin.Close()
	for line := range tg.lines {
		tg.t.Errorf("pid %d says %q", tg.pid, line)
	}
	if err := tg.cmd.Wait(); err != nil {
		tg.t.Errorf("pid %d: %v", tg.pid, err)
	}
}

// TestHardCases applies and reverts in processes for which a careless stop, or
// a careless borrow, shows.
func TestHardCases(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	for _, c := range []struct {
		name   string
		rounds int
	}{{"plain", 1}, {"blocked", 20}, {"signals", 100}, {"headless", 3}, {"vforked", 3}, {"computing", 100}, {"part-filtered", 3}} {
		t.Run(c.name, func(t *testing.T) {
			tg := f.startHard(t, c.name)
			if c.name == "headless" {
				awaitState(t, tg.pid, 'Z')
			}
			in := New(Options{})
			for range c.rounds {
				rs, err := in.Apply(background(), only(tg.pid), set)
				result(t, Applied, rs, err)
				tg.says(v2)
				rs, err = in.Revert(background(), only(tg.pid), nil)
				result(t, Reverted, rs, err)
				tg.says(old)
			}
			tg.unharmed()
			tg.ends()
		})
	}
}

func TestStoppedProcessStaysStopped(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.startHard(t, "plain")
	if err := unix.Kill(tg.pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	awaitState(t, tg.pid, 'T')
	in := New(Options{})
	rs, err := in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	awaitState(t, tg.pid, 'T')
	if _, err := tg.stdin.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	select {
	case line := <-tg.lines:
		t.Fatalf("it ran: %q", line)
	case <-time.After(100 * time.Millisecond):
	}
	if err := unix.Kill(tg.pid, unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if line := <-tg.lines; !strings.HasSuffix(line, " "+v2) {
		t.Fatalf("it says %q, want %s", line, v2)
	}
	tg.unharmed()
	tg.ends()
}

// awaitState waits until a process has a state of proc(5).
func awaitState(t *testing.T, pid int, want byte) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		st, err := readStat("/proc", pid)
		if err != nil {
			t.Fatal(err)
		}
		if st.state == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("state %c, want %c", st.state, want)
		}
	}
}

func TestRefusedProcesses(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	in := New(Options{})
	t.Run("a signal for what the stub does", func(t *testing.T) {
		tg := f.startHard(t, "dispatched")
		rs, err := in.Apply(background(), only(tg.pid), set)
		result(t, Blocked, rs, err)
		tg.says(old)
		tg.unharmed()
		tg.ends()
	})
	t.Run("traced by somebody else", func(t *testing.T) {
		tg := f.startHard(t, "plain")
		p := tg.opened()
		err := trace(p, func(tr *tracer) error {
			if _, err := tr.seize(tg.pid, tg.pid); err != nil {
				return err
			}
			rs, err := in.Apply(background(), only(tg.pid), set)
			if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, "traced") {
				t.Errorf("reason %q", r.Reason)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		tg.says(old)
	})
	t.Run("uprobe or breakpoint on the entry", func(t *testing.T) {
		tg := f.startHard(t, "plain")
		p, at := f.locate(t, tg, "answer")
		defer p.close()
		if err := p.writeAt([]byte{0xcc}, at); err != nil {
			t.Fatal(err)
		}
		rs, err := in.Apply(background(), only(tg.pid), set)
		if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, "uprobe") {
			t.Errorf("reason %q", r.Reason)
		}
	})
	t.Run("patched by somebody else", func(t *testing.T) {
		tg := f.startHard(t, "plain")
		p, at := f.locate(t, tg, "answer")
		defer p.close()
		if err := p.writeAt([]byte{0xe9, 0, 0, 0, 0}, at); err != nil {
			t.Fatal(err)
		}
		rs, err := in.Apply(background(), only(tg.pid), set)
		result(t, Foreign, rs, err)
	})
	t.Run("another build", func(t *testing.T) {
		other := newFixture(t, "stock endbr")
		tg := other.startHard(t, "plain")
		rs, err := in.Apply(background(), only(tg.pid), set)
		result(t, NoPatchForBuild, rs, err)
		tg.says(old)
	})
	t.Run("gone", func(t *testing.T) {
		tg := f.startHard(t, "plain")
		tg.ends()
		rs, err := in.Apply(background(), only(tg.pid), set)
		if r := result(t, Gone, rs, err); !errors.Is(r.Err, ErrGone) {
			t.Errorf("error %v", r.Err)
		}
	})
	t.Run("not loaded", func(t *testing.T) {
		cmd := exec.Command("sleep", "100")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		rs, err := in.Apply(background(), only(cmd.Process.Pid), set)
		result(t, NotLoaded, rs, err)
	})
}

// locate finds a function of the library in a process.
func (f *fixture) locate(t *testing.T, tg *target, name string) (*process, uint64) {
	t.Helper()
	p, err := openProcess("/proc", tg.pid)
	if err != nil {
		t.Fatal(err)
	}
	j := &job{in: New(Options{}), p: p, result: &Result{}}
	if err := j.look(); err != nil {
		t.Fatal(err)
	}
	fn, err := f.build.Function(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range j.objs {
		if o.buildID == string(f.build.BuildID) {
			return p, o.addr(fn.Address)
		}
	}
	t.Fatal("the library is not mapped")
	return nil, 0
}
