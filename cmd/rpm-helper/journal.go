package main

import (
	"bytes"
	"context"
	"log/slog"
	"log/syslog"
	"sync"
)

// A journal is a slog.Handler that writes to the system log, one message a
// record, with the record's level as its priority. The connection is made with
// the first record: most calls of the hook have nothing to say.
type journal struct {
	tag string
	// with adds the attributes of Logger.With to the handler of one record.
	with []func(slog.Handler) slog.Handler
	conn *connection
}

type connection struct {
	once sync.Once
	w    *syslog.Writer // nil if there is no system log
}

func newJournal(tag string) *journal { return &journal{tag: tag, conn: new(connection)} }

// Enabled leaves debugging records out.
func (j *journal) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// WithAttrs returns a journal whose messages carry the attributes.
func (j *journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	return j.and(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup returns a journal whose attributes are qualified by the name.
func (j *journal) WithGroup(name string) slog.Handler {
	return j.and(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (j *journal) and(f func(slog.Handler) slog.Handler) slog.Handler {
	c := *j
	c.with = append(append([]func(slog.Handler) slog.Handler(nil), j.with...), f)
	return &c
}

// Handle writes the record. A system without a log is not an error.
func (j *journal) Handle(ctx context.Context, r slog.Record) error {
	w := j.conn.writer(j.tag)
	if w == nil {
		return nil
	}
	var b bytes.Buffer
	var h slog.Handler = slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: plain})
	for _, f := range j.with {
		h = f(h)
	}
	if err := h.Handle(ctx, r); err != nil {
		return err
	}
	switch {
	case r.Level >= slog.LevelError:
		return w.Err(b.String())
	case r.Level >= slog.LevelWarn:
		return w.Warning(b.String())
	}
	return w.Info(b.String())
}

// plain drops what the system log says itself.
func plain(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
		return slog.Attr{}
	}
	return a
}

func (c *connection) writer(tag string) *syslog.Writer {
	c.once.Do(func() {
		if w, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, tag); err == nil {
			c.w = w
		}
	})
	return c.w
}
