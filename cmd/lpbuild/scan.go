package main

import (
	"encoding/json"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/pipeline"
)

func scanCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "scan",
		Usage:     "say which shipped builds a CVE affects, and why",
		ArgsUsage: "[CVE]...",
		Description: `Says of every build and each CVE named (default: all that the comments of the descriptions name) what the version
records show:

  AFFECTED  made before the fix, or the functions are the same code as in such a build
  FIXED     the package's changelog names the CVE, or the functions are the same code as in a build of which that is so
  ABSENT    the build has none of the functions that the live patch replaces
  UNKNOWN   none of that can be shown

Functions are those of the live patches whose comments name the CVE; if none does, changelogs alone are asked. A build is
never called FIXED for its version or its date. docs/scan.md has the rules. Uses neither network nor packages. The exit
code is 0 if all is known, whatever it is, and 3 if any is UNKNOWN.`,
		Action: func(c *urfave.Context) error {
			return withProject(c, nil, runScan)
		},
	}
}

func runScan(s *session) error {
	rows, err := s.project.Scan(s.Args().Slice())
	if err != nil {
		return err
	}
	if s.Bool("json") {
		enc := json.NewEncoder(s.App.Writer)
		for _, r := range rows {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return pipeline.ScanErr(rows)
	}
	lines := make([][]string, len(rows))
	for i, r := range rows {
		lines[i] = []string{string(r.Finding), r.CVE, orDash(r.Patch), r.NEVRA, r.Soname, short(r.BuildID), r.Reason}
	}
	if err := cli.WriteTable(s.App.Writer, []string{"FINDING", "CVE", "PATCH", "BUILD", "LIBRARY", "BUILD-ID", "REASON"}, lines); err != nil {
		return err
	}
	return pipeline.ScanErr(rows)
}
