package injector

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"testing"
)

func TestOpenProcess(t *testing.T) {
	tg := launch(t, exec.Command(compile(t, "a target) R 1", subjectSource)))
	p := hold(t, tg.pid)
	if want := "a target) R 1"; p.comm != want {
		t.Errorf("comm = %q, want %q", p.comm, want)
	}
	st, err := p.status()
	if err != nil {
		t.Fatal(err)
	}
	if st.Threads != 1 || st.UID != os.Getuid() || st.NSpid[0] != tg.pid || st.TracerPid != 0 {
		t.Errorf("status = %+v", st)
	}
	tids, err := p.tasks()
	if err != nil || len(tids) != 1 || tids[0] != tg.pid {
		t.Errorf("tasks = %v, %v; want the one thread %d", tids, err, tg.pid)
	}
	if err := p.verify(); err != nil {
		t.Errorf("verify: %v", err)
	}
}

func TestOpenProcessRefusals(t *testing.T) {
	exe := compile(t, "target", subjectSource)
	zombie := exec.Command(exe)
	zombie.Stdin = nil
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	waitForState(t, zombie.Process.Pid, 'Z')
	defer zombie.Wait()

	gone := exec.Command(exe)
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	tids, err := listTasks("/proc", os.Getpid())
	if err != nil || len(tids) < 2 {
		t.Fatalf("this program has threads %v, %v; want more than one", tids, err)
	}
	for _, tt := range []struct {
		name string
		pid  int
		want error
	}{
		{"zombie", zombie.Process.Pid, errNotProcess},
		{"ended", gone.Process.Pid, ErrGone},
		{"thread", tids[len(tids)-1], errNotProcess},
		{"kernel thread", 2, errNotProcess},
		{"no pid", 0, errNotProcess},
		{"negative", -5, errNotProcess},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if st, err := readStat("/proc", 2); tt.pid == 2 && (err != nil || !st.kernelThread()) {
				t.Skip("a pid namespace without kernel threads")
			}
			if _, err := openProcess("/proc", tt.pid); !errors.Is(err, tt.want) {
				t.Errorf("openProcess(%d) = %v, want %v", tt.pid, err, tt.want)
			}
		})
	}
}

// waitForState polls until a process is in a state; there is nothing to wait on.
func waitForState(t *testing.T, pid int, state byte) {
	t.Helper()
	for range 1 << 20 {
		if st, err := readStat("/proc", pid); err == nil && st.state == state {
			return
		}
	}
	t.Fatalf("pid %d never gets into state %c", pid, state)
}

func TestExecIsNoticed(t *testing.T) {
	exe := compile(t, "target", subjectSource)
	tg := launch(t, exec.Command(exe))
	p := hold(t, tg.pid)
	maps, err := p.mappings()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.readAt(make([]byte, 4), maps[0].start); err != nil {
		t.Fatal(err)
	}
	tg.say("exec %s", exe)
	tg.expect("ready")
	if err := p.readAt(make([]byte, 4), maps[0].start); !errors.Is(err, ErrGone) {
		t.Errorf("readAt after exec = %v, want ErrGone", err)
	}
	if err := p.writeAt(make([]byte, 4), maps[0].start); !errors.Is(err, ErrGone) {
		t.Errorf("writeAt after exec = %v, want ErrGone", err)
	}
	if err := p.verify(); !errors.Is(err, ErrGone) {
		t.Errorf("verify after exec = %v, want ErrGone", err)
	}
}

func TestEndIsNoticed(t *testing.T) {
	cmd := exec.Command(compile(t, "target", subjectSource))
	tg := launch(t, cmd)
	p := hold(t, tg.pid)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if err := p.verify(); !errors.Is(err, ErrGone) {
		t.Errorf("verify = %v, want ErrGone", err)
	}
	if _, err := p.mappings(); !errors.Is(err, ErrGone) {
		t.Errorf("mappings = %v, want ErrGone", err)
	}
}

// A child of vfork uses its parent's memory until it calls exec.
func TestExecAfterVforkIsNoticed(t *testing.T) {
	exe := compile(t, "vfork", `
#include <stdio.h>
#include <unistd.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
	char c;
	if (argc > 1) { puts("child"); fflush(stdout); read(0, &c, 1); return 0; }
	if (vfork() == 0) {
		char b[32];
		int n = snprintf(b, sizeof b, "ready\n%d\n", getpid());
		write(1, b, n);
		read(0, &c, 1);
		execl("/proc/self/exe", "vfork", "child", (char *)0);
		_exit(1);
	}
	pause();
}`)
	tg := launch(t, exec.Command(exe))
	pid, err := strconv.Atoi(tg.line())
	if err != nil {
		t.Fatal(err)
	}
	p := hold(t, pid)
	if err := p.verify(); err != nil {
		t.Fatal(err)
	}
	tg.say("")
	tg.expect("child")
	if err := p.verify(); !errors.Is(err, ErrGone) {
		t.Errorf("verify = %v, want ErrGone", err)
	}
}

func TestMainThreadHasEnded(t *testing.T) {
	exe := compile(t, "mainless", `
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static long answer = 42;
static void *run(void *main)
{
	char c;
	pthread_join(*(pthread_t *)main, 0);
	printf("ready\n%p\n", &answer);
	fflush(stdout);
	read(0, &c, 1);
	return 0;
}
int main(void)
{
	static pthread_t self, other;
	self = pthread_self();
	pthread_create(&other, 0, run, &self);
	pthread_exit(0);
}`, "-pthread")
	tg := launch(t, exec.Command(exe))
	addr, err := strconv.ParseUint(tg.line(), 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	waitForState(t, tg.pid, 'Z')
	p := hold(t, tg.pid)
	if v, err := p.readWord(addr); err != nil || v != 42 {
		t.Errorf("memory holds %d, %v; want 42", v, err)
	}
	_, order := loaded(t, testInjector(t), p)
	if got := names(order)[0]; got != "mainless" {
		t.Errorf("the program is %s, want mainless", got)
	}
}

func TestMemoryAccess(t *testing.T) {
	tg := launch(t, exec.Command(compile(t, "target", subjectSource)))
	p := hold(t, tg.pid)
	text := tg.address("sym puts")
	var old [8]byte
	if err := p.readAt(old[:], text); err != nil {
		t.Fatal(err)
	}
	if err := p.writeAt(old[:], text); err != nil {
		t.Errorf("write to read-only text: %v", err)
	}
	for _, tt := range []struct {
		name string
		addr uint64
		size int
	}{
		{"not mapped", 0x1000, 8},
		{"kernel", 0xffffffff81000000, 8},
		{"wraps around", 1<<63 - 4, 8},
		{"last byte", ^uint64(0), 1},
		{"runs out of a mapping", lastMapped(t, p) - 4, 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := p.readAt(make([]byte, tt.size), tt.addr)
			if err == nil || errors.Is(err, ErrGone) {
				t.Errorf("readAt(%#x) = %v, want an error other than ErrGone", tt.addr, err)
			}
			err = p.writeAt(make([]byte, tt.size), tt.addr)
			if err == nil || errors.Is(err, ErrGone) {
				t.Errorf("writeAt(%#x) = %v, want an error other than ErrGone", tt.addr, err)
			}
		})
	}
}

// lastMapped is the end of a readable mapping that nothing follows directly.
func lastMapped(t *testing.T, p *process) uint64 {
	t.Helper()
	maps, err := p.mappings()
	if err != nil {
		t.Fatal(err)
	}
	for i, m := range maps[:len(maps)-1] {
		if m.write && maps[i+1].start != m.end {
			return m.end
		}
	}
	t.Fatal("no gap after a writable mapping")
	return 0
}

func TestTaskSyscall(t *testing.T) {
	tg := launch(t, exec.Command(compile(t, "target", subjectSource)))
	waitForState(t, tg.pid, 'S')
	nr, sp, pc, running, err := taskSyscall("/proc", tg.pid, tg.pid)
	if err != nil || running || nr != 0 {
		t.Fatalf("system call %d, running %v, %v; want it to sleep in read (0)", nr, running, err)
	}
	p := hold(t, tg.pid)
	maps, err := p.mappings()
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := findMapping(maps, sp); !ok || m.path != "[stack]" {
		t.Errorf("stack pointer %#x is in %q", sp, m.path)
	}
	if m, ok := findMapping(maps, pc); !ok || !m.exec {
		t.Errorf("program counter %#x is in %q", pc, m.path)
	}
}

func TestParseStat(t *testing.T) {
	fields := " S 1 1 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 777 9 10 18446744073709551615 94000 95000 140000 0 0"
	for _, tt := range []struct {
		name, line string
		comm       string
		ok         bool
	}{
		{"plain", "12 (cat)" + fields, "cat", true},
		{"parentheses and newline", "12 (a) S (\nb)" + fields, "a) S (\nb", true},
		{"empty name", "12 ()" + fields, "", true},
		{"no name", "12 cat" + fields, "", false},
		{"reversed", "12 )cat(" + fields, "", false},
		{"too short", "12 (cat) S 1 1", "", false},
		{"no number", "12 (cat)" + strings.Replace(fields, "777", "7x7", 1), "", false},
		{"nothing", "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st, err := parseStat([]byte(tt.line))
			if (err == nil) != tt.ok {
				t.Fatalf("error %v, want ok = %v", err, tt.ok)
			}
			if tt.ok && (st.comm != tt.comm || st.start != 777 || st.layout.code != 94000 || st.layout.stack != 140000) {
				t.Errorf("parsed %+v", st)
			}
		})
	}
}

func TestParseStatus(t *testing.T) {
	text := "Name:\tx\nState:\tS (sleeping)\nTracerPid:\t7\nUid:\t1\t2\t3\t4\nNSpid:\t9\t1\nThreads:\t3\n" +
		"SigPnd:\t0000000000000001\nShdPnd:\t0000000000000002\nSigBlk:\t0000000000000004\nSigCgt:\tffffffffffffffff\n" +
		"NoNewPrivs:\t1\nSeccomp:\t2\n"
	st, err := parseStatus(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if st.State != 'S' || st.TracerPid != 7 || st.UID != 2 || len(st.NSpid) != 2 || st.Threads != 3 || st.SigPnd != 1 ||
		st.ShdPnd != 2 || st.SigBlk != 4 || st.SigCgt != ^uint64(0) || !st.NoNewPrivs || st.Seccomp != 2 {
		t.Errorf("parsed %+v", st)
	}
	for _, bad := range []string{"", "State:\n", "State:\tS\nSigCgt:\txyz\n", "State:\tS\nTracerPid:\t-1x\n"} {
		if _, err := parseStatus(strings.NewReader(bad)); err == nil {
			t.Errorf("parseStatus(%q) succeeds", bad)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Add([]byte("State:\tR\nNSpid:\t1 2 3\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := parseStatus(bytes.NewReader(b))
		if err == nil && st.State == 0 {
			t.Error("accepted without a state")
		}
	})
}

func TestCandidates(t *testing.T) {
	exe := compile(t, "a-name-longer-than-comm", subjectSource)
	tg := launch(t, exec.Command(exe))
	in := testInjector(t)
	for _, tt := range []struct {
		name string
		sel  Selection
		want bool
	}{
		{"everything", Selection{}, true},
		{"by pid", Selection{PIDs: []int{tg.pid}}, true},
		{"by comm", Selection{Globs: []string{"a-name-longer-*"}}, true},
		{"by executable", Selection{Globs: []string{"nothing", "a-name-longer-than-comm"}}, true},
		{"by pid and pattern", Selection{PIDs: []int{tg.pid}, Globs: []string{"a-name*"}}, true},
		{"another pid", Selection{PIDs: []int{1}}, false},
		{"another name", Selection{Globs: []string{"a-name"}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := in.candidates(t.Context(), tt.sel)
			if err != nil {
				t.Fatal(err)
			}
			count := 0
			for i, c := range got {
				if c.pid == tg.pid {
					count++
				}
				if c.pid == os.Getpid() {
					t.Error("this program chose itself")
				}
				if i > 0 && got[i-1].pid >= c.pid {
					t.Errorf("pids %d and %d are not in order", got[i-1].pid, c.pid)
				}
			}
			if (count == 1) != tt.want || count > 1 {
				t.Errorf("the target is chosen %d times, want %v", count, tt.want)
			}
		})
	}
	if _, err := in.candidates(t.Context(), Selection{Globs: []string{"["}}); !errors.Is(err, path.ErrBadPattern) {
		t.Errorf("a malformed pattern gives %v", err)
	}
	if _, err := (candidate{pid: tg.pid, start: 1}).open("/proc"); !errors.Is(err, ErrGone) {
		t.Errorf("a process started at another time gives %v, want ErrGone", err)
	}
}
