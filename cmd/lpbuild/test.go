package main

import (
	"errors"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/pipeline"
)

func testCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "test",
		Usage:     "try every container on a process that runs that very build",
		ArgsUsage: "[PATCH]...",
		Description: `Makes the containers of the live patches named (default: all) and tries each one: builds test.c against the build,
runs it on the build's own loader and libraries, applies the container while it runs, reverts it.

test.c prints its present answer line after line until its standard input is closed, then exits with status 0.
The steps, of which the first that fails is reported, are

  build     the container, and test.c for that build
  start     an answer, twice (expect: before in lpbuild.yaml)
  apply     the container is applied
  patched   another answer, twice (expect: after)
  revert    the container is reverted
  restore   the first answer, twice, and the original bytes in memory
  exit      standard input closed: status 0, and no other answer on the way

All along it is the same process, without LD_PRELOAD, traced by nobody between the steps, and the library that it maps
has the build-id of the record. Needs the unpacked libraries that download keeps in the cache, and the permission to
trace processes.`,
		Flags: []urfave.Flag{
			&urfave.PathFlag{Name: "junit", Usage: "also write the results as JUnit XML to `FILE`"},
			&urfave.IntFlag{Name: "rounds", Value: pipeline.DefaultRounds, Usage: "apply and revert each live patch `N` times"},
			&urfave.DurationFlag{Name: "timeout", Value: 30 * time.Second, Usage: "`TIME` for one build"},
		},
		Action: func(c *urfave.Context) error {
			return withProject(c, c.Args().Slice(), runTest)
		},
	}
}

func runTest(s *session) error {
	if n := s.Int("rounds"); n < 1 || n > pipeline.MaxRounds {
		return cli.Usagef("--rounds %d: from 1 to %d", n, pipeline.MaxRounds)
	}
	report, err := s.project.Test(s.Context.Context, pipeline.TestOptions{
		Options: s.options,
		Rounds:  s.Int("rounds"),
		Timeout: s.Duration("timeout"),
	})
	if err != nil {
		return err
	}
	var junit error
	if file := s.Path("junit"); file != "" {
		junit = report.WriteJUnit(file)
	}
	return errors.Join(s.report(report, nil), junit)
}
