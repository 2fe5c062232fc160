package ulp

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// A terminal is where a command writes: results to out, messages to err.
type terminal struct {
	out, err              io.Writer
	color, quiet, verbose bool
}

// Colors of libpulp: the attributes of an ANSI escape.
const (
	green  = "32;1"
	yellow = "33;1"
	red    = "31;1"
)

// wantsColor decides about --color=choice.
func wantsColor(choice string, stdout io.Writer) bool {
	switch choice {
	case "no", "n":
		return false
	case "", "auto":
		f, ok := stdout.(*os.File)
		name, set := os.LookupEnv("TERM")
		_, no := os.LookupEnv("NO_COLOR")
		return ok && set && name != "dumb" && !no && term.IsTerminal(int(f.Fd()))
	}
	return true
}

// paint colors a word.
func (t *terminal) paint(color, word string) string {
	if !t.color {
		return word
	}
	return "\x1b[" + color + "m" + word + "\x1b[0m"
}

// print writes a result. What can't be written is nobody's to hear.
func (t *terminal) print(format string, args ...any) { _, _ = fmt.Fprintf(t.out, format, args...) }

// warn writes a message: "[YYYY-MM-DD HH:MM:SS] ulp: message".
func (t *terminal) warn(format string, args ...any) {
	if !t.quiet {
		t.message(format, args...)
	}
}

// debug writes a message if -v was given.
func (t *terminal) debug(format string, args ...any) {
	if t.verbose {
		t.message(format, args...)
	}
}

func (t *terminal) message(format string, args ...any) {
	_, _ = fmt.Fprintf(t.err, "[%s] ulp: %s\n", time.Now().Format(time.DateTime), printable(fmt.Sprintf(format, args...)))
}

// printable replaces what a terminal would obey.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return '?'
	}, s)
}

// usage says what is wrong with the command line, as argp(3) does.
func (t *terminal) usage(e *usageError) {
	_, _ = fmt.Fprintf(t.err, "ulp: %s\nTry `ulp --help' or `ulp --usage' for more information.\n", e.text)
}

// errnoText is an error as strerror(3) has it, if it is one of the system's.
func errnoText(err error) string {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	text := errno.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}
