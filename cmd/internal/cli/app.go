package cli

import (
	"context"
	"errors"
	"runtime/debug"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// Run runs a program's commands. It returns wrong usage as an error that wraps
// ErrUsage and prints nothing for it. Unlike the library alone it takes flags
// behind arguments, and the program's own flags behind a command.
func Run(ctx context.Context, app *urfave.App, args []string) error {
	urfave.VersionFlag = &urfave.BoolFlag{Name: "version", Usage: "print the version"} // without -v
	app.ExitErrHandler = func(*urfave.Context, error) {}
	app.OnUsageError = usageFailed
	app.Action = func(c *urfave.Context) error {
		if c.Args().Present() {
			return Usagef("no command %q; see %s --help", c.Args().First(), app.Name)
		}
		return errors.Join(urfave.ShowAppHelp(c), Usagef("no command given"))
	}
	if len(args) > 1 && args[len(args)-1] == completionFlag {
		app.Setup()
		complete(app, args)
		return nil
	}
	for _, cmd := range app.Commands {
		cmd.OnUsageError = usageFailed
		cmd.HideHelpCommand = true // "init h" makes a folder h
		if cmd.CustomHelpTemplate == "" && len(app.Flags) > 0 {
			cmd.CustomHelpTemplate = urfave.CommandHelpTemplate +
				"\nOptions that every command takes: " + app.Name + " --help\n"
		}
	}
	return app.RunContext(ctx, arrange(app, args))
}

func usageFailed(c *urfave.Context, err error, _ bool) error {
	where := c.App.Name
	if c.Command != nil && c.Command.Name != "" && c.Command.Name != where {
		where += " " + c.Command.Name
	}
	return Usagef("%s: %v; see %s --help", where, err, where)
}

// NArgs checks the number of a command's arguments; max < 0 means any number.
func NArgs(c *urfave.Context, min, max int) error {
	n := c.NArg()
	switch {
	case n < min:
		return Usagef("%s: argument missing: %s", c.Command.Name, c.Command.ArgsUsage)
	case max >= 0 && n > max:
		return Usagef("%s: unexpected argument %q", c.Command.Name, c.Args().Get(max))
	}
	return nil
}

// arrange puts the arguments into the order that the library needs: the
// program's flags, the command, its flags, "--", its arguments.
func arrange(app *urfave.App, args []string) []string {
	if len(args) == 0 {
		return args
	}
	var a arranged
	for i := 1; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			a.rest = append(a.rest, args[i+1:]...)
			i = len(args)
		case len(arg) >= 2 && arg[0] == '-':
			into, flag := a.flag(app, arg)
			if !takesValue(flag, arg) {
				*into = append(*into, canonical(flag, arg))
				continue
			}
			if i++; i == len(args) { // the value is missing: let the library say so
				*into = append(*into, arg)
				return a.words(args[0], into != &a.global)
			}
			*into = append(*into, canonical(flag, arg), args[i])
		case a.command == nil:
			if a.command = app.Command(arg); a.command == nil { // unknown, or the help command
				return args
			}
		default:
			a.rest = append(a.rest, arg)
		}
	}
	if a.command == nil {
		return append(a.words(args[0], false), a.rest...)
	}
	return append(append(a.words(args[0], true), "--"), a.rest...)
}

// arranged is a command line taken apart.
type arranged struct {
	global, local, rest []string
	command             *urfave.Command
}

// flag finds the definition of a flag, nil if there is none, and where it belongs.
func (a *arranged) flag(app *urfave.App, arg string) (*[]string, urfave.Flag) {
	if a.command != nil {
		if f := find(a.command.Flags, arg); f != nil {
			return &a.local, f
		}
	}
	if f := find(app.Flags, arg); f != nil || a.command == nil {
		return &a.global, f
	}
	return &a.local, nil
}

// words are the program and its flags, and the command and its flags if wanted.
func (a *arranged) words(program string, command bool) []string {
	out := append([]string{program}, a.global...)
	if command {
		out = append(append(out, a.command.Name), a.local...)
	}
	return out
}

func find(flags []urfave.Flag, arg string) urfave.Flag {
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	i := slices.IndexFunc(flags, func(f urfave.Flag) bool { return slices.Contains(f.Names(), name) })
	if i < 0 {
		return nil
	}
	return flags[i]
}

// canonical gives a flag its first name: the library refuses two forms of one
// flag, also where it may be repeated.
func canonical(f urfave.Flag, arg string) string {
	if f == nil {
		return arg
	}
	_, value, found := strings.Cut(arg, "=")
	if found {
		value = "=" + value
	}
	return "--" + f.Names()[0] + value
}

func takesValue(f urfave.Flag, arg string) bool {
	doc, ok := f.(urfave.DocGenerationFlag)
	return ok && doc.TakesValue() && !strings.Contains(arg, "=")
}

// Version is the module's version as the Go toolchain recorded it, with the
// commit where it is known.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && version == "(devel)" {
			version += " " + s.Value
		}
	}
	return version
}
