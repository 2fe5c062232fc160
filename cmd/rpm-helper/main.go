// Rpm-helper is what the scriptlets of a live-patch package call: it brings
// every running process to the set that RPM has just installed, or takes the
// erased one out of all of them. All of it is package rpmhook.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/rpmhook"
)

const help = `Usage: rpm-helper [-v] [--timeout DURATION] post|posttrans|preun|postun NAME [COUNT]

What the scriptlets of a live-patch package call.

post and posttrans put the live patches of the installed package NAME in force
in every running process, in the place of any other version of them. preun and
postun revert them if COUNT, RPM's $1, is 0, and otherwise do nothing.

In a chroot, an image or container build, a transactional update, or without
/proc, nothing is done.

  -v, --verbose         tell the details on stderr instead of the system log
  --timeout DURATION    give up after this time (default %v)
  --version             print the version
  --help                print this

The exit code is 0 whatever happens, for no transaction may fail because of a
live patch, and 2 if the arguments are wrong.
`

func main() {
	cli.CollectRarely()
	cli.IgnoreStops()
	cli.Main(func(ctx context.Context, stdout, stderr io.Writer) error {
		return run(ctx, os.Args[1:], stdout, stderr)
	}, []cli.Rule{{Err: rpmhook.ErrUsage, Code: cli.Usage, Hint: "see rpm-helper --help"}})
}

type options struct {
	verbose bool
	version bool
	timeout time.Duration
}

// run reads the command line. The only error is wrong usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var opts options
	flags := flag.NewFlagSet("rpm-helper", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&opts.verbose, "v", false, "")
	flags.BoolVar(&opts.verbose, "verbose", false, "")
	flags.BoolVar(&opts.version, "version", false, "")
	flags.DurationVar(&opts.timeout, "timeout", rpmhook.DefaultTimeout, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stdout, help, rpmhook.DefaultTimeout)
		return nil
	case err != nil:
		return fmt.Errorf("%w: %w", rpmhook.ErrUsage, err)
	case opts.version:
		fmt.Fprintln(stdout, "rpm-helper", cli.Version())
		return nil
	}
	event, err := rpmhook.ParseEvent(flags.Args())
	if err != nil {
		return err
	}
	log := slog.New(newJournal("rpm-helper"))
	if opts.verbose {
		log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	hook(ctx, event, rpmhook.Options{Log: log, Timeout: opts.timeout}, stdout)
	return nil
}

// hook does the scriptlet's part and prints the one line, if there is one.
func hook(ctx context.Context, event rpmhook.Event, opts rpmhook.Options, stdout io.Writer) {
	summary := rpmhook.Run(ctx, event, opts)
	if summary.Skipped != "" {
		opts.Log.Debug("nothing to do", "reason", summary.Skipped)
	}
	line := summary.Line()
	if line == "" {
		return
	}
	if _, err := fmt.Fprintln(stdout, line); err != nil {
		opts.Log.Warn("summary not printed", "summary", line, "error", err)
	}
}
