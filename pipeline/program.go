package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A program is a running test program. It has a process group of its own,
// which is killed in the end whatever happens, and by the kernel if we die.
type program struct {
	pid    int
	stdin  io.Closer
	said   *transcript
	stderr tail
	kill   context.CancelFunc
	exited chan struct{} // closed when err is set
	err    error         // of Wait
}

// A command is what to run: arguments and environment, and files that it has
// open from descriptor 3 on.
type command struct {
	argv, env []string
	files     []*os.File
}

// start runs a program until ctx is done.
func start(ctx context.Context, c command) (*program, error) {
	ctx, kill := context.WithCancel(ctx)
	p := &program{kill: kill, exited: make(chan struct{})}
	started := make(chan error)
	go p.run(ctx, c, started)
	if err := <-started; err != nil {
		kill()
		return nil, err
	}
	return p, nil
}

// run starts the program and waits for it. It stays on one OS thread, as
// PR_SET_PDEATHSIG means the death of the thread that forked.
func (p *program) run(ctx context.Context, c command, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Env = c.env
	cmd.ExtraFiles = c.files
	cmd.Dir = "/"
	cmd.Stderr = &p.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second // for a child of its own that holds its output open
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	stdin, err := cmd.StdinPipe()
	if err != nil {
		started <- err
		return
	}
	// Not StdoutPipe: Wait would close it before the last lines are read.
	stdout, w := io.Pipe()
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		started <- err // Start has closed its ends, and ours
		return
	}
	p.pid, p.stdin, p.said = cmd.Process.Pid, stdin, record(stdout)
	// Should it crash, it leaves no core file in the current folder. It may have ended.
	unix.Prlimit(p.pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil) //nolint:errcheck // as above
	started <- nil
	p.err = errors.Join(awaitExit(p.pid), cmd.Wait())
	close(p.exited)
	w.Close() //nolint:errcheck // a pipe in memory; the transcript ends after exited is closed
}

// awaitExit waits until a child can be waited for. Waiting at once would take
// the ptrace stops away from the injector: whoever waits for a child that a
// thread of the same process traces gets those too, whatever the options
// (kernel/exit.c, wait_task_stopped). A pidfd is readable only in the end.
func awaitExit(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(fd) //nolint:errcheck // nothing was written
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("poll", err)
		}
	}
}

// copyProgram makes an executable copy of a file that nothing can have open for
// writing afterwards. Without it a program just written may be "text file busy":
// a process forked meanwhile, for another job's compiler, holds our descriptor
// until its exec (golang.org/issue/22315).
func copyProgram(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(to, data, 0o700)
}

// finish closes the program's input and waits until it has ended. A program
// that does not exit with status 0 is an error.
func (p *program) finish(ctx context.Context) error {
	if err := p.stdin.Close(); err != nil {
		return err
	}
	select {
	case <-p.exited:
	case <-ctx.Done():
		return fmt.Errorf("still running after its input was closed: %w", context.Cause(ctx))
	}
	if p.err != nil {
		return fmt.Errorf("%w%s", p.err, p.stderr.suffix())
	}
	return nil
}

// stop kills the program if it still runs, and waits for it.
func (p *program) stop() {
	p.kill()
	<-p.exited
}

// tail keeps the last bytes written to it. Precondition: no concurrent use; it
// is read after the program has ended.
type tail struct{ buf []byte }

const maxTail = 2048

func (t *tail) Write(b []byte) (int, error) {
	t.buf = append(t.buf, b...)
	if extra := len(t.buf) - maxTail; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
	return len(b), nil
}

// suffix is ": what was written" in one line, or "".
func (t *tail) suffix() string {
	text := strings.Join(strings.FieldsFunc(string(t.buf), func(r rune) bool { return r == '\n' }), "; ")
	if text == "" {
		return ""
	}
	return ": " + text
}

// died is how the program ended if it did so by itself, nil if it was killed
// with SIGKILL, as stop does. Precondition: stop has returned.
func (p *program) died() error {
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGKILL {
			return nil
		}
	}
	if p.err != nil {
		return fmt.Errorf("the program: %w%s", p.err, p.stderr.suffix())
	}
	return errors.New("the program ended by itself")
}
