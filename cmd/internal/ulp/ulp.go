// Package ulp is libpulp's program ulp on top of our engine: its command line,
// its lines and its exit codes, so that scripts written for it go on working
// while no process has libpulp.so. docs/ulp.md lists what is different, and why.
package ulp

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
)

// Called says whether a program was called as ulp, by its name or by its first
// argument, and returns the arguments that follow. args are as in os.Args.
func Called(args []string) ([]string, bool) {
	switch {
	case len(args) > 0 && filepath.Base(args[0]) == "ulp":
		return args[1:], true
	case len(args) > 1 && args[1] == "ulp":
		return args[2:], true
	}
	return nil, false
}

// Run does what ulp does with these arguments. Whatever is to be said is said by
// then: an error is one of cli.Exit.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	t := &terminal{out: stdout, err: stderr}
	o, err := parse(args)
	if err != nil {
		var u *usageError
		if errors.As(err, &u) {
			t.usage(u)
		}
		return cli.Exit(exUsage)
	}
	if text := o.help(); text != "" {
		t.print("%s", text)
		return nil
	}
	t.quiet, t.verbose = o.beQuiet, o.beVerbose
	t.color = wantsColor(o.color, stdout)
	c := &command{options: o, terminal: t}
	if code := commands()[o.command].run(ctx, c); code != 0 {
		return cli.Exit(code)
	}
	return nil
}

// exUsage is EX_USAGE of sysexits(3), the exit status of argp(3) for wrong usage.
const exUsage = 64

// A command is one run.
type command struct {
	*options
	*terminal
}

// A spec is one of ulp's commands: the number of arguments that it must have and
// may have, and what it does. The result of run is the exit status.
type spec struct {
	min, max int
	about    string
	run      func(context.Context, *command) int
}

func commands() map[string]spec {
	return map[string]spec{
		"patches":       {0, 0, "List the live patches in force, by process and library", patches},
		"check":         {1, 1, "Say whether the container ARG1 is in force", check},
		"dump":          {1, 1, "Print the metadata of the container ARG1", dump},
		"packer":        {1, 1, "Embed the metadata of the description ARG1 into its container", pack},
		"trigger":       {0, 1, "Apply or revert the container ARG1, or all that the pattern ARG1 matches", trigger},
		"post":          {1, 1, "Merge the NOPs at the entries of the library ARG1", post},
		"messages":      {0, 0, "Print what was done to the process -p", messages},
		"livepatchable": {1, 1, "Say whether the library ARG1 was built for live patching", livepatchable},
		"extract":       {1, 1, "Write the symbols of the library ARG1 as JSON", extract},
		"set_patchable": {1, 1, "Allow or forbid live patches in processes: ARG1 is enable or disable", setPatchable},
	}
}

// arg is the command's argument, "" if there is none.
func (c *command) arg() string {
	if len(c.args) == 0 {
		return ""
	}
	return c.args[0]
}

// describe is an error in libpulp's style: without the name of the file that the
// caller names already.
func describe(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return errnoText(err)
}
