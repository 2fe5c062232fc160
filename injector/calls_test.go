package injector

import (
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// What testdata/callee_program.c says while the functions are as shipped, while
// all are replaced, and while only half of those that call each other are.
const (
	callsOld   = "36,5.5,770,0.75,1.5,7,100,105,720,-1,1,11,5"
	callsAll   = "72,11,1540,1.5,3,14,200,210,1440,-2,2,24,10"
	callsMixed = "72,5.5,1540,0.75,1.5,7,100,105,720,-1,1,12,5"
)

// TestCallsThroughDetours: arguments in registers and on the stack, results of
// every class, recursion, tail calls and pointers taken before all pass a detour.
func TestCallsThroughDetours(t *testing.T) {
	all := []string{"sum", "average", "mixed", "extended", "make_pair", "make_big", "factorial", "even", "odd",
		"tail", "tail_called", "pick"}
	for _, entry := range []string{"stock", "stock endbr", "padded endbr"} {
		t.Run(entry, func(t *testing.T) {
			f := fixtureFrom(t, "testdata/callee.c", entryFlags[entry], all...)
			set := []*livepatch.Container{f.containerFrom(t, "testdata/callee.c", 2, all...)}
			half := []*livepatch.Container{f.containerFrom(t, "testdata/callee.c", 2, "sum", "mixed", "tail")}
			tg := f.startProgram(t, "testdata/callee_program.c")
			in := New(Options{})
			tg.does('x', callsOld)
			rs, err := in.Apply(background(), only(tg.pid), set)
			result(t, Applied, rs, err)
			tg.does('x', callsAll)
			rs, err = in.Revert(background(), only(tg.pid), nil)
			result(t, Reverted, rs, err)
			tg.does('x', callsOld)
			rs, err = in.Apply(background(), only(tg.pid), half)
			result(t, Applied, rs, err)
			tg.does('x', callsMixed)
			rs, err = in.Revert(background(), only(tg.pid), nil)
			result(t, Reverted, rs, err)
			tg.does('x', callsOld)
			tg.unharmed()
			tg.ends()
		})
	}
}
