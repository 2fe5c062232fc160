package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/lpbuild/lpbuild/injector"
)

// calls measures what a detour costs each call.
func (b *workbench) calls(ctx context.Context) error {
	const calls = 20_000_000
	s, err := b.sleeper(ctx, fmt.Sprint(calls))
	if err != nil {
		return err
	}
	defer s.stop()
	in, only := injector.New(injector.Options{}), injector.Selection{PIDs: []int{s.pid}}
	var shipped, patched, reverted []time.Duration
	take := func(figures *[]time.Duration, want int) error {
		took, err := s.call(want)
		*figures = append(*figures, took)
		return err
	}
	for range 9 {
		if err := take(&shipped, 1); err != nil {
			return err
		}
	}
	for range 9 {
		r, err := in.Apply(ctx, only, b.first)
		if err := done(injector.Applied)(r, err); err != nil {
			return err
		}
		if err := take(&patched, 2); err != nil {
			return err
		}
		r, err = in.Revert(ctx, only, nil)
		if err := done(injector.Reverted)(r, err); err != nil {
			return err
		}
		if err := take(&reverted, 1); err != nil {
			return err
		}
	}
	each := func(d []time.Duration) float64 { return float64(median(d).Nanoseconds()) / calls }
	fmt.Printf("\none call through the PLT, ns, median of 9 times %d calls\n", calls)
	fmt.Printf("shipped %.2f, patched %.2f (+%.2f), reverted with the detour left in place %.2f (+%.2f)\n",
		each(shipped), each(patched), each(patched)-each(shipped), each(reverted), each(reverted)-each(shipped))
	return nil
}

// memory measures what a live patch takes in one process.
func (b *workbench) memory(ctx context.Context) error {
	s, err := b.sleeper(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	in, only := injector.New(injector.Options{}), injector.Selection{PIDs: []int{s.pid}}
	before, err := private(s.pid)
	if err != nil {
		return err
	}
	r, err := in.Apply(ctx, only, b.first)
	if err := done(injector.Applied)(r, err); err != nil {
		return err
	}
	applied, err := private(s.pid)
	if err != nil {
		return err
	}
	if _, err := s.call(2); err != nil {
		return err
	}
	called, err := private(s.pid)
	if err != nil {
		return err
	}
	fmt.Printf("\nprivate memory of a patched process, KiB: %d after the apply, %d after the first call\n", applied-before, called-before)
	return nil
}

// private is the memory that no other process shares, in KiB: its dirty pages.
func private(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "Private_Dirty:"); ok {
			var kib int
			_, err := fmt.Sscan(rest, &kib)
			return kib, err
		}
	}
	return 0, fmt.Errorf("pid %d: smaps_rollup has no Private_Dirty", pid)
}
