package pipeline

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestTestLogKeepsTheEnd(t *testing.T) {
	t.Parallel()
	l := &testLog{began: time.Now()}
	for i := range 3000 {
		fmt.Fprintf(l, "line %d\n", i)
	}
	text := l.String()
	if len(text) > maxLog+10 || len(text) < maxLog/2 || !strings.HasPrefix(text, "…\nline ") || !strings.HasSuffix(text, "\nline 2999\n") {
		t.Errorf("%d bytes: %.40q … %q", len(text), text, text[len(text)-20:])
	}
	fmt.Fprint(l, strings.Repeat("x", 3*maxLog))
	if text := l.String(); len(text) > maxLog+10 {
		t.Errorf("%d bytes of one line", len(text))
	}
}

// TestTestLogLogger: the log of -v gets all of it as well, and what a program
// wrote into a message stays text.
func TestTestLogLogger(t *testing.T) {
	t.Parallel()
	l := &testLog{began: time.Now()}
	var other bytes.Buffer
	l.logger(slog.New(slog.NewTextHandler(&other, nil))).Info("slots switched", "name", "\xff\x1b[31m")
	l.logger(nil).Debug("looked")
	l.line("apply: \xff\x1b[31m\u202e done")
	text := l.String()
	for _, want := range []string{"slots switched", "looked", " s  apply: "} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	if !utf8.ValidString(text) || strings.ContainsAny(text, "\x1b\u202e") || strings.Contains(text, "time=") {
		t.Errorf("%q", text)
	}
	if !strings.Contains(other.String(), "slots switched") {
		t.Errorf("-v got %q", other.String())
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	r := Report{Rows: []Row{
		{Patch: "a", Result: Passed, Group: "A"}, {Patch: "a", Result: Passed, Group: "A"},
		{Patch: "a", Result: Failed, Group: "B"}, {Patch: "a", Result: NotConcerned},
		{Patch: "b", Result: Skipped},
	}}
	var got []string
	for _, s := range r.Summary() {
		got = append(got, s.String())
	}
	want := "a: 4 builds, 2 groups: 2 passed, 1 not concerned, 1 failed\nb: 1 build: 1 skipped"
	if strings.Join(got, "\n") != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSumUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		rounds       []Round
		most, median int64
	}{
		{nil, 0, 0},
		{[]Round{{5, 0}}, 5, 5}, // the revert was not reached
		{[]Round{{30, 10}, {20, 40}, {50, 1000}}, 1000, 30},
	}
	for _, tt := range tests {
		r := Row{Rounds: tt.rounds}
		if r.sumUp(); r.StoppedMicroseconds != tt.most || r.StoppedMedianMicroseconds != tt.median {
			t.Errorf("%v: %d, median %d", tt.rounds, r.StoppedMicroseconds, r.StoppedMedianMicroseconds)
		}
	}
}
