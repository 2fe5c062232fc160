package injector

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/livepatch"
)

// TestOthersGoOnAfterTheMainThread: all operations work in a process whose main thread
// has ended, by whichever path.
func TestOthersGoOnAfterTheMainThread(t *testing.T) {
	f := newFixture(t, "stock")
	two, three := []*livepatch.Container{f.container(t, 2, "answer")}, []*livepatch.Container{f.container(t, 3, "answer")}
	tg := f.startHard(t, "headless")
	awaitState(t, tg.pid, 'Z')
	tg.backAndForth(two, 4)
	in := New(Options{Restore: true})
	rs, err := in.Apply(background(), only(tg.pid), two)
	tg.became(Applied, rs, err)
	rs, err = in.Replace(background(), only(tg.pid), three)
	tg.became(Replaced, rs, err)
	tg.says("3030")
	rs, err = in.Revert(background(), only(tg.pid), nil)
	tg.became(Reverted, rs, err)
	tg.says(old)
	tg.unharmed()
	tg.ends()
}

// TestStoppedProcessIsChangedAsleep: in a process that job control has stopped,
// all operations work, and it stays stopped.
func TestStoppedProcessIsChangedAsleep(t *testing.T) {
	f := newFixture(t, "stock")
	two, three := []*livepatch.Container{f.container(t, 2, "answer")}, []*livepatch.Container{f.container(t, 3, "answer")}
	tg := f.startCase(t, "syscalls.c", "hold")
	if err := unix.Kill(tg.pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	awaitState(t, tg.pid, 'T')
	// A byte that waits: it would be answered if the process ran.
	if _, err := tg.stdin.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, in := range []*Injector{New(Options{}), New(Options{Restore: true})} {
		rs, err := in.Apply(background(), only(tg.pid), two)
		tg.became(Applied, rs, err)
		awaitState(t, tg.pid, 'T')
		rs, err = in.Replace(background(), only(tg.pid), three)
		tg.became(Replaced, rs, err)
		awaitState(t, tg.pid, 'T')
		rs, err = in.Revert(background(), only(tg.pid), nil)
		tg.became(Reverted, rs, err)
		awaitState(t, tg.pid, 'T')
	}
	rs, err := New(Options{}).Apply(background(), only(tg.pid), three)
	tg.became(Applied, rs, err)
	if len(tg.lines) > 0 {
		t.Errorf("it ran, and says %q", <-tg.lines)
	}
	tg.unharmed()
}

// TestTracedProcessIsBlockedAtOnce: where somebody else traces a process,
// whether it runs or is held, the answer does not wait for him.
func TestTracedProcessIsBlockedAtOnce(t *testing.T) {
	f := newFixture(t, "stock")
	two, three := []*livepatch.Container{f.container(t, 2, "answer")}, []*livepatch.Container{f.container(t, 3, "answer")}
	in := New(Options{})
	for _, held := range []bool{false, true} {
		tg := f.startHard(t, "plain")
		rs, err := in.Apply(background(), only(tg.pid), two)
		tg.became(Applied, rs, err)
		p := tg.opened()
		err = trace(p, func(tr *tracer) error {
			th, err := tr.seize(tg.pid, tg.pid)
			if err != nil {
				return err
			}
			if held {
				if ok, err := tr.hold(th); err != nil || !ok {
					return errors.Join(err, errors.New("the thread can't be held"))
				}
			}
			for _, do := range []func() ([]Result, error){
				func() ([]Result, error) { return in.Apply(background(), only(tg.pid), three) },
				func() ([]Result, error) { return in.Replace(background(), only(tg.pid), three) },
				func() ([]Result, error) { return in.Revert(background(), only(tg.pid), nil) },
			} {
				start := time.Now()
				rs, err := do()
				took := time.Since(start)
				if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, "traced") {
					t.Errorf("reason %q", r.Reason)
				}
				// It is asked a few times, in case it was another injector.
				if took > 10*time.Second {
					t.Errorf("after %v", took)
				}
				t.Logf("held: %v: %v", held, took)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		tg.says(v2)
		tg.unharmed()
		tg.ends()
	}
}
