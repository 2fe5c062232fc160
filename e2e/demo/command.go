package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// A StepError says which command of which step did not do what it should.
type StepError struct {
	Step string
	// Command is as a shell would show it, "" where no program was run.
	Command string
	// Seen is what the program printed last, or what was found.
	Seen string
	Err  error
}

func (e *StepError) Error() string {
	text := e.Step
	if e.Command != "" {
		text += ": " + e.Command
	}
	text += ": " + e.Err.Error()
	if e.Seen != "" {
		text += "; seen: " + e.Seen
	}
	return text
}

// Unwrap returns Err.
func (e *StepError) Unwrap() error { return e.Err }

// A command is one run of a program.
type command struct {
	step string
	argv []string
	dir  string
	// private leaves the program without any network.
	private bool
	env     []string
}

// result is what a program printed.
type result struct{ stdout, stderr string }

// run runs a program in a process group of its own and waits for it. When ctx
// is done the group is asked to end, and killed a little later.
func (c command) run(ctx context.Context) (*result, error) {
	// PR_SET_PDEATHSIG means the death of the thread that forked: it must live
	// as long as the program.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env = &stdout, &stderr, c.dir, c.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if c.private {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	}
	cmd.WaitDelay = 5 * time.Second
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	err := cmd.Run()
	if ctx.Err() != nil {
		if cmd.Process != nil {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // most often nobody is left
		}
		return nil, ctx.Err()
	}
	out := &result{stdout.String(), stderr.String()}
	if err != nil {
		return out, c.fail(out, err)
	}
	return out, nil
}

// fail makes an error of this command.
func (c command) fail(r *result, err error) error {
	seen := lastLines(r.stderr, 5)
	if seen == "" {
		seen = lastLines(r.stdout, 5)
	}
	return &StepError{Step: c.step, Command: strings.Join(c.argv, " "), Seen: seen, Err: err}
}

// lastLines are the last n lines of a text, as one line.
func lastLines(text string, n int) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
	return strings.Join(lines[max(0, len(lines)-n):], " | ")
}

// A narrator tells a person what is going on.
type narrator struct {
	w     io.Writer
	began time.Time
}

func (n narrator) say(format string, args ...any) {
	fmt.Fprintf(n.w, "%6.1fs  %s\n", time.Since(n.began).Seconds(), fmt.Sprintf(format, args...))
}

// unexpected makes the error of a check that no program's exit status tells.
func unexpected(step, format string, args ...any) error {
	return &StepError{Step: step, Err: fmt.Errorf(format, args...)}
}
