package main

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
)

// warnings is a log that keeps the warnings of the libraries, each once, until
// the progress is out of the way.
type warnings struct {
	mu    sync.Mutex
	lines []string
}

// Enabled says yes to warnings alone: an error is returned as well as logged.
func (w *warnings) Enabled(_ context.Context, level slog.Level) bool { return level == slog.LevelWarn }

// Handle keeps one warning, as "message: key value, key value".
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	var attrs []string
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a.Key+" "+a.Value.String())
		return true
	})
	line := r.Message
	if len(attrs) > 0 {
		line += ": " + strings.Join(attrs, ", ")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.lines, line) {
		w.lines = append(w.lines, line)
	}
	return nil
}

// WithAttrs and WithGroup add nothing: what a warning says of itself is enough.
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup is part of slog.Handler.
func (w *warnings) WithGroup(string) slog.Handler { return w }

// print prints the warnings in a stable order: tasks run side by side.
func (w *warnings) print(out io.Writer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.lines)
	for _, line := range w.lines {
		cli.Warning(out, line)
	}
}
