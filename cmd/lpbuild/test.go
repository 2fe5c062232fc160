package main

import (
	"errors"
	"fmt"
	"slices"
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

apply to restore happen --rounds times. All the while two threads call const char *lpbuild_hammer(void), if test.c
defines it: one call of what the live patch replaces, and NULL or what is wrong. A crash, a text or a call that never
returns fails the build; without it there is a warning.

All along it is the same process, without LD_PRELOAD, traced by nobody between the steps, and the library that it maps
has the build-id of the record. Needs the unpacked libraries that download keeps in the cache, and the permission to
trace processes.`,
		Flags: []urfave.Flag{
			&urfave.PathFlag{Name: "junit", Usage: "also write the results as JUnit XML to `FILE`"},
			&urfave.PathFlag{Name: "html", Usage: "also write the results as one self-contained page to `FILE`"},
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
	if report == nil {
		return err
	}
	s.progress.wait()
	if files := s.writeReports(report); files != nil {
		return errors.Join(err, files)
	}
	if err != nil { // interrupted: what there is of a report is in the files
		return err
	}
	s.warn(report.Rows)
	if s.Bool("json") {
		err = s.printRows(report.Rows)
	} else {
		err = s.printTest(report)
	}
	return errors.Join(err, report.Err())
}

// writeReports writes the files that --junit and --html name.
func (s *session) writeReports(report *pipeline.Report) error {
	junit, html := s.Path("junit"), s.Path("html")
	if junit == "" && html == "" {
		return nil
	}
	about, err := s.project.About()
	if err != nil {
		return err
	}
	if junit != "" {
		err = report.WriteJUnit(junit, about)
	}
	if html != "" {
		err = errors.Join(err, report.WriteHTML(html, about))
	}
	return err
}

// manyRows is how many rows of a table a person still reads.
const manyRows = 50

// printTest prints what failed last of all, above one line for each live patch.
// Of very many rows only those are printed that want to be read.
func (s *session) printTest(report *pipeline.Report) error {
	rank := func(r pipeline.Row) int {
		return slices.Index([]pipeline.Result{pipeline.NotConcerned, pipeline.Skipped, pipeline.Failed}, r.Result)
	}
	rows := slices.Clone(report.Rows)
	slices.SortStableFunc(rows, func(a, b pipeline.Row) int { return rank(a) - rank(b) })
	if len(rows) > manyRows {
		rows = slices.DeleteFunc(rows, func(r pipeline.Row) bool {
			return r.Result == pipeline.Passed || r.Result == pipeline.NotConcerned
		})
	}
	if len(rows) > 0 {
		if err := s.printRows(rows); err != nil {
			return err
		}
	}
	for _, sum := range report.Summary() {
		if _, err := fmt.Fprintln(s.App.Writer, sum); err != nil {
			return err
		}
	}
	return nil
}
