package injector

import (
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// tells sends a command of two bytes and checks the answer.
func (tg *target) tells(command, want string) {
	tg.t.Helper()
	if _, err := tg.stdin.Write([]byte(command)); err != nil {
		tg.t.Fatalf("pid %d: %v (%v)", tg.pid, err, tg.cmd.Wait())
	}
	if line, ok := <-tg.lines; !ok || !strings.HasSuffix(line, " "+want) {
		tg.t.Fatalf("pid %d says %q to %s, want %s", tg.pid, line, command, want)
	}
}

// TestThreadsInside: a thread that is in a function when that is patched or
// reverted goes on in the code that it is in, and returns from it; whoever
// calls anew gets what is in force.
func TestThreadsInside(t *testing.T) {
	for _, entry := range []string{"stock", "padded endbr"} {
		t.Run(entry, func(t *testing.T) {
			f := fixtureFrom(t, "testdata/inside.c", entryFlags[entry], "echo")
			two := []*livepatch.Container{f.containerFrom(t, "testdata/inside_patch.c", 2, "echo")}
			three := []*livepatch.Container{f.containerFrom(t, "testdata/inside_patch.c", 3, "echo")}
			tg := f.startProgram(t, "testdata/inside_program.c")
			in := New(Options{})
			tg.tells("e0", "1")
			rs, err := in.Apply(background(), only(tg.pid), two)
			result(t, Applied, rs, err)
			tg.tells("e1", "2")
			rs, err = in.Replace(background(), only(tg.pid), three)
			result(t, Replaced, rs, err)
			tg.tells("e2", "3")
			rs, err = in.Revert(background(), only(tg.pid), nil)
			result(t, Reverted, rs, err)
			tg.tells("e3", "1")
			rs, err = in.Apply(background(), only(tg.pid), two)
			result(t, Applied, rs, err)
			tg.tells("e4", "2")
			for thread, code := range map[string]string{"0": "1", "1": "2", "2": "3", "3": "1", "4": "2"} {
				tg.tells("x"+thread, code)
				tg.tells("q"+thread, code)
			}
			tg.unharmed()
			tg.ends()
		})
	}
}
