package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/injector"
)

// finish prints results and turns them into the command's error.
func (s *session) finish(results []injector.Result, err error) error {
	if err := errors.Join(err, s.print(results)); err != nil {
		return err
	}
	if len(s.sel.PIDs) == 1 && len(s.sel.Globs) == 0 && len(results) == 1 {
		return processFailure(results[0])
	}
	return someFailure(results)
}

// finishStatus prints results and answers whether all that can be covered is.
func (s *session) finishStatus(results []injector.Result, err error) error {
	if err := s.finish(results, err); err != nil {
		return err
	}
	concerned := 0
	for _, r := range results {
		switch r.Word {
		case injector.Applied, injector.Already:
			concerned++
		case injector.NoPatchForBuild:
			return cli.Exit(cli.NotCovered)
		case injector.NotApplied:
			if len(s.set) > 0 {
				return cli.Exit(cli.NotCovered)
			}
		}
	}
	if concerned == 0 {
		return cli.Exit(cli.NothingToApply)
	}
	return nil
}

func (s *session) print(results []injector.Result) error {
	if s.c.Bool("json") {
		enc := json.NewEncoder(s.c.App.Writer)
		for _, r := range results {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	if len(results) == 0 {
		return nil
	}
	var rows [][]string
	for _, r := range results {
		rows = append(rows, []string{
			strconv.Itoa(r.PID), r.Command, r.Library, short(r.BuildID), string(r.Word), stopped(r.Stopped),
			names(r.Patches), r.Reason,
		})
	}
	header := []string{"PID", "COMMAND", "LIBRARY", "BUILD-ID", "RESULT", "STOPPED", "IN FORCE", "REASON"}
	return cli.WriteTable(s.c.App.Writer, header, rows)
}

// short is as much of a build-id as a container's file name has.
func short(id string) string { return id[:min(len(id), 8)] }

func stopped(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.Round(time.Microsecond).String()
}

// names lists patches with their references, oldest first.
func names(patches []injector.Patch) string {
	var out []string
	for _, p := range patches {
		name := p.Name
		if p.Set != "" {
			name = fmt.Sprintf("%s-%s/%s", p.Set, p.SetVersion, p.Patch)
		}
		if len(p.References) > 0 {
			name += " (" + strings.Join(p.References, " ") + ")"
		}
		out = append(out, name)
	}
	return strings.Join(out, ", ")
}
