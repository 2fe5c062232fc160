// Command demo takes a fix from a repository of shipped builds to patched
// running processes and back: see package demo.
//
//	demo [-bin DIR] [-dir DIR] [-small]
//
// It needs root, and the programs of "make build". It prints a table and leaves
// report.json in DIR.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/e2e/demo"
)

// Exit codes, those of lpbuild.
const (
	exitUnexpected   = 1
	exitNotPermitted = 13
	exitInterrupted  = 130
)

// insideArg makes this program the half of the demo that runs in the scratch root.
const insideArg = "inside"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	if len(os.Args) == 2 && os.Args[1] == insideArg {
		exit(ctx, demo.Inside(ctx, os.Stdin, os.Stdout, os.Stderr))
	}
	ctx, cancel := withParent(ctx)
	defer cancel()
	exit(ctx, run(ctx))
}

func exit(ctx context.Context, err error) {
	switch {
	case err == nil:
		os.Exit(0)
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "error: interrupted")
		os.Exit(exitInterrupted)
	}
	fmt.Fprintln(os.Stderr, "error:", err)
	if errors.Is(err, os.ErrPermission) {
		os.Exit(exitNotPermitted)
	}
	os.Exit(exitUnexpected)
}

func run(ctx context.Context) error {
	opts := demo.Options{Progress: os.Stderr, Out: os.Stdout, Self: []string{"/proc/self/exe", insideArg}}
	flag.StringVar(&opts.Bin, "bin", "bin", "the programs are in `DIR`")
	flag.StringVar(&opts.Dir, "dir", "build/demo", "work in `DIR`; what is there is removed")
	flag.BoolVar(&opts.Small, "small", false, "leave out glibc: no network is needed")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: the demo installs packages in a root folder of its own, which takes root", os.ErrPermission)
	}
	return demo.Run(ctx, opts)
}

// withParent ends the context when this program's parent ends: "go run", killed,
// would leave it behind.
func withParent(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	fd, err := unix.PidfdOpen(os.Getppid(), 0)
	if err != nil {
		return ctx, cancel
	}
	go func() {
		defer cancel()
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	}()
	return ctx, cancel
}
