package pipeline

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestTranscriptSettle(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		output string
		n      int
		answer string
		err    string // "" for none
		seen   string
	}{
		{name: "first", output: "a\na\n", n: 1, answer: "a", seen: `"a" ×2`},
		{name: "second", output: "a\na\nb\nb\nb\n", n: 2, answer: "b", seen: `"a" ×2, "b" ×3`},
		{name: "third is the first again", output: "a\na\nb\nb\na\na\n", n: 3, answer: "a", seen: `"a" ×2, "b" ×2, "a" ×2`},
		{name: "too many", output: "a\nb\nb\n", n: 1, err: `unexpected answer "b"`, seen: `"a" ×1, "b" ×2`},
		{name: "only once", output: "a\n", n: 1, err: "ended its output: EOF", seen: `"a" ×1`},
		{name: "nothing", output: "", n: 1, err: "ended its output: EOF", seen: "nothing"},
		{name: "empty lines are answers", output: "\n\n", n: 1, answer: "", seen: `"" ×2`},
		{name: "a line without end", output: strings.Repeat("x", maxAnswer+1), n: 1, err: "token too long", seen: "nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			said := record(strings.NewReader(tt.output))
			awaitEnd(said)
			answer, err := said.settle(t.Context(), tt.n)
			if answer != tt.answer || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q, %v; want %q, %s", answer, err, tt.answer, tt.err)
			}
			if got := said.String(); got != tt.seen {
				t.Errorf("seen %s, want %s", got, tt.seen)
			}
		})
	}
}

// awaitEnd waits until the whole output has been read.
func awaitEnd(t *transcript) {
	for {
		t.mu.Lock()
		ended, changed := t.ended, t.changed
		t.mu.Unlock()
		if ended != nil {
			return
		}
		<-changed
	}
}

// TestTranscriptDrains: a program that talks too much is not held up.
func TestTranscriptDrains(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	said := record(r)
	for range 10 * maxChanges {
		if _, err := io.WriteString(w, "a\nb\n"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := said.settle(t.Context(), maxChanges); !errors.Is(err, errTooMuch) {
		t.Errorf("error %v, want %v", err, errTooMuch)
	}
	if n := said.count(); n != maxChanges {
		t.Errorf("%d answers kept, want %d", n, maxChanges)
	}
}

func TestTranscriptGivesUp(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	defer w.Close()
	said := record(r)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	if _, err := said.settle(ctx, 1); !errors.Is(err, cause) {
		t.Errorf("error %v, want %v", err, cause)
	}
}
