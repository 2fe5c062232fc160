package injector

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/livepatch"
)

// TestSeccompFilters: a filter is asked before a system call is made on behalf
// of the process. Without that, those that end it would have ended it here, and
// those that refuse would have been found out by trying.
func TestSeccompFilters(t *testing.T) {
	f := newFixture(t, "stock")
	program := f.compileCase(t, "filtered.c")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	for _, c := range []struct{ name, reason string }{
		{"list", ""},
		{"logged", ""},
		{"no-executable-mprotect", ""},
		{"no-write-execute", ""},
		{"mmap-from-program", ""},
		{"main-only", ""},
		{"other-only", ""},
		{"main-strict", ""},
		{"waiting", ""},
		{"no-mmap", "its seccomp filter answers mmap with EPERM"},
		{"no-executable-mmap", "its seccomp filter answers mmap by ending the process"},
		{"traps", "its seccomp filter answers mmap with SIGSYS"},
		{"asks-tracer", "its seccomp filter answers mmap by asking its tracer"},
		{"asks-process", "its seccomp filter answers mmap by asking another process"},
		{"stacked", "its seccomp filter answers mmap with EPERM"},
		{"stacked-under", "its seccomp filter answers mmap with EPERM"},
		{"mmap-from-libc", "its seccomp filter answers mmap by ending the process"},
		{"both", "its seccomp filter answers mmap"},
		{"computed", "not a filter that is understood"},
		{"strict", "it is in seccomp's strict mode, in which it can't map memory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tg := startTarget(t, exec.Command(program, c.name))
			if c.name == "waiting" {
				tg.awaitCalls(unix.SYS_CLOCK_NANOSLEEP, unix.SYS_POLL)
			}
			in := New(Options{})
			rs, err := in.Apply(background(), only(tg.pid), set)
			if c.reason != "" {
				if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, c.reason) {
					t.Errorf("reason %q, want %q", r.Reason, c.reason)
				}
				tg.untouched(nil)
				tg.says(old)
			} else {
				result(t, Applied, rs, err)
				tg.says(v2)
				rs, err = in.Revert(background(), only(tg.pid), nil)
				result(t, Reverted, rs, err)
				tg.says(old)
				tg.backAndForth(set, 4)
			}
			tg.unharmed()
			if c.name != "main-strict" { // whose main thread can only end alone
				tg.ends()
			}
		})
	}
}

// awaitCalls waits until for each of the system calls a thread is blocked in it.
func (tg *target) awaitCalls(numbers ...int64) {
	tg.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for _, n := range numbers {
		for !tg.isIn(n) {
			if time.Now().After(deadline) {
				tg.t.Fatalf("pid %d: no thread is in system call %d", tg.pid, n)
			}
		}
	}
}

func (tg *target) isIn(number int64) bool {
	tids, err := listTasks("/proc", tg.pid)
	if err != nil {
		tg.t.Fatal(err)
	}
	for _, tid := range tids {
		if n, _, _, running, err := taskSyscall("/proc", tg.pid, tid); err == nil && !running && n == number {
			return true
		}
	}
	return false
}

// code lists the mappings that could be a region of ours.
func (tg *target) code() []uint64 {
	tg.t.Helper()
	p, err := openProcess("/proc", tg.pid)
	if err != nil {
		tg.t.Fatal(err)
	}
	defer p.close()
	maps, err := p.mappings()
	if err != nil {
		tg.t.Fatal(err)
	}
	if led, err := readLedger(p, maps); err != nil || led != nil {
		tg.t.Errorf("ledger %v, %v", led, err)
	}
	var out []uint64
	for _, m := range maps {
		if m.ourCode() {
			out = append(out, m.start)
		}
	}
	return out
}

// untouched checks that nothing has been brought into a process whose code was
// this.
func (tg *target) untouched(code []uint64) {
	tg.t.Helper()
	rs, err := New(Options{}).Status(background(), only(tg.pid))
	if r := result(tg.t, NotApplied, rs, err); len(r.Patches) > 0 {
		tg.t.Errorf("in force: %+v", r.Patches)
	}
	if now := tg.code(); !slices.Equal(now, code) {
		tg.t.Errorf("code at %x, it was at %x", now, code)
	}
}

// TestSeccompFiltersThatCannotBeRead: without CAP_SYS_ADMIN nobody is told what
// a filter says, and no call is risked.
func TestSeccompFiltersThatCannotBeRead(t *testing.T) {
	if pid := os.Getenv("LPBUILD_TEST_PID"); pid != "" {
		applyAsTold(t, pid)
		return
	}
	needsRoot(t)
	f := newFixture(t, "stock")
	c := f.container(t, 2, "answer")
	tg := startTarget(t, exec.Command(f.compileCase(t, "filtered.c"), "list"))
	cmd := exec.Command("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin",
		os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "LPBUILD_TEST_PID="+strconv.Itoa(tg.pid), "LPBUILD_TEST_CONTAINER="+filepath.Join(f.dir, c.Name),
		"LPBUILD_TEST_WORD="+string(Blocked), "LPBUILD_TEST_REASON=to read it takes CAP_SYS_ADMIN")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	tg.says(old)
	tg.unharmed()
	tg.ends()
}
