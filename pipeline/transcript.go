package pipeline

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
)

// Bounds on what a test program may say.
const (
	maxAnswer  = 4096            // bytes in one line
	maxChanges = 2*MaxRounds + 2 // changes of its answer
)

var errTooMuch = fmt.Errorf("the answer changed more than %d times", maxChanges)

// A transcript is everything that a test program has answered: runs of equal
// lines. It is read all the time, so that the program never waits for us.
type transcript struct {
	mu      sync.Mutex
	answers []answer
	ended   error         // io.EOF or what else ended it; nil while it grows
	changed chan struct{} // closed and replaced whenever something is added
}

// An answer is one run of equal lines.
type answer struct {
	text  string
	lines int
}

// record reads lines until the program closes its output.
func record(r io.Reader) *transcript {
	t := &transcript{changed: make(chan struct{})}
	go func() {
		scanner := bufio.NewScanner(r)
		scanner.Buffer(nil, maxAnswer)
		for scanner.Scan() {
			if !t.add(scanner.Text()) {
				t.end(errTooMuch)
				break
			}
		}
		t.end(errors.Join(scanner.Err(), io.EOF))
		io.Copy(io.Discard, r) //nolint:errcheck // only so that the program is not held up
	}()
	return t
}

func (t *transcript) add(line string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.answers); n > 0 && t.answers[n-1].text == line {
		t.answers[n-1].lines++
	} else if n == maxChanges {
		return false
	} else {
		t.answers = append(t.answers, answer{line, 1})
	}
	t.wake()
	return true
}

func (t *transcript) end(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended == nil {
		t.ended = err
		t.wake()
	}
}

// wake tells those who wait. Precondition: mu is held.
func (t *transcript) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// settle waits until the program has given the n-th answer, counting from 1,
// at least twice: twice, because a program that answers once and ends would
// prove nothing. It fails as soon as there are more than n answers.
func (t *transcript) settle(ctx context.Context, n int) (string, error) {
	for {
		text, changed, err := t.look(n)
		if changed == nil {
			return text, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("no new answer: %w", context.Cause(ctx))
		}
	}
}

// look is settle's answer if there is one by now, else the channel that is
// closed when to look again.
func (t *transcript) look(n int) (string, <-chan struct{}, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case len(t.answers) > n:
		return "", nil, fmt.Errorf("unexpected answer %q", t.answers[n].text)
	case len(t.answers) == n && t.answers[n-1].lines >= 2:
		return t.answers[n-1].text, nil, nil
	case t.ended != nil:
		return "", nil, fmt.Errorf("the program ended its output: %w", t.ended)
	}
	return "", t.changed, nil
}

// maxShown bounds String, in answers: the newest.
const maxShown = 7

// String is the transcript in short: "plain" ×12, "patched" ×3.
func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.answers) == 0 {
		return "nothing"
	}
	var parts []string
	shown := t.answers
	if more := len(shown) - maxShown; more > 0 {
		parts, shown = append(parts, fmt.Sprintf("%d answers", more)), shown[more:]
	}
	for _, a := range shown {
		parts = append(parts, fmt.Sprintf("%q ×%d", a.text, a.lines))
	}
	return strings.Join(parts, ", ")
}

// count is the number of different answers in a row so far.
func (t *transcript) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.answers)
}
