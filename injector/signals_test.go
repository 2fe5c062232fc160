package injector

import (
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// TestNoSignalIsLost: a process gets thousands of signals a second during a
// thousand operations. Each succeeds, and each signal arrives once, in turn.
func TestNoSignalIsLost(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	for _, mode := range []string{"sleep", "work"} {
		t.Run(mode, func(t *testing.T) {
			tg := f.startCase(t, "signals.c", mode)
			tg.backAndForth(set, rounds(250, 5000)) // two operations each
			came, due := tg.statistics()
			if came != due || came == 0 {
				t.Errorf("%d signals of %d came", came, due)
			}
			t.Logf("%d signals", came)
			tg.unharmed()
			tg.ends()
		})
	}
}
