package injector

import (
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// A program that uses this package starts others, too, a compiler say. What
// waits for tracees must not take their exit status away.
func TestTracerLeavesChildrenAlone(t *testing.T) {
	runtime.LockOSThread() // this thread is the parent of what it starts
	defer runtime.UnlockOSThread()
	if unix.Gettid() == unix.Getpid() { // where no tracer runs anyway: this one is kept busy
		t.Run("another thread", TestTracerLeavesChildrenAlone)
		return
	}
	child := exec.Command("cat")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{pid: child.Process.Pid, proc: "/proc"}
	ended := func() bool {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
		return err == nil && info.Signo == int32(unix.SIGCHLD)
	}
	here, done := unix.Gettid(), make(chan traced, 1)
	single := &crew{dismissed: true}
	single.work(traceTask{p, func(tr *tracer) error { // on this very thread, if it lets itself
		if unix.Gettid() == here {
			t.Error("the tracer runs on a thread with children")
		}
		if err := stdin.Close(); err != nil || !ended() {
			t.Errorf("the child has not ended: %v", err)
		}
		_, err := tr.poll()
		return err
	}, done})
	if r := <-done; r.err != nil {
		t.Error(r.err)
	}
	if err := child.Wait(); err != nil {
		t.Errorf("waiting for the child: %v", err)
	}
}

// trace runs f with a tracer on a thread that ends afterwards.
func trace(p *process, f func(*tracer) error) error {
	single := &crew{dismissed: true}
	return single.trace(p, f)
}
