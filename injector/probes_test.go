package injector

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/livepatch"
)

// uprobe sets a probe on an offset of a file, in all processes that map it, and
// gives what to close to remove it (perf_event_open(2), PMU "uprobe").
func uprobe(t *testing.T, file string, offset uint64) int {
	t.Helper()
	text, err := os.ReadFile("/sys/bus/event_source/devices/uprobe/type")
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("the kernel has no uprobes: %v", err)
	}
	kind, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	name, err := unix.BytePtrFromString(file)
	if err != nil {
		t.Fatal(err)
	}
	attr := unix.PerfEventAttr{
		Type: uint32(kind), Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		Ext1: uint64(uintptr(unsafe.Pointer(name))), Ext2: offset,
	}
	fd, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	runtime.KeepAlive(name)
	if err != nil {
		t.Fatalf("uprobe on %s+%#x: %v", file, offset, err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// TestUprobeOnTheEntry: a function with a probe on its entry is not patched,
// and the reason says so; without the probe it is.
func TestUprobeOnTheEntry(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.startHard(t, "plain")
	fn, err := f.build.Function("answer")
	if err != nil {
		t.Fatal(err)
	}
	fd := uprobe(t, f.library, fn.Address)
	in := New(Options{})
	rs, err := in.Apply(background(), only(tg.pid), set)
	if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, "uprobe") {
		t.Errorf("reason %q", r.Reason)
	}
	tg.says(old)
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
	tg.backAndForth(set, 2)
	tg.unharmed()
	tg.ends()
}

// TestUprobeOnAPatchedEntry: a probe that is set later harms nothing where the
// function begins with endbr64, which no detour covers. Elsewhere the kernel
// executes what the file has in place of the jump: nothing is changed there as
// long as the probe is set, and docs/injector-syscalls.md warns of it.
func TestUprobeOnAPatchedEntry(t *testing.T) {
	for entry, harmless := range map[string]bool{"stock endbr": true, "padded endbr": true, "stock": false, "padded": false} {
		t.Run(entry, func(t *testing.T) {
			f := newFixture(t, entry)
			set := []*livepatch.Container{f.container(t, 2, "answer")}
			tg := f.startHard(t, "plain")
			in := New(Options{})
			rs, err := in.Apply(background(), only(tg.pid), set)
			tg.became(Applied, rs, err)
			fn, err := f.build.Function("answer")
			if err != nil {
				t.Fatal(err)
			}
			fd := uprobe(t, f.library, fn.Address)
			rs, err = in.Revert(background(), only(tg.pid), nil)
			if !harmless {
				if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, "uprobe") {
					t.Errorf("reason %q", r.Reason)
				}
				return // it would be harmed when the probe is removed
			}
			tg.became(Reverted, rs, err)
			tg.says(old)
			if err := unix.Close(fd); err != nil {
				t.Fatal(err)
			}
			tg.says(old)
			tg.backAndForth(set, 2)
			tg.unharmed()
			tg.ends()
		})
	}
}
