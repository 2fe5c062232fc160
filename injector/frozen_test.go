package injector

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/livepatch"
)

// A freezer is one of the two kinds of control group that stop processes.
type freezer struct {
	name, fsType, options string
	// file freezes and thaws a group, by these words; status says that it is
	// frozen.
	file, freeze, thaw, status, frozen string
}

var freezers = []freezer{
	{"version 1", "cgroup", "freezer", "freezer.state", "FROZEN", "THAWED", "freezer.state", "FROZEN\n"},
	{"version 2", "cgroup2", "", "cgroup.freeze", "1", "0", "cgroup.events", "frozen 1\n"},
}

// group makes a control group, in the file system that is mounted, or in one
// that the test mounts for itself.
func (z freezer) group(t *testing.T) string {
	t.Helper()
	root := z.mounted(t)
	if root == "" {
		root = t.TempDir()
		if err := unix.Mount("none", root, z.fsType, 0, z.options); err != nil {
			if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) {
				t.Skipf("the kernel has no %s: %v", z.fsType, err)
			}
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	}
	group, err := os.MkdirTemp(root, "frozen-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = os.WriteFile(filepath.Join(group, z.file), []byte(z.thaw), 0o644)
		for end := time.Now().Add(10 * time.Second); os.Remove(group) != nil && time.Now().Before(end); {
			nanosleep(time.Millisecond) // its process has been killed, and goes
		}
	})
	return group
}

// mounted finds the mount point in mountinfo (proc(5)).
func (z freezer) mounted(t *testing.T) string {
	t.Helper()
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		before, after, _ := strings.Cut(s.Text(), " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if kind[0] == z.fsType && (z.options == "" || strings.Contains(","+kind[2]+",", ","+z.options+",")) {
			return fields[4]
		}
	}
	return ""
}

// set freezes or thaws, and waits until that is so.
func (z freezer) set(t *testing.T, group string, frozen bool) {
	t.Helper()
	word := z.thaw
	if frozen {
		word = z.freeze
	}
	if err := os.WriteFile(filepath.Join(group, z.file), []byte(word), 0o644); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; {
		now, err := os.ReadFile(filepath.Join(group, z.status))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(now), z.frozen) == frozen {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %q", group, now)
		}
	}
}

// TestFrozen: a process in a frozen control group can't execute anything. It is
// let go in time; what needs nothing executed is done all the same; and after
// the thaw it goes on correctly.
func TestFrozen(t *testing.T) {
	f := newFixture(t, "stock")
	set, other := []*livepatch.Container{f.container(t, 2, "answer")}, []*livepatch.Container{f.container(t, 3, "answer")}
	for _, z := range freezers {
		t.Run(z.name, func(t *testing.T) {
			group := z.group(t)
			tg := f.startHard(t, "computing")
			// What is frozen can't be killed.
			t.Cleanup(func() { _ = os.WriteFile(filepath.Join(group, z.file), []byte(z.thaw), 0o644) })
			if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(tg.pid)), 0o644); err != nil {
				t.Fatal(err)
			}
			hasty, in, restoring := New(Options{Timeout: DefaultTimeout}), New(Options{}), New(Options{Restore: true})
			z.set(t, group, true)
			tg.whileFrozen(t, "apply", Busy, func() ([]Result, error) { return hasty.Apply(background(), only(tg.pid), set) })
			z.set(t, group, false)
			tg.says(old)
			rs, err := in.Apply(background(), only(tg.pid), set)
			tg.became(Applied, rs, err)
			tg.says(v2)
			z.set(t, group, true)
			tg.whileFrozen(t, "replace", Busy, func() ([]Result, error) { return hasty.Replace(background(), only(tg.pid), other) })
			tg.whileFrozen(t, "revert", Reverted, func() ([]Result, error) { return in.Revert(background(), only(tg.pid), nil) })
			z.set(t, group, false)
			tg.says(old)
			rs, err = in.Apply(background(), only(tg.pid), set)
			tg.became(Applied, rs, err)
			z.set(t, group, true)
			tg.whileFrozen(t, "restore", Reverted, func() ([]Result, error) { return restoring.Revert(background(), only(tg.pid), nil) })
			z.set(t, group, false)
			tg.says(old)
			rs, err = in.Replace(background(), only(tg.pid), other)
			tg.became(Applied, rs, err)
			tg.says(fmt.Sprint(3030))
			tg.unharmed()
			tg.ends()
		})
	}
}

func (tg *target) whileFrozen(t *testing.T, what string, want Word, do func() ([]Result, error)) {
	t.Helper()
	start := time.Now()
	rs, err := do()
	tg.became(want, rs, err)
	t.Logf("%s: %s %s after %v, held for %v", what, rs[0].Word, rs[0].Reason, time.Since(start), rs[0].Stopped)
	tg.letGoIn(start, 15*time.Second, rs)
}
