package main

import (
	"io"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/injector"
	"github.com/lpbuild/lpbuild/livepatch"
	"github.com/lpbuild/lpbuild/livepatch/trust"
)

const about = `Shows, applies, reverts and replaces live patches in running processes, without a restart.

A process's result is one word. These are normal: APPLIED ALREADY REPLACED REVERTED NOT-APPLIED NOT-LOADED NO-PATCH-FOR-BUILD. These are failures, each with a reason: BUSY BLOCKED FOREIGN GONE FAILED.

Without a selection every process is looked at, and those that the containers do not concern are not listed. --process, --user, --library and --cgroup select; each may be repeated. A process is selected if it fits one value of each of these options that is given.

A folder in the place of a CONTAINER means every *.so in it. Root applies only containers that nobody else can have written: they and all folders above them must be root's, and writable for nobody else.

Results go to stdout, messages to stderr.`

const examples = `  lpctl status                               what is in force, and where
  lpctl status --all --user www-data         also what is not, of one user
  lpctl apply /usr/lib/livepatches           all containers of a folder
  lpctl apply -n -p 'nginx*' fix.so          what would happen
  lpctl apply --cgroup nginx.service fix.so  in the processes of a service
  lpctl replace --library libssl.so.3 new.so
  lpctl revert -p 1234 --all`

// rules are the exit codes and hints of lpctl; the first that matches counts.
var rules = []cli.Rule{
	{Err: injector.ErrPermission, Code: cli.NotPermitted, Hint: "run lpctl as root, or as the user who owns the process"},
	{Err: injector.ErrGone, Code: cli.TargetGone},
	{Err: errNoPatch, Code: cli.BuildIDMismatch, Hint: "lpctl needs the container for the build that the process runs; lpbuild download and make make one"},
	{Match: busy, Code: cli.SomeFailed, Hint: "try again, or hold threads for longer: --timeout"},
	{Match: cli.As[*processError], Code: cli.SomeFailed},
	{Match: cli.As[*failedProcesses], Code: cli.SomeFailed},
	{Err: trust.ErrUntrusted, Code: cli.NotPermitted, Hint: "root applies only what nobody else can have written: install -D -m 0644 -o root -t /root/livepatches CONTAINER"},
	{Err: livepatch.ErrNoMetadata, Code: cli.Usage, Hint: "a container is made by lpbuild make, lpbuild pack or ulp packer"},
	{Err: livepatch.ErrUnsupported, Code: cli.Usage, Hint: "a container is made by lpbuild make, lpbuild pack or ulp packer"},
	{Err: livepatch.ErrNewerFormat, Code: cli.Usage, Hint: "use the lpctl that came with the lpbuild that made it"},
	{Err: livepatch.ErrCorrupt, Code: cli.BadSignature, Hint: "make the container again"},
}

func newApp(stdout, stderr io.Writer) *urfave.App {
	return &urfave.App{
		Name:        "lpctl",
		Usage:       "live patches of running processes",
		UsageText:   "lpctl [OPTION]... COMMAND [CONTAINER]...",
		Description: about + "\n\nExamples:\n\n" + examples + "\n\nExit codes:\n\n" + strings.TrimSuffix(cli.Table("  "), "\n"),
		Version:     cli.Version(),
		Writer:      stdout,
		ErrWriter:   stderr,
		// Patterns and paths may hold commas.
		DisableSliceFlagSeparator: true,
		Flags:                     everywhere(),
		Commands: []*urfave.Command{
			statusCommand(), applyCommand(), revertCommand(), replaceCommand(), checkCommand(),
			cli.CompletionCommand(),
		},
	}
}
