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

// TestRegistersSurvive: threads whose every register is known, x87 and vector
// registers, flags and red zone too, find them as they left them.
func TestRegistersSurvive(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	for _, mode := range []string{"alone", "beside"} {
		t.Run(mode, func(t *testing.T) {
			tg := f.startCase(t, "computing.c", mode)
			tg.backAndForth(set, rounds(250, 2500)) // two operations each
			computed, copied := tg.statistics()
			if computed == 0 || copied == 0 && mode == "beside" {
				t.Error("nothing was computed")
			}
			t.Logf("computed %d times, copied %d times", computed, copied)
			tg.unharmed()
			tg.ends()
		})
	}
}
