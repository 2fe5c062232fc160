package ulp

import (
	"maps"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
)

const manDescription = `The program lpctl, called as ulp, takes the command line of libpulp's program of that name and answers with its lines and its exit status. No process needs libpulp.so. What is different, and why, is in docs/ulp.md of lpbuild.

Options may stand anywhere. A pattern is one of fnmatch(3). For each process there is a line SUCCESS, SKIPPED or FAILED; what is skipped is no failure.`

const manDisabled = `A process is left alone (SKIPPED) if ulp set_patchable disable was said of it, or if one of the variables LIBPULP_DISABLE_ON_PATH, LIBPULP_DISABLE_ON_USERS and LIBPULP_DISABLE_ON_GROUPS in its environment names it: patterns with ":" between them for the path of its program, and for name or number of its user and its group. What is in force stays, and may be reverted.`

// ManPage is the manual page ulp(1).
func ManPage() []byte {
	app := &urfave.App{
		Name: "ulp", Usage: "live patches of running processes, with the command line of libpulp",
		UsageText: "ulp [OPTION...] COMMAND [ARG1]",
	}
	for _, k := range known {
		names := []string{k.long}
		if k.short != 0 {
			names = append(names, string(rune(k.short)))
		}
		app.Flags = append(app.Flags, &urfave.StringFlag{Name: names[0], Aliases: names[1:], Usage: k.about})
	}
	for _, name := range slices.Sorted(maps.Keys(commands())) {
		c := commands()[name]
		argument := ""
		if c.max > 0 {
			argument = "ARG1"
		}
		app.Commands = append(app.Commands, &urfave.Command{
			Name: name, ArgsUsage: argument, Usage: c.about,
		})
	}
	return cli.Man(app, cli.ManPage{
		Section: "1", Description: manDescription,
		Sections: []cli.ManSection{{Title: "WHO MAY BE PATCHED", Text: manDisabled}},
		Codes: []cli.Code{
			{Code: 0, Meaning: "done, or nothing to do; check: not in force"},
			{Code: 1, Meaning: "failed; check: in force"},
			{Code: 11, Meaning: "trigger: a process was busy"},
			{Code: 13, Meaning: "trigger: a file is no container"},
			{Code: 16, Meaning: "trigger --revert: it was not in force"},
			{Code: exUsage, Meaning: "wrong usage"},
			{Code: checkFailed, Meaning: "check: it can't be told"},
		},
		SeeAlso: []string{"lpctl(1)", "lpbuild(1)"},
	})
}
