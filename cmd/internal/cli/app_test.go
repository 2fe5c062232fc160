package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	urfave "github.com/urfave/cli/v2"
)

// newTestApp is a program with one command that prints what it was given.
func newTestApp(out *bytes.Buffer) *urfave.App {
	return &urfave.App{
		Name:   "prog",
		Usage:  "try things",
		Writer: out, ErrWriter: out,
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "dir", Aliases: []string{"C"}, Usage: "the `DIR` to use"},
			&urfave.BoolFlag{Name: "json", Usage: "print JSON"},
		},
		Commands: []*urfave.Command{{
			Name:        "do",
			Usage:       "do it",
			ArgsUsage:   "[THING]...",
			Description: "Does it.\n\n  .like this\n\n.Not like that, don't.",
			Flags: []urfave.Flag{
				&urfave.StringSliceFlag{Name: "pid", Aliases: []string{"p"}, Usage: "of process `PID`"},
				&urfave.BoolFlag{Name: "all", Usage: "all of them"},
			},
			Action: func(c *urfave.Context) error {
				_, err := fmt.Fprintf(c.App.Writer, "dir=%s json=%t pid=%v all=%t args=%q",
					c.String("dir"), c.Bool("json"), c.StringSlice("pid"), c.Bool("all"), c.Args().Slice())
				return err
			},
		}},
	}
}

func TestRunTakesFlagsAnywhere(t *testing.T) {
	tests := []struct {
		name string
		args string
		want string
	}{
		{name: "in the library's order", args: "-C d --json do --all -p 1 x", want: `dir=d json=true pid=[1] all=true args=["x"]`},
		{name: "behind arguments", args: "do x --all y -p 1 -p 2", want: `dir= json=false pid=[1 2] all=true args=["x" "y"]`},
		{name: "the program's behind the command", args: "do x --json -C d", want: `dir=d json=true pid=[] all=false args=["x"]`},
		{name: "with =", args: "do x --pid=3 --dir=d", want: `dir=d json=false pid=[3] all=false args=["x"]`},
		{name: "not behind --", args: "do -- --all -p", want: `dir= json=false pid=[] all=false args=["--all" "-p"]`},
		{name: "arguments named as the library's own command", args: "do h help", want: `dir= json=false pid=[] all=false args=["h" "help"]`},
		{name: "a lone - is an argument", args: "do - --all", want: `dir= json=false pid=[] all=true args=["-"]`},
		{name: "a value that looks like a command", args: "-C do do x", want: `dir=do json=false pid=[] all=false args=["x"]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := Run(t.Context(), newTestApp(&out), append([]string{"prog"}, strings.Fields(tt.args)...)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	tests := []struct {
		args string
		err  string
	}{
		{args: "undo", err: `no command "undo"; see prog --help`},
		{args: "do --none", err: "prog do: flag provided but not defined: -none; see prog do --help"},
		{args: "--none do", err: "prog: flag provided but not defined: -none; see prog --help"},
		{args: "do x --all -C", err: "prog: flag needs an argument: -C; see prog --help"},
		{args: "do -p", err: "prog do: flag needs an argument: -p; see prog do --help"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var out bytes.Buffer
			err := Run(t.Context(), newTestApp(&out), append([]string{"prog"}, strings.Fields(tt.args)...))
			if !errors.Is(err, ErrUsage) || err.Error() != tt.err {
				t.Errorf("error %v, want %s", err, tt.err)
			}
			if out.Len() > 0 {
				t.Errorf("printed %q", out.String())
			}
		})
	}
}

func TestManEscapes(t *testing.T) {
	page := string(Man(newTestApp(new(bytes.Buffer)), ManPage{Section: "8", Description: `back\slash`, SeeAlso: []string{"other(1)"}}))
	for _, want := range []string{
		".TH PROG 8 ",
		`back\eslash`,
		".SS prog do [OPTION]... [THING]...",
		"\n.nf\n  .like this\n.fi\n",
		"\n\\&.Not like that",
		`\fB\-\-pid\fR \fIPID\fR, \fB\-p\fR \fIPID\fR`,
		".B 130\ninterrupted\n",
		".SH SEE ALSO\nother(1)\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in\n%s", want, page)
		}
	}
}
