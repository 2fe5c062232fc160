package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/pipeline"
	"github.com/lpbuild/lpbuild/versions"
)

func downloadCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "download",
		Usage: "find every shipped build and record what the live patches need of it",
		Description: "Reads the repositories in lpbuild.yaml, verifies signatures and checksums, fetches every version of the package and\n" +
			"of its debug symbols that is not in the cache yet, and writes versions.lock and versions/. From then on everything\n" +
			"works without network. Run it again when a description names a new function, and when new builds have shipped.",
		Action: func(c *urfave.Context) error {
			if err := cli.NArgs(c, 0, 0); err != nil {
				return err
			}
			return withProject(c, nil, func(s *session) error {
				lock, err := s.project.Download(c.Context, s.options)
				if lock == nil {
					return err
				}
				return errors.Join(s.printLocked(lock.Builds), err)
			})
		},
	}
}

func versionsCommand() *urfave.Command {
	return &urfave.Command{
		Name:        "versions",
		Usage:       "list the shipped builds",
		Description: "Lists the builds in versions.lock.",
		Flags: []urfave.Flag{
			&urfave.BoolFlag{Name: "new", Usage: "ask the repositories and list only builds that the lock lacks; exit code 22 if there are any"},
		},
		Action: func(c *urfave.Context) error {
			if err := cli.NArgs(c, 0, 0); err != nil {
				return err
			}
			return withProject(c, nil, runVersions)
		},
	}
}

func runVersions(s *session) error {
	if !s.Bool("new") {
		lock, err := s.project.Lock()
		if err != nil {
			return err
		}
		return s.printLocked(lock.Builds)
	}
	builds, err := s.project.NewBuilds(s.Context.Context, s.options)
	if err != nil || len(builds) == 0 {
		return err
	}
	if err := s.printLocked(builds); err != nil {
		return err
	}
	return fmt.Errorf("%d %w", len(builds), pipeline.ErrNewBuilds)
}

// printLocked prints rows of the lock.
func (s *session) printLocked(builds []versions.Locked) error {
	s.progress.wait()
	if s.Bool("json") {
		enc := json.NewEncoder(s.App.Writer)
		for _, b := range builds {
			if err := enc.Encode(b); err != nil {
				return err
			}
		}
		return nil
	}
	rows := make([][]string, len(builds))
	for i, b := range builds {
		support := ""
		if b.EndOfSupport != nil {
			support = b.EndOfSupport.Format(time.DateOnly)
		}
		if b.Removed {
			support = strings.TrimSpace(support + " (left the repositories)")
		}
		rows[i] = []string{b.NEVRA, b.Library, short(b.BuildID), b.BuildTime.Format(time.DateOnly), support}
	}
	return cli.WriteTable(s.App.Writer, []string{"BUILD", "LIBRARY", "BUILD-ID", "BUILT", "SUPPORTED UNTIL"}, rows)
}
