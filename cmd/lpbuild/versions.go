package main

import (
	"encoding/json"
	"fmt"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/pipeline"
)

func versionsCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "versions",
		Usage: "list the shipped builds and what covers them",
		Description: `Lists the builds in versions.lock: until when they are supported, where their debug symbols came from, how the functions
that are replaced begin, which builds have the same code there (the group), and the state:

  COVERED        build/ has a container with every live patch that concerns the build
  PARTLY         the container lacks some of them
  NOT-BUILT      there is no container
  NOT-CONCERNED  no live patch concerns the build
  ,REMOVED       the build has left the repositories
  ,ENDED         its support has ended

--new asks the repositories for packages that the lock lacks, lists them as NEW, or REBUILT if the lock has another
package of that name and version, and exits with 22; with 0 if there is none. It fetches metadata alone, and what it
cannot ask is an error: fit for a nightly job.`,
		Flags: []urfave.Flag{
			&urfave.BoolFlag{Name: "new", Usage: "ask the repositories and list only builds that the lock lacks; exit code 22 if there are any"},
			&urfave.PathFlag{Name: "graph", Usage: "also write a timeline of the builds as SVG to `FILE`"},
		},
		Action: func(c *urfave.Context) error {
			if err := cli.NArgs(c, 0, 0); err != nil {
				return err
			}
			if c.Bool("new") && c.Path("graph") != "" {
				return cli.Usagef("versions: --graph shows what the lock has; it cannot go with --new")
			}
			return withProject(c, nil, func(s *session) error {
				if c.Bool("new") {
					return runNewVersions(s)
				}
				return runVersions(s)
			})
		},
	}
}

func runVersions(s *session) error {
	now := time.Now()
	builds, err := s.project.Shipped(now)
	if err != nil {
		return err
	}
	if file := s.Path("graph"); file != "" {
		if err := s.project.WriteTimeline(file, builds, now); err != nil {
			return err
		}
	}
	if err := s.warnSupport(); err != nil {
		return err
	}
	if s.Bool("json") {
		return s.printJSON(builds)
	}
	header := []string{"BUILD", "ARCH", "LIBRARY", "BUILD-ID", "BUILT", "SUPPORTED UNTIL", "DEBUG", "ENTRY", "GROUP", "STATE"}
	rows := make([][]string, len(builds))
	for i, b := range builds {
		rows[i] = []string{b.NEVRA, b.Arch, b.Library, short(b.BuildID), b.BuildTime.Format(time.DateOnly), orDash(until(b)),
			orDash(string(b.DebugSource)), orDash(b.Entry), orDash(b.Group), b.Words()}
	}
	return cli.WriteTable(s.App.Writer, header, rows)
}

func runNewVersions(s *session) error {
	builds, err := s.project.NewBuilds(s.Context.Context, s.options)
	if err != nil || len(builds) == 0 {
		return err
	}
	s.progress.wait()
	if s.Bool("json") {
		err = s.printJSON(builds)
	} else {
		rows := make([][]string, len(builds))
		for i, b := range builds {
			rows[i] = []string{b.NEVRA, b.Arch, b.Repository, b.BuildTime.Format(time.DateOnly), orDash(until(b)), b.Words()}
		}
		err = cli.WriteTable(s.App.Writer, []string{"BUILD", "ARCH", "REPOSITORY", "BUILT", "SUPPORTED UNTIL", "STATE"}, rows)
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%d %w", len(builds), pipeline.ErrNewBuilds)
}

// printJSON prints builds as one object a line. What is not known yet of a new
// one is left out.
func (s *session) printJSON(builds []pipeline.Shipped) error {
	s.progress.wait()
	enc := json.NewEncoder(s.App.Writer)
	for _, b := range builds {
		if err := enc.Encode(b); err != nil {
			return err
		}
	}
	return nil
}

// until is the last day of support, "" if there is none.
func until(b pipeline.Shipped) string {
	if b.EndOfSupport == nil {
		return ""
	}
	return b.EndOfSupport.Format(time.DateOnly)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// warnSupport prints which builds will soon be out of support.
func (s *session) warnSupport() error {
	lock, err := s.project.Lock()
	if err != nil {
		return err
	}
	s.progress.wait()
	for _, line := range s.project.SupportWarnings(lock, time.Now()) {
		cli.Warning(s.App.ErrWriter, line)
	}
	return nil
}
