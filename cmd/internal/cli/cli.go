// Package cli is what the programs of this module share at their edge: the
// exit codes, the shape of messages, and what a signal does.
//
// A program's main is one call of Main. Its run function returns an error and
// never exits or prints errors itself; Main prints the error once, as one
// "error:" line followed by any "hint:" lines, and exits with the code that the
// first matching rule gives. Results go to stdout; everything else goes to stderr.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// ErrUsage says that the command line is wrong; the exit code is Usage.
var ErrUsage = errors.New("usage")

// A Rule gives the exit code and the hint for one kind of error. An error
// matches if errors.Is finds Err in it or if Match accepts it.
type Rule struct {
	Err   error
	Match func(error) bool
	Code  int
	// Hint is one sentence that says what to do next, "" for none.
	Hint string
}

func (r Rule) matches(err error) bool {
	return r.Err != nil && errors.Is(err, r.Err) || r.Match != nil && r.Match(err)
}

// As is a Match function that accepts what errors.As finds as a T.
func As[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

// Usagef returns an error that wraps ErrUsage and prints as the formatted text alone.
func Usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }
func (e *usageError) Unwrap() error { return ErrUsage }

// Exit returns an error that makes Main exit with the code without printing
// anything: for a command whose results on stdout already say what failed.
func Exit(code int) error { return &exitError{code} }

type exitError struct{ code int }

func (e *exitError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// Main runs the program and exits. The context that run gets is cancelled by
// the first SIGINT or SIGTERM; the exit code is then Interrupted unless run had
// finished all the same. A second signal ends the program at once.
func Main(run func(ctx context.Context, stdout, stderr io.Writer) error, rules []Rule) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Stdout, os.Stderr)
	interrupted := ctx.Err() != nil
	stop()
	os.Exit(report(os.Stderr, err, interrupted, rules))
}

// report prints the error and returns the exit code.
func report(stderr io.Writer, err error, interrupted bool, rules []Rule) int {
	var exit *exitError
	switch {
	case err == nil:
		return Done
	case interrupted:
		Error(stderr, errors.New("interrupted"))
		return Interrupted
	case errors.As(err, &exit):
		return exit.code
	}
	Error(stderr, err)
	code, hint := classify(err, rules)
	if own := hintOf(err); own != "" {
		hint = own
	}
	if hint != "" {
		Hint(stderr, hint)
	}
	return code
}

func classify(err error, rules []Rule) (code int, hint string) {
	for _, r := range rules {
		if r.matches(err) {
			return r.Code, r.Hint
		}
	}
	switch {
	case errors.Is(err, ErrUsage):
		return Usage, ""
	case errors.Is(err, os.ErrPermission):
		return NotPermitted, ""
	}
	return Unexpected, ""
}

// hintOf is the hint that the error itself carries: an error in its chain with
// a method Hint() string.
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// Error prints one "error:" line.
func Error(w io.Writer, err error) { line(w, "error", err.Error()) }

// Hint prints one "hint:" line.
func Hint(w io.Writer, text string) { line(w, "hint", text) }

// Warning prints one "warning:" line.
func Warning(w io.Writer, text string) { line(w, "warning", text) }

// line prints the text as one line and without control characters: names in
// messages come from packages and processes.
func line(w io.Writer, kind, text string) {
	text = strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "; ")
	text = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return '?'
		}
		return r
	}, text)
	fmt.Fprintf(w, "%s: %s\n", kind, text)
}
