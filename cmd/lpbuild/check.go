package main

import (
	"encoding/json"
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
					return listRules(c)
				}
				return explain(c, name)
			}
			return withProject(c, c.Args().Slice(), func(s *session) error {
				return s.report(s.project.Check(c.Context, s.options))
			})
		},
	}
}

func listRules(c *urfave.Context) error {
	if c.Bool("json") {
		return encodeRules(c.App.Writer, builder.Rules()...)
	}
	var lines [][]string
	for _, r := range builder.Rules() {
		lines = append(lines, []string{r.Name, string(r.Severity), yesNo(r.Waive != ""), r.Text})
	}
	return cli.WriteTable(c.App.Writer, []string{"CHECK", "SEVERITY", "WAIVABLE", "WHAT MUST BE TRUE"}, lines)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func explain(c *urfave.Context, name string) error {
	r, ok := builder.FindRule(name)
	if !ok {
		return cli.Usagef("no check is named %q; lpbuild check --list lists them", name)
	}
	if c.Bool("json") {
		return encodeRules(c.App.Writer, r)
	}
	_, err := fmt.Fprintf(c.App.Writer, "%s (%s)\n\nWhat must be true: %s.\n\n%s\n\n%s\n", r.Name, r.Severity, r.Text, r.Why, waiving(r))
	return err
}

// encodeRules writes rules as JSON, one a line.
func encodeRules(w io.Writer, rules ...builder.Rule) error {
	enc := json.NewEncoder(w)
	for _, r := range rules {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// waiving says when a project may waive a check, and how.
func waiving(r builder.Rule) string {
	switch {
	case r.Waive != "":
		return fmt.Sprintf("A live patch may waive it, in lpbuild.yaml, if %s:\n\n    patches:\n      - name: PATCH\n        waive: {%s: \"why, in one line\"}",
			r.Waive, r.Name)
	case r.Severity == builder.Warn:
		return "It only warns."
	}
	return "It cannot be waived."
}

// checksDocument is docs/checks.md.
func checksDocument() []byte {
	var b strings.Builder
	b.WriteString(`# What is checked before anything ships

Written by ` + "`make generate`" + ` from the table in ` + "`builder/checktable.go`" + `; ` + "`lpbuild check --explain NAME`" + ` says the same.

` + "`lpbuild check`, `make`, `test`, `dist` and `rpm`" + ` hold every live patch against every build with these checks. An *error* refuses the
container of the build, unless the project gives a reason to waive the check:

` + "```yaml" + `
patches:
  - name: CVE-2024-5535
    waive:
      not-inlined: the callers named only print
` + "```" + `

The reason stands beside what was found in every table and report. Of each check there are tests with a live patch that it alone
refuses and with one like it that passes: ` + "`go test ./builder -run TestChecks`" + `.

| check | severity | can be waived | what must be true |
|---|---|---|---|
`)
	for _, r := range builder.Rules() {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", r.Name, r.Name, r.Severity, yesNo(r.Waive != ""), r.Text)
	}
	for _, r := range builder.Rules() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", r.Name, r.Why)
		if r.Waive != "" {
			fmt.Fprintf(&b, "\nWaive it if %s.\n", r.Waive)
		}
	}
	return []byte(b.String())
}
