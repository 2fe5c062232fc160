package injector

import (
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestCrewKeepsThreadsThatHoldNothing: one thread traces process after process;
// but what is still attached is let go, with the thread, before anybody goes on.
func TestCrewKeepsThreadsThatHoldNothing(t *testing.T) {
	tg := launch(t, exec.Command(compile(t, "target", subjectSource)))
	p := hold(t, tg.pid)
	c := new(crew)
	defer c.dismiss()
	on := func(f func(*tracer) error) (tid int) {
		t.Helper()
		err := c.trace(p, func(tr *tracer) error {
			tid = unix.Gettid()
			return f(tr)
		})
		if err != nil {
			t.Fatal(err)
		}
		st, err := p.status()
		if err != nil {
			t.Fatal(err)
		}
		if st.TracerPid != 0 {
			t.Errorf("thread %d still traces it", st.TracerPid)
		}
		return tid
	}
	first := on(func(tr *tracer) error { return tr.stopAll(time.Now().Add(10*time.Second), nil) })
	if tid := on(func(*tracer) error { return unix.PtraceSeize(tg.pid) }); tid != first {
		t.Errorf("thread %d traces the second time, %d did the first time", tid, first)
	}
	if tid := on(func(*tracer) error { return nil }); tid == first {
		t.Errorf("thread %d works on with what it could not detach", tid)
	}
	if unix.Tgkill(unix.Getpid(), first, 0) == nil {
		t.Errorf("thread %d has not ended", first)
	}
}
