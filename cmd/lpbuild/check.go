package main

import (
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/cmd/internal/cli"
)

func checkCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "check",
		Usage:     "say what make would refuse, and why",
		ArgsUsage: "[PATCH]...",
		Description: "Does everything that make does, for the live patches named (default: all), and writes nothing. What the checks\n" +
			"find stands behind each build, with the name of the check in brackets: --explain NAME says what it demands, why,\n" +
			"and when a project may waive it; --list lists them all.",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "explain", Usage: "explain the check of that `NAME`, and do nothing else"},
			&urfave.BoolFlag{Name: "list", Usage: "list the checks, and do nothing else"},
		},
		Action: func(c *urfave.Context) error {
			if name := c.String("explain"); name != "" || c.Bool("list") {
				if err := cli.NArgs(c, 0, 0); err != nil {
					return err
				}
				if name == "" {
					return listRules(c.App.Writer)
				}
				return explain(c.App.Writer, name)
			}
			return withProject(c, c.Args().Slice(), func(s *session) error {
				return s.report(s.project.Check(c.Context, s.options))
			})
		},
	}
}

func listRules(w io.Writer) error {
	var lines [][]string
	for _, r := range builder.Rules() {
		lines = append(lines, []string{r.Name, string(r.Severity), yesNo(r.Waive != ""), r.Text})
	}
	return cli.WriteTable(w, []string{"CHECK", "SEVERITY", "WAIVABLE", "WHAT MUST BE TRUE"}, lines)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func explain(w io.Writer, name string) error {
	r, ok := builder.FindRule(name)
	if !ok {
		return cli.Usagef("no check is named %q; lpbuild check --list lists them", name)
	}
	waive := "It cannot be waived."
	if r.Severity == builder.Warn {
		waive = "It only warns."
	}
	if r.Waive != "" {
		waive = fmt.Sprintf("A live patch may waive it, in lpbuild.yaml, if %s:\n\n\tpatches:\n\t  - name: PATCH\n\t    waive: {%s: \"why, in one line\"}",
			r.Waive, r.Name)
	}
	_, err := fmt.Fprintf(w, "%s (%s)\n\nWhat must be true: %s.\n\n%s\n\n%s\n", r.Name, r.Severity, r.Text, r.Why, strings.ReplaceAll(waive, "\t", "    "))
	return err
}
