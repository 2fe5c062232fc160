package pipeline

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lpbuild/lpbuild/injector"
	"github.com/lpbuild/lpbuild/livepatch"
)

// TestBusyProcessIsTriedAgain: until it is free, but not for ever, and nothing
// else is tried again.
func TestBusyProcessIsTriedAgain(t *testing.T) {
	for _, tt := range []struct {
		words []injector.Word
		err   string
		tries int
	}{
		{words: []injector.Word{injector.Busy, injector.Busy, injector.Applied}, tries: 3},
		{words: []injector.Word{injector.Busy}, err: "pid 7: BUSY thread 8 instead of APPLIED", tries: busyTries},
		{words: []injector.Word{injector.Blocked}, err: "pid 7: BLOCKED", tries: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			tr := &trial{testJob: &testJob{log: &testLog{began: time.Now()}}, program: &program{pid: 7}}
			tries := 0
			do := func(context.Context, injector.Selection, []*livepatch.Container) ([]injector.Result, error) {
				word := tt.words[min(tries, len(tt.words)-1)]
				tries++
				return []injector.Result{{PID: 7, Word: word, Reason: "thread 8"}}, nil
			}
			_, err := tr.untilFree(t.Context(), do, injector.Applied)
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) || tries != tt.tries {
				t.Errorf("%v: %v after %d tries, want %q after %d", tt.words, err, tries, tt.err, tt.tries)
			}
		})
	}
}
