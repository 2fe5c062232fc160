package injector

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/livepatch"
)

// letGoIn checks that an operation on a process with a thread that can't stop
// took little longer than it may, and that nobody is held any more.
func (tg *target) letGoIn(start time.Time, most time.Duration, rs []Result) {
	tg.t.Helper()
	if took := time.Since(start); took > most {
		tg.t.Errorf("%s after %v", rs[0].Word, took)
	}
	tg.unharmed()
}

// TestThreadsThatDoNotStop: a thread that waits in the kernel, and not for a
// signal, is no obstacle where what it will execute next does not change; it
// goes on correctly whatever the answer was.
func TestThreadsThatDoNotStop(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	fifo, folder := filepath.Join(f.dir, "fifo"), filepath.Join(f.dir, "mount")
	if err := errors.Join(unix.Mkfifo(fifo, 0o600), os.Mkdir(folder, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mode, path string
		// state is what the thread is in while it waits, busy: the kernel does
		// not even let it be looked at.
		state byte
		busy  bool
	}{{"spawn", fifo, 'D', false}, {"fault", "", 'S', false}, {"copy", "", 'S', true}, {"fuse", folder, 'S', false}} {
		t.Run(c.mode, func(t *testing.T) {
			tg := f.startCase(t, "stuck.c", c.mode, c.path)
			thread := tg.other(c.state)
			var opts Options
			if c.busy {
				opts.Timeout = DefaultTimeout // it is waited for all the time
			}
			for i := range 4 {
				start := time.Now()
				rs, err := New(opts).Apply(background(), only(tg.pid), set)
				if err != nil || rs[0].Word != Applied && (!c.busy || rs[0].Word != Busy) {
					t.Fatalf("%+v, %v", rs, err)
				}
				tg.letGoIn(start, 3*time.Second, rs)
				st, err := readTaskStat("/proc", tg.pid, thread)
				t.Logf("%s %s after %v, held for %v; the thread is in state %c, %v", rs[0].Word, rs[0].Reason, time.Since(start), rs[0].Stopped, st.state, err)
				if rs[0].Word == Busy {
					tg.says(old)
					continue
				}
				tg.says(v2)
				rs, err = New(Options{Restore: i%2 == 0}).Revert(background(), only(tg.pid), nil)
				tg.became(Reverted, rs, err)
				tg.says(old)
			}
			if _, err := tg.stdin.Write([]byte("r")); err != nil {
				t.Fatal(err)
			}
			if line := <-tg.lines; line != "1 0" {
				t.Errorf("the thread got %q", line)
			}
			rs, err := New(Options{}).Apply(background(), only(tg.pid), set)
			tg.became(Applied, rs, err)
			tg.says(v2)
			tg.ends()
		})
	}
}

// other waits until the process's other thread is in a state.
func (tg *target) other(state byte) int {
	tg.t.Helper()
	var seen []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		tids, err := listTasks("/proc", tg.pid)
		if err != nil {
			tg.t.Fatal(err)
		}
		seen = nil
		for _, tid := range tids {
			st, err := readTaskStat("/proc", tg.pid, tid)
			if err == nil && tid != tg.pid && st.state == state {
				return tid
			}
			seen = append(seen, fmt.Sprintf("%c", st.state))
		}
	}
	tg.t.Fatalf("no thread is in state %c: %s", state, strings.Join(seen, " "))
	return 0
}
