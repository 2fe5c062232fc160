package main

import (
	"log/slog"
	"strconv"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/injector"
	"github.com/lpbuild/lpbuild/livepatch"
)

// A session is one command's injector, selection and containers.
type session struct {
	c   *urfave.Context
	in  *injector.Injector
	sel injector.Selection
	set []*livepatch.Container
}

// newSession reads what the command line says. at least min containers are needed.
func newSession(c *urfave.Context, min int) (*session, error) {
	if err := cli.NArgs(c, min, -1); err != nil {
		return nil, err
	}
	s := &session{c: c}
	for _, p := range c.StringSlice("process") {
		if pid, err := strconv.Atoi(p); err == nil {
			if pid <= 0 {
				return nil, cli.Usagef("%s is no process id", p)
			}
			s.sel.PIDs = append(s.sel.PIDs, pid)
			continue
		}
		s.sel.Globs = append(s.sel.Globs, p)
	}
	for _, name := range c.Args().Slice() {
		container, err := livepatch.OpenContainer(name)
		if err != nil {
			return nil, err
		}
		s.set = append(s.set, container)
	}
	opts := injector.Options{Timeout: c.Duration("timeout")}
	if opts.Timeout <= 0 {
		return nil, cli.Usagef("--timeout must be more than 0")
	}
	if c.Bool("verbose") {
		opts.Log = slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	s.in = injector.New(opts)
	return s, nil
}

func applyCommand() *urfave.Command {
	return &urfave.Command{
		Name: "apply", ArgsUsage: "CONTAINER...", UsageText: "lpctl apply [-p PID|GLOB]... CONTAINER...",
		Usage:       "put containers into force, in addition to those that are",
		Description: "For each process, all of its containers are applied together or none is.",
		Action: func(c *urfave.Context) error {
			s, err := newSession(c, 1)
			if err != nil {
				return err
			}
			results, err := s.in.Apply(c.Context, s.sel, s.set)
			return s.finish(results, err)
		},
	}
}

func replaceCommand() *urfave.Command {
	return &urfave.Command{
		Name: "replace", ArgsUsage: "CONTAINER...", UsageText: "lpctl replace [-p PID|GLOB]... CONTAINER...",
		Usage:       "put containers into force instead of all earlier ones, in one stop",
		Description: "Earlier ones are those for the same libraries or of the same patch sets.",
		Action: func(c *urfave.Context) error {
			s, err := newSession(c, 1)
			if err != nil {
				return err
			}
			results, err := s.in.Replace(c.Context, s.sel, s.set)
			return s.finish(results, err)
		},
	}
}

func revertCommand() *urfave.Command {
	return &urfave.Command{
		Name: "revert", ArgsUsage: "[CONTAINER]...", UsageText: "lpctl revert [-p PID|GLOB]... --all | CONTAINER...",
		Usage: "take containers out of force, in whatever order they were applied",
		Flags: []urfave.Flag{&urfave.BoolFlag{Name: "all", Usage: "all live patches; no container file is needed"}},
		Action: func(c *urfave.Context) error {
			s, err := newSession(c, 0)
			if err != nil {
				return err
			}
			if c.Bool("all") == (len(s.set) > 0) {
				return cli.Usagef("revert: name containers, or say --all")
			}
			results, err := s.in.Revert(c.Context, s.sel, s.set)
			return s.finish(results, err)
		},
	}
}

func checkCommand() *urfave.Command {
	return &urfave.Command{
		Name: "check", ArgsUsage: "CONTAINER...", UsageText: "lpctl check [-p PID|GLOB]... CONTAINER...",
		Usage:       "say what apply would answer, and change nothing",
		Description: "NOT-APPLIED means that nothing is known to stand in the way. No thread is stopped.",
		Action: func(c *urfave.Context) error {
			s, err := newSession(c, 1)
			if err != nil {
				return err
			}
			results, err := s.in.Check(c.Context, s.sel, s.set)
			return s.finish(results, err)
		},
	}
}

func statusCommand() *urfave.Command {
	return &urfave.Command{
		Name: "status", ArgsUsage: "[CONTAINER]...", UsageText: "lpctl status [-p PID|GLOB]... [CONTAINER]...",
		Usage: "show the live patches in force",
		Description: "With containers: where they are in force and where not. " +
			"The exit code is 20 if they concern no process, 21 if one that they concern is not covered.",
		Action: func(c *urfave.Context) error {
			s, err := newSession(c, 0)
			if err != nil {
				return err
			}
			if len(s.set) > 0 {
				results, err := s.in.Check(c.Context, s.sel, s.set)
				return s.finishStatus(results, err)
			}
			results, err := s.in.Status(c.Context, s.sel)
			return s.finishStatus(results, err)
		},
	}
}
