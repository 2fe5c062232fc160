package injector

import (
	"fmt"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// TestHandlerThatInterruptedTheFirstBytes: a thread is in a signal handler that
// will return into bytes that change. It goes on correctly nevertheless.
func TestHandlerThatInterruptedTheFirstBytes(t *testing.T) {
	for _, entry := range []string{"stock", "stock endbr", "padded", "padded endbr"} {
		f := newFixture(t, entry)
		set := []*livepatch.Container{f.container(t, 2, "branchy")}
		inside := 0
		for _, mode := range []string{"plain", "stack", "nested"} {
			for step := 1; step <= 3; step++ {
				t.Run(fmt.Sprint(entry, " ", mode, " ", step), func(t *testing.T) {
					tg := f.startCase(t, "handlers.c", mode, fmt.Sprint(step))
					var offset int
					if _, err := fmt.Sscanf(<-tg.lines, "inside %d", &offset); err != nil {
						t.Fatal(err)
					}
					fn, err := f.build.Function("branchy")
					if err != nil {
						t.Fatal(err)
					}
					interrupted := "-1"
					switch {
					case offset <= fn.Entry.Offset: // what it goes on with is the jump
						interrupted = "-2"
					case offset < fn.Entry.Offset+fn.Entry.Length:
						inside++
					}
					rs, err := New(Options{}).Apply(background(), only(tg.pid), set)
					tg.became(Applied, rs, err)
					tg.goesOn(interrupted)
					tg.goesOn("-2")
					rs, err = New(Options{Restore: true}).Revert(background(), only(tg.pid), nil)
					tg.became(Reverted, rs, err)
					tg.goesOn("-1")
					tg.unharmed()
					tg.ends()
				})
			}
		}
		if inside == 0 {
			t.Errorf("%s: no handler interrupted the bytes that change", entry)
		}
	}
}

// goesOn writes a byte, and wants to hear a line.
func (tg *target) goesOn(want string) {
	tg.t.Helper()
	if _, err := tg.stdin.Write([]byte("x")); err != nil {
		tg.t.Fatal(err)
	}
	if line := <-tg.lines; line != want {
		tg.t.Fatalf("pid %d says %q, want %q", tg.pid, line, want)
	}
}

// TestRestartableSequences: a thread is not borrowed inside of one, which would
// go on afterwards although the kernel has forgotten it.
func TestRestartableSequences(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.startCase(t, "rseq.c")
	tg.backAndForth(set, rounds(100, 5000))
	ended, aborted := tg.statistics()
	if ended == 0 || aborted == 0 {
		t.Errorf("%d sequences ended, %d were aborted", ended, aborted)
	}
	t.Logf("%d sequences ended, %d were aborted", ended, aborted)
	tg.unharmed()
	tg.ends()
}
