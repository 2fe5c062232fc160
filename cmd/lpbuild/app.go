package main

import (
	"io"
	"runtime"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
)

const about = `Takes one fix of a system library to every build of it that shipped, and to the processes that run them.

A project is a folder with lpbuild.yaml and livepatches/NAME/. The order of work is

  lpbuild init         a new project
  lpbuild download     find every shipped build; writes versions.lock and versions/
  lpbuild versions     what covers each build, until when it is supported; --new: are there others?
  lpbuild scan         which builds a CVE affects, and what shows it
  lpbuild check        what stands in the way of each container
  lpbuild make         one container with all live patches per build, in build/
  lpbuild test         apply and revert every live patch on a process running that very build
  lpbuild dist, rpm    the source package, the binary RPM

Only download and "versions --new" use the network. Results go to stdout; progress and messages go to stderr.`

func newApp(stdout, stderr io.Writer) *urfave.App {
	return &urfave.App{
		Name:                 "lpbuild",
		Usage:                "build live patches for every shipped build of a library",
		UsageText:            "lpbuild [OPTION]... COMMAND [ARGUMENT]...",
		Description:          about + "\n\nExit codes:\n\n" + strings.TrimSuffix(cli.Table("  "), "\n"),
		Version:              cli.Version(),
		Writer:               stdout,
		ErrWriter:            stderr,
		EnableBashCompletion: true,
		Flags: []urfave.Flag{
			&urfave.PathFlag{Name: "directory", Aliases: []string{"C"}, Value: ".", Usage: "the project is in `DIR`"},
			&urfave.IntFlag{Name: "jobs", Aliases: []string{"j"}, Value: runtime.NumCPU(), DefaultText: "the number of processors", Usage: "run `N` tasks at a time"},
			&urfave.BoolFlag{Name: "offline", Usage: "use no network: only what the project and the cache hold"},
			&urfave.BoolFlag{Name: "json", Usage: "print results as JSON, one object per line"},
			&urfave.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "no progress"},
			&urfave.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "log what is done to stderr"},
		},
		Commands: []*urfave.Command{
			initCommand(),
			downloadCommand(),
			versionsCommand(),
			scanCommand(),
			makeCommand(),
			checkCommand(),
			testCommand(),
			cleanCommand(),
			distCommand(),
			rpmCommand(),
			extractCommand(),
			packCommand(),
			dumpCommand(),
			livepatchableCommand(),
		},
	}
}
