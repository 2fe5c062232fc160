package pipeline

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
)

// maxLog bounds the log of one test, in bytes. A failure is explained by what
// came last.
const maxLog = 16 << 10

// A testLog is what happened in one test, line by line: the steps, what the
// injector logs, what the program wrote to standard error.
type testLog struct {
	mu    sync.Mutex
	buf   []byte
	began time.Time
	cut   bool
}

// Write adds to the log; lines that came first give way.
func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, b...)
	if extra := len(l.buf) - maxLog; extra > 0 {
		if i := bytes.IndexByte(l.buf[extra:], '\n'); i >= 0 {
			extra += i + 1
		}
		l.buf, l.cut = append(l.buf[:0], l.buf[extra:]...), true
	}
	return len(b), nil
}

// line adds one line with the time since the test began.
func (l *testLog) line(format string, args ...any) {
	fmt.Fprintf(l, "%8.3f s  %s\n", time.Since(l.began).Seconds(), fmt.Sprintf(format, args...))
}

// logger logs to the log of -v, which may be nil, and to l. The line has the
// time since the test began in place of the clock's.
func (l *testLog) logger(other *slog.Logger) *slog.Logger {
	mine := slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: l.relative})
	if other == nil {
		return slog.New(mine)
	}
	return slog.New(slog.NewMultiHandler(other.Handler(), mine))
}

func (l *testLog) relative(groups []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey && len(groups) == 0 {
		return slog.String("s", fmt.Sprintf("%.3f", time.Since(l.began).Seconds()))
	}
	return a
}

// String is the log as text that any reader takes: valid UTF-8, no control
// characters but line ends and tabs.
func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := plain(string(l.buf))
	if l.cut {
		text = "…\n" + text
	}
	return text
}

// plain replaces what is no text: programs and packages are not ours.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, strings.ToValidUTF8(text, string(unicode.ReplacementChar)))
}
