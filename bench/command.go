package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"time"
)

// lpctl runs the program and tells how long it took from the fork to the wait.
func (b *workbench) lpctl(ctx context.Context, args ...string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, b.path("lpctl"), args...)
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(begin)
	if err != nil {
		return 0, fmt.Errorf("lpctl %v: %w\n%s", args, err, out)
	}
	return took, nil
}

// commands measures whole commands on one process, beside the start of a
// program that does nothing.
func (b *workbench) commands(ctx context.Context) error {
	var start, apply, again, replace, revert, status []time.Duration
	for range b.rounds {
		s, err := b.sleeper(ctx)
		if err != nil {
			return err
		}
		pid := strconv.Itoa(s.pid)
		for _, c := range []struct {
			figures *[]time.Duration
			answer  int
			args    []string
		}{
			{&start, 1, []string{"--version"}},
			{&apply, 2, []string{"apply", "-p", pid, b.first[0].Name}},
			{&again, 2, []string{"apply", "-p", pid, b.first[0].Name}},
			{&status, 2, []string{"status", "-p", pid}},
			{&replace, 3, []string{"replace", "-p", pid, b.next[0].Name}},
			{&revert, 1, []string{"revert", "-p", pid, "--all"}},
		} {
			took, err := b.lpctl(ctx, c.args...)
			if err == nil {
				_, err = s.call(c.answer)
			}
			if err != nil {
				s.stop()
				return err
			}
			*c.figures = append(*c.figures, took)
		}
		s.stop()
	}
	fmt.Printf("\nwhole command on one process, µs: median (minimum … maximum) of %d\n", b.rounds)
	const line = "%-20s %s\n"
	fmt.Printf(line, "lpctl --version", show(start))
	fmt.Printf(line, "apply", show(apply))
	fmt.Printf(line, "apply once more", show(again))
	fmt.Printf(line, "status", show(status))
	fmt.Printf(line, "replace", show(replace))
	fmt.Printf(line, "revert", show(revert))
	return nil
}

// many measures one command on many processes. The processes are the same in
// all rounds: after the first, applying means to turn the slots back.
func (b *workbench) many(ctx context.Context) error {
	const processes, rounds = 1000, 5
	var all []*sleeper
	defer func() {
		for _, s := range all {
			s.stop()
		}
	}()
	for range processes {
		s, err := b.sleeper(ctx)
		if err != nil {
			return err
		}
		all = append(all, s)
	}
	fmt.Printf("\none command on %d processes, µs for each: median (minimum … maximum) of %d\n", processes, rounds)
	var first, replace, revert, apply []time.Duration
	run := func(figures *[]time.Duration, want int, args ...string) error {
		took, err := b.lpctl(ctx, append(args, "-p", "sleeper")...)
		if err != nil {
			return err
		}
		*figures = append(*figures, took/processes)
		for _, s := range all {
			if _, err := s.call(want); err != nil {
				return err
			}
		}
		return nil
	}
	if err := run(&first, 2, "apply", b.first[0].Name); err != nil {
		return err
	}
	for range rounds {
		if err := run(&replace, 3, "replace", b.next[0].Name); err != nil {
			return err
		}
		if err := run(&revert, 1, "revert", "--all"); err != nil {
			return err
		}
		if err := run(&apply, 2, "apply", b.first[0].Name); err != nil {
			return err
		}
	}
	const line = "%-20s %s\n"
	fmt.Printf(line, "first apply", show(first))
	fmt.Printf(line, "replace", show(replace))
	fmt.Printf(line, "revert", show(revert))
	fmt.Printf(line, "apply again", show(apply))
	return nil
}
