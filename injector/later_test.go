package injector

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// later starts testdata/later.c with libraries that it may open.
func later(t *testing.T, libraries ...string) *target {
	t.Helper()
	return startTarget(t, exec.Command(laterProgram(t), libraries...))
}

func laterProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "later")
	gcc(t, "-O2", "-o", program, "testdata/later.c")
	return program
}

// lies tells where the library with a number lies.
func (tg *target) lies(number string) string {
	tg.t.Helper()
	if _, err := tg.stdin.Write([]byte("l" + number)); err != nil {
		tg.t.Fatal(err)
	}
	_, at, _ := strings.Cut(<-tg.lines, " ")
	return at
}

// TestLibraryLoadedLater: what is not loaded is nothing to patch, once it is
// loaded it is; and so is a copy of it in another file.
func TestLibraryLoadedLater(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer", "peek")}
	copied := filepath.Join(t.TempDir(), "copy.so")
	run(t, "cp", f.library, copied)
	tg := later(t, f.library, copied)
	in := New(Options{})
	rs, err := in.Apply(background(), only(tg.pid), set)
	result(t, NotLoaded, rs, err)
	tg.tells("o1", "0")
	rs, err = in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	tg.tells("a1", "2,42")
	tg.tells("o2", "0")
	tg.tells("a2", "1,40")
	rs, err = in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	tg.tells("a1", "2,42")
	tg.tells("a2", "2,42")
	rs, err = in.Revert(background(), only(tg.pid), nil)
	result(t, Reverted, rs, err)
	tg.tells("a1", "1,40")
	tg.tells("a2", "1,40")
	tg.unharmed()
	tg.ends()
}

// TestStrangerInPlaceOfLibrary: another library that lies where a patched one
// lay is not touched, and the patched one, back elsewhere or there, is patched anew.
func TestStrangerInPlaceOfLibrary(t *testing.T) {
	f, stranger := newFixture(t, "stock"), newFixture(t, "stock endbr")
	set := []*livepatch.Container{f.container(t, 2, "answer", "peek")}
	tg := later(t, f.library, stranger.library)
	in := New(Options{})
	for range 3 {
		tg.tells("o1", "0")
		rs, err := in.Apply(background(), only(tg.pid), set)
		result(t, Applied, rs, err)
		tg.tells("a1", "2,42")
		at := tg.lies("1")
		tg.tells("c1", "0")
		tg.tells("o2", "0")
		if now := tg.lies("2"); now != at {
			t.Fatalf("the stranger lies at %s, not in the library's place %s", now, at)
		}
		tg.tells("a2", "1,40")
		rs, err = in.Status(background(), only(tg.pid))
		result(t, NotApplied, rs, err)
		rs, err = in.Revert(background(), only(tg.pid), nil)
		result(t, NotApplied, rs, err)
		tg.tells("a2", "1,40")
		tg.tells("o1", "0")
		rs, err = in.Apply(background(), only(tg.pid), set)
		result(t, Applied, rs, err)
		tg.tells("a1", "2,42")
		tg.tells("a2", "1,40")
		rs, err = in.Revert(background(), only(tg.pid), nil)
		result(t, Reverted, rs, err)
		tg.tells("a1", "1,40")
		tg.tells("c1", "0")
		tg.tells("c2", "0")
	}
	tg.unharmed()
	tg.ends()
}

// TestReloadedThreadLocals: a library that is loaded again where it lay has
// its thread-local variables in another module when another library has taken
// its number meanwhile.
func TestReloadedThreadLocals(t *testing.T) {
	f := fixtureFrom(t, "testdata/thread_local.c", []string{"-fcf-protection=none"}, "answer", "peek", "secret")
	set := []*livepatch.Container{f.containerFrom(t, "testdata/thread_local_patch.c", 2, "answer", "peek")}
	big := library(t, "libbig.so.1", `
static __thread volatile long taken[8] = { 7777, 7777, 7777, 7777, 7777, 7777, 7777, 7777 };
static volatile char room[1 << 20];
int answer(void) { return taken[3] + room[5]; }`)
	tg := later(t, f.library, big)
	in := New(Options{})
	tg.tells("o1", "0")
	at := tg.lies("1")
	rs, err := in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	tg.tells("a1", "2,42")
	tg.tells("c1", "0")
	tg.tells("o2", "0")
	tg.tells("a2", "7777,0")
	tg.tells("o1", "0")
	if now := tg.lies("1"); now != at {
		t.Fatalf("it lies at %s, not in its old place %s", now, at)
	}
	tg.tells("a1", "1,40")
	rs, err = in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	tg.tells("a1", "2,42")
	rs, err = in.Revert(background(), only(tg.pid), nil)
	result(t, Reverted, rs, err)
	tg.tells("a1", "1,40")
	tg.unharmed()
	tg.ends()
}

// TestLibraryThatCanBeClosed: a live patch is not bound to a library that may
// be closed while it is in force.
func TestLibraryThatCanBeClosed(t *testing.T) {
	f := newFixture(t, "stock")
	f.links = []string{library(t, "libfirst.so.1", "int offset(void) { return 500; }")}
	set := []*livepatch.Container{f.containerFrom(t, "testdata/needing.c", 2, "answer")}
	tg := later(t, f.library, f.links[0])
	tg.tells("o1", "0")
	tg.tells("o2", "0")
	in := New(Options{})
	rs, err := in.Apply(background(), only(tg.pid), set)
	if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, "needs libfirst.so.1") {
		t.Errorf("reason %q", r.Reason)
	}
	tg.tells("c2", "0")
	tg.tells("a1", "1,40")
	rs, err = in.Apply(background(), only(tg.pid), set)
	if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, "not loaded") {
		t.Errorf("reason %q", r.Reason)
	}
	tg.tells("a1", "1,40")
	tg.ends()
}
