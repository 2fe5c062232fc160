package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// TestLpctlRefuses: each process that cannot be patched gets one line that says
// why, and runs on as if nobody had asked.
func TestLpctlRefuses(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.must("lpbuild", "download")
	l.must("lpbuild", "make")
	container := l.container("1.0")
	build, file := l.library("1.0")
	shipped := readFile(t, file)

	// refused runs each of the commands on a target; all of them must say no.
	refused := func(l *lab, tg *target, want refusal, commands ...string) {
		l.t.Helper()
		want.error = fmt.Sprintf(`^pid %d: %s`, tg.pid, want.error)
		want.stdout = fmt.Sprintf(`(?m)^%d +\S* .*%s`, tg.pid, want.stdout)
		before := tg.executable()
		for _, command := range commands {
			l.refuses(want, "lpctl", "-p", strconv.Itoa(tg.pid), command, container)
		}
		tg.undisturbed()
		if tg.executable() != before {
			l.t.Error("executable memory was changed")
		}
	}
	all := []string{"apply", "replace", "check"}

	t.Run("container for another build", func(t *testing.T) {
		l, tg := l.sub(t), l.sub(t).launch(shipped)
		_, other := l.library("1.1")
		newer := l.launch(readFile(t, other))
		refused(l, newer, refusal{code: 12, error: `NO-PATCH-FOR-BUILD: it runs build [0-9a-f]{40} of libgreet\.so\.1`,
			hint: "container for the build", stdout: "NO-PATCH-FOR-BUILD"}, all...)
		if answer := newer.ask('g'); answer != "22 greet 1.1" {
			t.Errorf("answer %q", answer)
		}
		// Among all processes that is normal.
		l.must("lpctl", "-p", "asked", "check", container)
		if answer := tg.ask('g'); answer != "20 greet 1.0" {
			t.Errorf("answer %q", answer)
		}
	})
	t.Run("library file differs from the record", func(t *testing.T) {
		l := l.sub(t)
		altered := append([]byte{}, shipped...)
		altered[lastByte(t, file, build)] ^= 1
		tg := l.launch(altered)
		refused(l, tg, refusal{code: 3, error: `BLOCKED: greet .*differs from the record`, stdout: "BLOCKED"}, all...)
		if answer := tg.ask('a'); answer != "20 " {
			t.Errorf("answer %q", answer)
		}
	})
	t.Run("memory differs from the record", func(t *testing.T) {
		l := l.sub(t)
		tg := l.launch(shipped)
		if answer := tg.ask('g'); answer != "20 greet 1.0" {
			t.Errorf("answer %q", answer)
		}
		f, err := build.Function("greet")
		if err != nil {
			t.Fatal(err)
		}
		mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", tg.pid), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer mem.Close()
		at := tg.address(build) + int64(f.Size) - 1
		if _, err := mem.WriteAt([]byte{0xcc}, at); err != nil {
			t.Fatal(err)
		}
		refused(l, tg, refusal{code: 3, error: `(BLOCKED|FOREIGN): .*`, stdout: "(BLOCKED|FOREIGN)"}, all...)
		if answer := tg.ask('a'); answer != "20 " {
			t.Errorf("answer %q", answer)
		}
	})
	t.Run("statically linked", func(t *testing.T) {
		refused(l.sub(t), assembled(t, "64"), refusal{code: 3, error: `BLOCKED: it is statically linked`, stdout: "BLOCKED"}, all...)
	})
	t.Run("32-bit", func(t *testing.T) {
		refused(l.sub(t), assembled(t, "32"), refusal{code: 3, error: `BLOCKED: it is no x86-64 program`, stdout: "BLOCKED"}, all...)
	})
	t.Run("gone", func(t *testing.T) {
		l := l.sub(t)
		cmd := exec.Command("true")
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		pid := cmd.Process.Pid
		for _, args := range [][]string{{"apply", container}, {"replace", container}, {"check", container}, {"revert", "--all"}, {"status"}} {
			l.refuses(refusal{code: 14, error: fmt.Sprintf(`^pid %d: GONE: process has ended$`, pid),
				stdout: fmt.Sprintf(`(?m)^%d .*GONE`, pid)}, "lpctl", append([]string{"-p", strconv.Itoa(pid)}, args...)...)
		}
	})
	t.Run("not ours to trace", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("needs root, to run lpctl with fewer rights than the process has")
		}
		l := l.sub(t)
		tg := l.launch(shipped)
		for _, args := range [][]string{{"apply", container}, {"check", container}, {"revert", "--all"}, {"status"}} {
			before := l.snapshot()
			p := l.start(nobody, "lpctl", append([]string{"-p", strconv.Itoa(tg.pid)}, args...)...)
			p.wait()
			p.refused(refusal{code: 13, error: fmt.Sprintf(`^pid %d: BLOCKED: not permitted`, tg.pid), hint: "as root",
				stdout: fmt.Sprintf(`(?m)^%d .*BLOCKED`, tg.pid)}, before)
		}
		if answer := tg.ask('g'); answer != "20 greet 1.0" {
			t.Errorf("answer %q", answer)
		}
	})
	t.Run("some of several", func(t *testing.T) {
		l := l.sub(t)
		altered := append([]byte{}, shipped...)
		altered[lastByte(t, file, build)] ^= 1
		good, bad := l.launch(shipped), l.launch(altered)
		p := l.run("lpctl", "-p", strconv.Itoa(good.pid), "-p", strconv.Itoa(bad.pid), "apply", container)
		p.refused(refusal{code: 3, error: fmt.Sprintf(`^1 of 2 processes failed; the first: pid %d: BLOCKED`, bad.pid),
			stdout: fmt.Sprintf(`(?m)^%d .*APPLIED`, good.pid)}, l.snapshot())
		if answer := good.ask('g'); answer != "20 patched" {
			t.Errorf("answer %q", answer)
		}
	})
}

// sub is the same lab in a subtest.
func (l *lab) sub(t *testing.T) *lab {
	c := *l
	c.t = t
	return &c
}
