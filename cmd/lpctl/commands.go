package main

import (
	"log/slog"

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

// A need is what a command does with its arguments.
type need struct {
	// min is how many containers it takes at least.
	min int
	// apply: it puts them into force, or says what would come of that.
	apply bool
}

// newSession reads what the command line says.
func newSession(c *urfave.Context, n need) (*session, error) {
	if err := cli.NArgs(c, n.min, -1); err != nil {
		return nil, err
	}
	sel, err := selection(c)
	if err != nil {
		return nil, err
	}
	opts, err := options(c)
	if err != nil {
		return nil, err
	}
	if c.Bool("verbose") {
		opts.Log = slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	set, err := containers(c.Args().Slice(), n.apply)
	if err != nil {
		return nil, err
	}
	return &session{c: c, in: injector.New(opts), sel: sel, set: set}, nil
}

func applyCommand() *urfave.Command {
	return &urfave.Command{
		Name: "apply", ArgsUsage: "CONTAINER...", UsageText: "lpctl apply [OPTION]... CONTAINER...",
		Usage:       "put containers into force, in addition to those that are",
		Description: "For each process, all of its containers are applied together or none is.",
		Flags:       []urfave.Flag{dryRun()},
		Action: func(c *urfave.Context) error {
			s, err := newSession(c, need{min: 1, apply: true})
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
		Name: "replace", ArgsUsage: "CONTAINER...", UsageText: "lpctl replace [OPTION]... CONTAINER...",
		Usage:       "put containers into force instead of all earlier ones, in one change",
		Description: "Earlier ones are those for the same libraries or of the same patch sets.",
		Flags:       []urfave.Flag{dryRun(), restore()},
		Action: func(c *urfave.Context) error {
			s, err := newSession(c, need{min: 1, apply: true})
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
		Name: "revert", ArgsUsage: "[CONTAINER]...", UsageText: "lpctl revert [OPTION]... --all | CONTAINER...",
		Usage: "take containers out of force, in whatever order they were applied",
		Flags: []urfave.Flag{
			&urfave.BoolFlag{Name: "all", Usage: "all live patches; no container file is needed"}, dryRun(), restore(),
		},
		Action: func(c *urfave.Context) error {
			s, err := newSession(c, need{})
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
		Name: "check", ArgsUsage: "CONTAINER...", UsageText: "lpctl check [OPTION]... CONTAINER...",
		Usage:       "say what apply would answer, and change nothing",
		Description: "NOT-APPLIED means that nothing is known to stand in the way. No thread is stopped.",
		Action: func(c *urfave.Context) error {
			s, err := newSession(c, need{min: 1, apply: true})
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
		Name: "status", ArgsUsage: "[CONTAINER]...", UsageText: "lpctl status [OPTION]... [CONTAINER]...",
		Usage: "show the live patches in force, and which processes can have none",
		Description: "Without containers: the processes in which live patches are in force, with --all or a selection the others too, " +
			"and why a process can't be patched. The exit code is 20 if none are in force.\n\n" +
			"With containers: where they are in force and where not. " +
			"The exit code is 20 if they concern no process, 21 if one that they concern is not covered.",
		Flags: []urfave.Flag{&urfave.BoolFlag{Name: "all", Usage: "list every process, also those without live patches"}},
		Action: func(c *urfave.Context) error {
			s, err := newSession(c, need{})
			if err != nil {
				return err
			}
			s.sel.All = c.Bool("all")
			if len(s.set) > 0 {
				results, err := s.in.Check(c.Context, s.sel, s.set)
				return s.finishStatus(results, err)
			}
			s.sel.All = s.sel.All || s.selective()
			results, err := s.in.Status(c.Context, s.sel)
			return s.finishStatus(results, err)
		},
	}
}

// selective says whether not all processes are meant.
func (s *session) selective() bool {
	return len(s.sel.PIDs)+len(s.sel.Globs)+len(s.sel.UIDs)+len(s.sel.Libraries)+len(s.sel.Cgroups) > 0
}
