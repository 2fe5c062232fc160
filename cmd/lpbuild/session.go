package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/pipeline"
)

// A session is what the commands on a project share: the project, the global
// flags, and where results and progress go.
type session struct {
	*urfave.Context
	project  *pipeline.Project
	options  pipeline.Options
	progress *progress
	warnings *warnings
}

// withProject runs a command on the project of -C and its live patches of
// those names (none: all), and ends the progress display before it returns.
func withProject(c *urfave.Context, patches []string, run func(*session) error) error {
	project, err := pipeline.Load(c.Path("directory"))
	if err != nil {
		return err
	}
	if err := project.Select(patches); err != nil {
		return err
	}
	if c.Int("jobs") < 1 {
		return cli.Usagef("-j %d: at least one task at a time", c.Int("jobs"))
	}
	for _, p := range project.Patches {
		for _, w := range p.Description.Warnings {
			cli.Warning(c.App.ErrWriter, w.Error())
		}
	}
	s := &session{Context: c, project: project, progress: newProgress(c), warnings: new(warnings)}
	defer s.warnings.print(c.App.ErrWriter)
	defer s.progress.wait()
	s.options = pipeline.Options{
		Jobs:     c.Int("jobs"),
		Offline:  c.Bool("offline"),
		Cache:    cacheFolder(),
		Log:      s.log(),
		Progress: s.progress,
	}
	return run(s)
}

// cacheFolder is the folder of compiled objects, "" for the default one.
func cacheFolder() string { return os.Getenv("LPBUILD_CACHE") }

// log is the log of -v on stderr, or else keeps the warnings for the end.
func (s *session) log() *slog.Logger {
	if !s.Bool("verbose") {
		return slog.New(s.warnings)
	}
	return slog.New(slog.NewTextHandler(s.App.ErrWriter, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// print writes a value to stdout: as one JSON object with --json, else as the
// formatted text.
func print(c *urfave.Context, value any, format string, args ...any) error {
	if c.Bool("json") {
		return json.NewEncoder(c.App.Writer).Encode(value)
	}
	_, err := fmt.Fprintf(c.App.Writer, format, args...)
	return err
}
