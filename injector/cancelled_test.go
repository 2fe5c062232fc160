package injector

import (
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// A replacement that calls a cancellation point is refused where a thread may be
// cancelled in it, and applied where nobody cancels threads.
func TestCancellationBelowReplacements(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.containerFrom(t, "testdata/waiting_patch.c", 2, "answer")}
	tg := f.startProgram(t, "testdata/cancelled.c")
	tg.does('x', "1,2,cancelled")
	rs, err := New(Options{}).Apply(background(), only(tg.pid), set)
	if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, "read") || !strings.Contains(r.Reason, "cancel") {
		t.Errorf("reason %q", r.Reason)
	}
	tg.does('x', "1,2,cancelled")
	tg.ends()

	calm := f.startHard(t, "plain")
	rs, err = New(Options{}).Apply(background(), only(calm.pid), set)
	result(t, Applied, rs, err)
	calm.says(v2)
	calm.ends()
}
