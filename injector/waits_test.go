package injector

import (
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// TestWaitAfterConstructorThatWaits: a thread whose constructor is given up on in a
// wait with a timeout goes on with its own wait, not with the constructor's.
func TestWaitAfterConstructorThatWaits(t *testing.T) {
	f := newFixture(t, "stock")
	tg := f.startProgram(t, "testdata/waits.c", "64")
	c := packed(t, f.library, `
#include <time.h>
__attribute__((constructor)) static void f(void)
{
	struct timespec long_time = { 1000, 0 };
	nanosleep(&long_time, 0);
}
int answer_lp(void) { return 2; }`, "answer:answer_lp")
	rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{c})
	if r := result(t, Failed, rs, err); !strings.Contains(r.Reason, "did not return in time") {
		t.Errorf("reason %q", r.Reason)
	}
	tg.says(old)
	tg.unharmed()
	tg.ends()
}

// TestThreadIn32BitSystemCall: a thread of 64-bit code that waits in a system call
// of the 32-bit kind is not borrowed there: the call by which its wait goes on has
// another number. It may be just before it.
func TestThreadIn32BitSystemCall(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.startProgram(t, "testdata/waits.c", "32")
	rs, err := New(Options{}).Apply(background(), only(tg.pid), set)
	if err != nil || len(rs) != 1 {
		t.Fatal(rs, err)
	}
	want, ok := map[Word]string{Busy: old, Applied: v2}[rs[0].Word]
	if !ok {
		t.Fatalf("%s %s", rs[0].Word, rs[0].Reason)
	}
	tg.says(want)
	tg.unharmed()
	tg.ends()
}
