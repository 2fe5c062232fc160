package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A spinner is a running bench/testdata/spin.c.
type spinner struct {
	cmd *exec.Cmd
	pid int
	out *bufio.Reader
	// window is the least time for which each step is observed.
	window time.Duration
}

// A step is one thing to do to the spinner: what it costs is appended to
// figures, and afterwards the patched function must answer answer.
type step struct {
	name    string
	figures *[]time.Duration
	answer  int
	do      func() error
}

// quietWindow is the least time for which any step is observed.
const quietWindow = 10 * time.Millisecond

func (b *workbench) start(ctx context.Context, others int, busy bool) (*spinner, error) {
	args := []string{fmt.Sprint(others)}
	if busy {
		args = append(args, "busy")
	}
	s := &spinner{cmd: exec.CommandContext(ctx, b.path("spin"), args...)}
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.pid = s.cmd.Process.Pid
	if line, err := s.out.ReadString('\n'); err != nil || line != "ready\n" {
		s.stop()
		return nil, fmt.Errorf("spin: %q: %w", line, err)
	}
	return s, nil
}

func (s *spinner) stop() {
	_ = s.cmd.Process.Kill()
	_, _ = io.Copy(io.Discard, s.out)
	_ = s.cmd.Wait()
}

func (s *spinner) steps(steps ...step) error {
	for _, st := range steps {
		if _, _, err := s.report(); err != nil {
			return err
		}
		end := time.Now().Add(max(s.window, quietWindow))
		if err := st.do(); err != nil {
			return fmt.Errorf("%s: %w", st.name, err)
		}
		time.Sleep(time.Until(end))
		gap, answer, err := s.report()
		if err != nil {
			return err
		}
		if answer != st.answer {
			return fmt.Errorf("%s: the function answers %d, want %d", st.name, answer, st.answer)
		}
		*st.figures = append(*st.figures, gap)
	}
	return nil
}

// report asks for the longest interval since it was asked last.
func (s *spinner) report() (time.Duration, int, error) {
	if err := s.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return 0, 0, err
	}
	line, err := s.out.ReadString('\n')
	if err != nil {
		return 0, 0, err
	}
	var ns int64
	var answer int
	if _, err := fmt.Sscan(line, &ns, &answer); err != nil {
		return 0, 0, fmt.Errorf("spin: %q: %w", line, err)
	}
	return time.Duration(ns), answer, nil
}
