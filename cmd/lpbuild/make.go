package main

import (
	"encoding/json"
	"fmt"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/pipeline"
)

func makeCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "make",
		Usage:     "build one container for every build",
		ArgsUsage: "[PATCH]...",
		Description: "Builds containers with all live patches into build/, one for each build. With only some of the live patches\n" +
			"named, containers with these go to build/selection/, and build/ keeps the whole set. Needs a C compiler, but\n" +
			"neither network nor packages. What has not changed is not built again. A build that fails does not stop the\n" +
			"others: the table at the end says why, and the exit code is 3.\n\n" +
			"With --shard I/N, one of N machines makes its part of the builds into build/ and notes it in\n" +
			"set.I-of-N.json. With --merge, the parts of all N, gathered in build/, become what one machine makes.",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "shard", Usage: "make only part `I/N` of the builds, as one of N machines"},
			&urfave.BoolFlag{Name: "merge", Usage: "make nothing: join the parts that are in build/ into one set"},
		},
		Action: runMake,
	}
}

func runMake(c *urfave.Context) error {
	shard, err := pipeline.ParseShard(c.String("shard"))
	switch sharded, merge := c.IsSet("shard"), c.Bool("merge"); {
	case sharded && err != nil:
		return cli.Usagef("--shard: %v", err)
	case sharded && merge, (sharded || merge) && c.NArg() > 0:
		return cli.Usagef("--shard and --merge are for all live patches, and one at a time")
	case !sharded:
		shard = pipeline.Shard{}
	}
	return withProject(c, c.Args().Slice(), func(s *session) error {
		if c.Bool("merge") {
			return s.project.Merge(c.Context, s.options)
		}
		report, err := s.project.MakeShard(c.Context, s.options, shard)
		if err == nil {
			err = s.warnSupport()
		}
		return s.report(report, err)
	})
}

// report prints a report and returns its error.
func (s *session) report(r *pipeline.Report, err error) error {
	if err != nil {
		return err
	}
	s.progress.wait()
	s.warn(r.Rows)
	if err := s.printRows(r.Rows); err != nil {
		return err
	}
	return r.Err()
}

// warn prints the warnings of rows, each once for a live patch, with the builds
// that it is about.
func (s *session) warn(rows []pipeline.Row) {
	type warning struct{ patch, text string }
	var order []warning
	builds := make(map[warning][]string)
	for _, row := range rows {
		for _, text := range row.Warnings {
			w := warning{row.Patch, text}
			if builds[w] == nil {
				order = append(order, w)
			}
			builds[w] = append(builds[w], row.NEVRA)
		}
	}
	for _, w := range order {
		of := builds[w][0]
		if n := len(builds[w]) - 1; n > 0 {
			of += fmt.Sprintf(" and %d more", n)
		}
		cli.Warning(s.App.ErrWriter, fmt.Sprintf("%s: %s: %s", w.patch, of, w.text))
	}
}

func (s *session) printRows(rows []pipeline.Row) error {
	if s.Bool("json") {
		enc := json.NewEncoder(s.App.Writer)
		for _, row := range rows {
			if err := enc.Encode(row); err != nil {
				return err
			}
		}
		return nil
	}
	header := []string{"RESULT", "PATCH", "BUILD", "LIBRARY", "BUILD-ID", "ENTRY", "REASON"}
	lines := make([][]string, len(rows))
	for i, r := range rows {
		reason := r.Reason
		if r.Step != "" {
			reason = r.Step + ": " + reason
		}
		lines[i] = []string{string(r.Result), r.Patch, r.NEVRA, r.Soname, short(r.BuildID), r.Entry, reason}
	}
	if !slices.ContainsFunc(lines, func(l []string) bool { return l[6] != "" }) {
		header = header[:6]
		for i := range lines {
			lines[i] = lines[i][:6]
		}
	}
	return cli.WriteTable(s.App.Writer, header, lines)
}

// short is the part of a build-id that file names have.
func short(id elfinfo.BuildID) string {
	return string(id[:min(8, len(id))])
}
