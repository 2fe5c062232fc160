package injector

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// namespaces starts testdata/namespaces.c with the fixture's library.
func (f *fixture) namespaces(t *testing.T, env ...string) *target {
	t.Helper()
	program := filepath.Join(f.dir, "namespaces")
	gcc(t, "-O2", "-o", program, "testdata/namespaces.c")
	cmd := exec.Command(program, f.library)
	cmd.Env = append(os.Environ(), env...)
	return startTarget(t, cmd)
}

// does has the program do what a byte stands for and checks what it says then.
func (tg *target) does(command byte, want string) {
	tg.t.Helper()
	if _, err := tg.stdin.Write([]byte{command}); err != nil {
		tg.t.Fatalf("pid %d: %v (%v)", tg.pid, err, tg.cmd.Wait())
	}
	if line, ok := <-tg.lines; !ok || !strings.HasSuffix(line, " "+want) {
		tg.t.Fatalf("pid %d says %q to %c, want %s", tg.pid, line, command, want)
	}
}

// TestNamespaces: every copy of a library is patched, in whichever namespace
// (dlmopen) it is, also one that is loaded later; and all are reverted.
func TestNamespaces(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.containerFrom(t, "testdata/importing.c", 2, "answer")}
	tg := f.namespaces(t)
	in := New(Options{})
	tg.does('n', "1,2")
	rs, err := in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	tg.does('x', "21,22")
	rs, err = in.Apply(background(), only(tg.pid), set)
	result(t, Already, rs, err)
	tg.does('n', "21,22,3")
	rs, err = in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	tg.does('x', "21,22,23")
	rs, err = in.Revert(background(), only(tg.pid), nil)
	result(t, Reverted, rs, err)
	tg.does('x', "1,2,3")
	tg.does('c', "1,2")
	rs, err = in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	tg.does('x', "21,22")
	tg.does('c', "21")
	rs, err = in.Revert(background(), only(tg.pid), nil)
	result(t, Reverted, rs, err)
	tg.does('x', "1")
	tg.unharmed()
	tg.ends()
}

// TestNamespaceOfItsOwnScope: in another namespace than the base one the first
// library that was loaded there is the global scope.
func TestNamespaceOfItsOwnScope(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.containerFrom(t, "testdata/importing.c", 2, "answer")}
	first := library(t, "libfirst.so.1", "int offset(void) { return 500; }")
	tg := f.namespaces(t, "INTERPOSE="+first)
	in := New(Options{})
	tg.does('n', "1,2")
	rs, err := in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	tg.does('x', "21,522")
	rs, err = in.Revert(background(), only(tg.pid), nil)
	result(t, Reverted, rs, err)
	tg.does('x', "1,2")
	tg.ends()
}

// TestNamespacesOfOlderGlibc: before 2.35 struct r_debug knows of the base
// namespace alone, and says so by its version.
func TestNamespacesOfOlderGlibc(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.containerFrom(t, "testdata/importing.c", 2, "answer")}
	tg := f.namespaces(t)
	tg.does('n', "1,2")
	tg.does('n', "1,2,3")
	p := hold(t, tg.pid)
	loaded(t, testInjector(t), p)
	if err := p.writeAt([]byte{1, 0, 0, 0}, p.links.debug); err != nil {
		t.Fatal(err)
	}
	in := New(Options{})
	rs, err := in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	tg.does('x', "21,22,23")
	rs, err = in.Revert(background(), only(tg.pid), nil)
	result(t, Reverted, rs, err)
	tg.does('x', "1,2,3")
	tg.ends()
}

// TestEmptiedNamespaces: namespaces of which everything was closed again are
// no obstacle, nor is one more.
func TestEmptiedNamespaces(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.namespaces(t)
	in := New(Options{})
	for range 3 {
		tg.does('n', "1,2")
		tg.does('n', "1,2,3")
		tg.does('c', "1,2")
		tg.does('c', "1")
		rs, err := in.Apply(background(), only(tg.pid), set)
		result(t, Applied, rs, err)
		tg.does('n', "2,2")
		rs, err = in.Apply(background(), only(tg.pid), set)
		result(t, Applied, rs, err)
		tg.does('x', "2,2")
		rs, err = in.Revert(background(), only(tg.pid), nil)
		result(t, Reverted, rs, err)
		tg.does('c', "1")
	}
	tg.ends()
}

// TestForgedNamespaces: whatever a process makes of its lists, following them
// ends, in a reason.
func TestForgedNamespaces(t *testing.T) {
	const version, mapOffset, state, next = 0, 8, 24, 40
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	for _, tt := range []struct {
		name  string
		forge func(base, second, head uint64) (at, value uint64)
		word  Word
	}{
		{"cycle", func(base, second, _ uint64) (uint64, uint64) { return second + next, base }, Blocked},
		{"wild chain", func(base, _, _ uint64) (uint64, uint64) { return base + next, 0x10 }, Blocked},
		{"wild list", func(_, second, _ uint64) (uint64, uint64) { return second + mapOffset, 0x10 }, Blocked},
		{"list of the base", func(_, second, head uint64) (uint64, uint64) { return second + mapOffset, head }, Blocked},
		{"being changed", func(_, second, _ uint64) (uint64, uint64) { return second + state, 1 }, Busy},
		{"no chain", func(_, second, _ uint64) (uint64, uint64) { return second + version, 1 }, Applied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tg := f.namespaces(t)
			tg.does('n', "1,2")
			p := hold(t, tg.pid)
			loaded(t, testInjector(t), p)
			second, err := p.nextDebug(p.links.debug)
			if err != nil {
				t.Fatal(err)
			}
			if second == 0 {
				t.Skip("this glibc has no chain of namespaces (2.35)")
			}
			at, value := tt.forge(p.links.debug, second, p.links.head)
			if err := p.writeAt(leBytes(value), at); err != nil {
				t.Fatal(err)
			}
			rs, err := New(Options{}).Apply(background(), only(tg.pid), set)
			result(t, tt.word, rs, err)
			want := "1,2"
			if tt.word == Applied {
				want = "2,2"
			}
			tg.does('x', want)
			tg.unharmed()
		})
	}
}
