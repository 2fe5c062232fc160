package injector

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// A fault is one place where an injector is killed: at the nth call of a name
// that a thread makes.
type fault struct {
	call string
	nth  int
}

// TestKilledAtEverySystemCall kills lpctl at every system call that it makes
// after the first attach, during apply, replace and revert. The target must run
// on, wholly old or wholly new, and the next operation must succeed.
func TestKilledAtEverySystemCall(t *testing.T) {
	f := newFixture(t, "stock")
	lpctl := f.killable(t)
	first, next := f.container(t, 2, "answer", "second"), f.container(t, 3, "answer", "second")
	file := func(c *livepatch.Container) string { return filepath.Join(f.dir, c.Name) }
	for _, op := range []struct {
		name   string
		before *livepatch.Container
		args   []string
		want   string
	}{
		{"apply", nil, []string{"apply", file(first)}, v2},
		{"replace", first, []string{"replace", file(next)}, v3},
		{"revert", first, []string{"revert", "--all"}, old},
	} {
		t.Run(op.name, func(t *testing.T) {
			k := killer{f: f, lpctl: lpctl, args: op.args, before: op.before, next: next}
			if op.before != nil {
				k.from = v2
			} else {
				k.from = old
			}
			k.to = op.want
			k.everywhere(t, k.record(t))
		})
	}
}

// killable builds lpctl, for a test that kills it under strace.
func (f *fixture) killable(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("hundreds of runs of lpctl")
	}
	needTool(t, "strace")
	lpctl := filepath.Join(f.dir, "lpctl")
	run(t, "go", "build", "-o", lpctl, "../cmd/lpctl")
	return lpctl
}

// everywhere kills the operation at each of the places.
func (k *killer) everywhere(t *testing.T, faults []fault) {
	t.Helper()
	if len(faults) < 20 {
		t.Fatalf("only %d system calls after the first attach", len(faults))
	}
	killed := 0
	for _, ft := range faults {
		if k.try(t, ft) {
			killed++
		}
	}
	t.Logf("%d places, killed at %d", len(faults), killed)
	if killed < len(faults)/5 { // the rest are looks for which it depends on the load how many there are
		t.Errorf("killed at only %d of %d places", killed, len(faults))
	}
}

type killer struct {
	f      *fixture
	lpctl  string
	args   []string
	before *livepatch.Container
	next   *livepatch.Container
	// from and to are what the target answers before and after the operation.
	from, to string
	// target starts another program than the fixture's, if set.
	target func(*testing.T) *target
}

// prepared starts a target in the state before the operation.
func (k *killer) prepared(t *testing.T) *target {
	t.Helper()
	if k.target != nil {
		return k.target(t)
	}
	tg := k.f.start(t, 0, 3)
	if k.before != nil {
		rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{k.before})
		result(t, Applied, rs, err)
		tg.expect(old, v2)
	}
	return tg
}

func (k *killer) command(tg *target, strace ...string) *exec.Cmd {
	args := append(strace, k.lpctl, "-p", strconv.Itoa(tg.pid))
	return exec.Command("strace", append(args, k.args...)...)
}

// record lists the system calls from the first PTRACE_SEIZE on.
func (k *killer) record(t *testing.T) []fault {
	t.Helper()
	tg := k.prepared(t)
	log := filepath.Join(t.TempDir(), "strace")
	if out, err := k.command(tg, "-f", "-qq", "-o", log).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^(\d+) +(\w+)\(`)
	count := make(map[string]int)
	var faults []fault
	attached := false
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		m := line.FindStringSubmatch(s.Text())
		if m == nil {
			continue
		}
		count[m[1]+" "+m[2]]++
		attached = attached || strings.Contains(s.Text(), "PTRACE_SEIZE")
		ft := fault{m[2], count[m[1]+" "+m[2]]}
		if attached && m[2] != "exit_group" && !slices.Contains(faults, ft) {
			faults = append(faults, ft)
		}
	}
	return faults
}

// kill runs the operation, killed at one place, and reports whether it came to that.
func (k *killer) kill(t *testing.T, tg *target, ft fault) (output []byte, killed bool) {
	t.Helper()
	inject := fmt.Sprintf("inject=%s:signal=KILL:when=%d", ft.call, ft.nth)
	cmd := k.command(tg, "-f", "-qq", "-o", "/dev/null", "-e", "trace="+ft.call, "-e", inject)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	killed = errors.As(err, &exit) && exit.Sys().(interface{ Signaled() bool }).Signaled()
	if err != nil && !killed {
		t.Fatalf("%v: %v\n%s", ft, err, out)
	}
	return out, killed
}

// try kills one run of the operation and reports whether it came to that.
func (k *killer) try(t *testing.T, ft fault) bool {
	t.Helper()
	tg := k.prepared(t)
	defer func() { _ = tg.cmd.Process.Kill() }()
	out, killed := k.kill(t, tg, ft)
	answer := tg.settled()
	if answer != k.from && answer != k.to {
		t.Fatalf("%v: the target answers %s, neither %s nor %s", ft, answer, k.from, k.to)
	}
	if !killed && answer != k.to {
		t.Fatalf("%v: not killed, yet the target answers %s: %s", ft, answer, out)
	}
	// Whoever comes next can do their work: put something else in force, then nothing.
	in := New(Options{Restore: true})
	rs, err := in.Replace(background(), only(tg.pid), []*livepatch.Container{k.next})
	if err != nil || len(rs) != 1 || !rs[0].Word.OK() {
		t.Fatalf("%v: afterwards: %+v, %v", ft, rs, err)
	}
	if answer := tg.settled(); answer != v3 {
		t.Fatalf("%v: afterwards the target answers %s, want %s", ft, answer, v3)
	}
	rs, err = in.Revert(background(), only(tg.pid), nil)
	result(t, Reverted, rs, err)
	if answer := tg.settled(); answer != old {
		t.Fatalf("%v: reverted, the target answers %s, want %s", ft, answer, old)
	}
	tg.unharmed()
	k.pristine(t, tg, ft)
	return killed
}

// pristine checks that after the revert the library's code is as shipped.
func (k *killer) pristine(t *testing.T, tg *target, ft fault) {
	t.Helper()
	p, err := openProcess("/proc", tg.pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	j := &job{in: New(Options{}), p: p, result: &Result{}}
	if err := j.look(); err != nil {
		t.Fatal(err)
	}
	for _, o := range j.objs {
		if o.buildID != string(k.f.build.BuildID) {
			continue
		}
		for name, fns := range k.f.build.Functions {
			mem := make([]byte, len(fns[0].Bytes))
			if err := p.readAt(mem, o.addr(fns[0].Address)); err != nil || !bytes.Equal(mem, fns[0].Bytes) {
				t.Errorf("%v: %s is % x in memory, shipped % x (%v)", ft, name, mem, fns[0].Bytes, err)
			}
		}
		return
	}
	t.Errorf("%v: the library is not mapped any more", ft)
}

// settled has all threads call and gives the answer on which they agree. Where
// the change is made just then, by a stub that goes on alone, they do the second
// time.
func (tg *target) settled() string {
	tg.t.Helper()
	answer, other := tg.calls()
	if other != "" {
		answer, other = tg.calls()
	}
	if other != "" {
		tg.t.Fatalf("pid %d: a thread answers %s, another one %s", tg.pid, answer, other)
	}
	return answer
}

// calls has all threads call. It gives their answer, and another one if there is.
func (tg *target) calls() (answer, other string) {
	tg.t.Helper()
	if _, err := io.WriteString(tg.stdin, "x"); err != nil {
		tg.t.Fatalf("pid %d: %v (%v)", tg.pid, err, tg.cmd.Wait())
	}
	tg.await("called")
	for _, heard := range tg.answers() {
		now := heard[len(heard)-1]
		if answer != "" && now != answer {
			other = answer
		}
		answer = now
	}
	return answer, other
}
