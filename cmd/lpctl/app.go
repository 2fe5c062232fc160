package main

import (
	"io"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/injector"
	"github.com/lpbuild/lpbuild/livepatch"
)

const about = `Shows, applies, reverts and replaces live patches in running processes, without a restart.

A process's result is one word. These are normal: APPLIED ALREADY REPLACED REVERTED NOT-APPLIED NOT-LOADED NO-PATCH-FOR-BUILD. These are failures, each with a reason: BUSY BLOCKED FOREIGN GONE FAILED.

Without -p every process is looked at, and those that the containers do not concern are not listed. Results go to stdout, messages to stderr.`

// rules are the exit codes and hints of lpctl; the first that matches counts.
var rules = []cli.Rule{
	{Err: injector.ErrPermission, Code: cli.NotPermitted, Hint: "run lpctl as root, or as the user who owns the process"},
	{Err: injector.ErrGone, Code: cli.TargetGone},
	{Err: errNoPatch, Code: cli.BuildIDMismatch, Hint: "lpctl needs the container for the build that the process runs; lpbuild download and make make one"},
	{Match: busy, Code: cli.SomeFailed, Hint: "try again, or hold threads for longer: --timeout"},
	{Match: cli.As[*processError], Code: cli.SomeFailed},
	{Match: cli.As[*failedProcesses], Code: cli.SomeFailed},
	{Err: livepatch.ErrNoMetadata, Code: cli.Usage, Hint: "a container is made by lpbuild make, lpbuild pack or ulp packer"},
	{Err: livepatch.ErrUnsupported, Code: cli.Usage, Hint: "a container is made by lpbuild make, lpbuild pack or ulp packer"},
	{Err: livepatch.ErrNewerFormat, Code: cli.Usage, Hint: "use the lpctl that came with the lpbuild that made it"},
	{Err: livepatch.ErrCorrupt, Code: cli.BadSignature, Hint: "make the container again"},
}

func newApp(stdout, stderr io.Writer) *urfave.App {
	return &urfave.App{
		Name:                 "lpctl",
		Usage:                "live patches of running processes",
		UsageText:            "lpctl [OPTION]... COMMAND [CONTAINER]...",
		Description:          about + "\n\nExit codes:\n\n" + strings.TrimSuffix(cli.Table("  "), "\n"),
		Version:              cli.Version(),
		Writer:               stdout,
		ErrWriter:            stderr,
		EnableBashCompletion: true,
		Flags: []urfave.Flag{
			&urfave.StringSliceFlag{Name: "process", Aliases: []string{"p"}, Usage: "only processes with this id or name; `PID|GLOB`, may be repeated"},
			&urfave.DurationFlag{Name: "timeout", Value: injector.DefaultTimeout, Usage: "hold threads for at most `TIME`, then answer BUSY"},
			&urfave.BoolFlag{Name: "json", Usage: "print results as JSON, one object per line"},
			&urfave.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "log what is done to stderr"},
		},
		Commands: []*urfave.Command{
			statusCommand(), applyCommand(), revertCommand(), replaceCommand(), checkCommand(),
		},
	}
}
