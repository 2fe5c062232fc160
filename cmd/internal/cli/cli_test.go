package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

type hinted struct{}

func (hinted) Error() string { return "hinted" }
func (hinted) Hint() string  { return "its own" }

func TestReport(t *testing.T) {
	t.Parallel()
	rules := []Rule{
		{Err: io.ErrUnexpectedEOF, Code: BadSignature, Hint: "fetch it again"},
		{Match: As[*os.SyscallError], Code: TargetGone},
		{Match: As[hinted], Code: NotFound, Hint: "the rule's"},
	}
	tests := []struct {
		name        string
		err         error
		interrupted bool
		code        int
		output      string
	}{
		{name: "no error", code: 0},
		{name: "finished although interrupted", interrupted: true, code: 0},
		{name: "unknown", err: errors.New("odd"), code: 1, output: "error: odd\n"},
		{name: "usage", err: fmt.Errorf("lpbuild: %w", Usagef("unknown flag -x")), code: 2, output: "error: lpbuild: unknown flag -x\n"},
		{name: "sentinel with hint", err: fmt.Errorf("a.rpm: %w", io.ErrUnexpectedEOF), code: 15,
			output: "error: a.rpm: unexpected EOF\nhint: fetch it again\n"},
		{name: "by type", err: fmt.Errorf("pid 7: %w", os.NewSyscallError("ptrace", errors.New("no"))), code: 14,
			output: "error: pid 7: ptrace: no\n"},
		{name: "the error's own hint wins", err: fmt.Errorf("x: %w", hinted{}), code: 10, output: "error: x: hinted\nhint: its own\n"},
		{name: "permission", err: &os.PathError{Op: "open", Path: "f", Err: os.ErrPermission}, code: 13,
			output: "error: open f: permission denied\n"},
		{name: "interrupted", err: io.ErrUnexpectedEOF, interrupted: true, code: 130, output: "error: interrupted\n"},
		{name: "already told", err: Exit(3), code: 3},
		{name: "one line, no escape sequences", err: errors.New("a;b\x1b[2J\nsecond\n"), code: 1, output: "error: a;b?[2J; second\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stderr bytes.Buffer
			if code := report(&stderr, tt.err, tt.interrupted, rules); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if got := stderr.String(); got != tt.output {
				t.Errorf("stderr %q, want %q", got, tt.output)
			}
		})
	}
}

func TestCodesAscend(t *testing.T) {
	t.Parallel()
	last := -1
	for _, c := range Codes {
		if c.Code <= last || c.Meaning == "" {
			t.Errorf("code %d %q after %d", c.Code, c.Meaning, last)
		}
		last = c.Code
	}
	if rows := strings.Count(Table(""), "\n"); rows != len(Codes) {
		t.Errorf("the table has %d rows for %d codes", rows, len(Codes))
	}
}
