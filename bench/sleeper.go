package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// A sleeper is a running bench/testdata/sleeper.c.
type sleeper struct {
	cmd *exec.Cmd
	pid int
	in  io.WriteCloser
	out *bufio.Reader
}

func (b *workbench) sleeper(ctx context.Context, args ...string) (*sleeper, error) {
	s := &sleeper{cmd: exec.CommandContext(ctx, b.path("sleeper"), args...)}
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.pid = s.cmd.Process.Pid
	if line, err := s.out.ReadString('\n'); err != nil || line != "ready 1\n" {
		s.stop()
		return nil, fmt.Errorf("sleeper: %q: %w", line, err)
	}
	return s, nil
}

func (s *sleeper) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.in.Close()
	_ = s.cmd.Wait()
}

// call has it call the function, and fails if that does not answer want.
func (s *sleeper) call(want int) (time.Duration, error) {
	if _, err := s.in.Write([]byte("x")); err != nil {
		return 0, err
	}
	line, err := s.out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	var answer int
	var ns int64
	if _, err := fmt.Sscan(line, &answer, &ns); err != nil || answer != want {
		return 0, fmt.Errorf("pid %d: sleeper: %q, want %d: %w", s.pid, line, want, err)
	}
	return time.Duration(ns), nil
}
