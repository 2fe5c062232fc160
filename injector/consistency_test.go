package injector

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// newSitting builds testdata/sitting.c and the program that sits in it.
func newSitting(t testing.TB, entry string) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir()}
	f.library, f.program = filepath.Join(f.dir, "libanswer.so.1"), filepath.Join(f.dir, "sitter")
	args := append([]string{"-O2", "-g", "-fPIC", "-shared", "-Wl,-soname,libanswer.so.1", "-o", f.library}, entryFlags[entry]...)
	gcc(t, append(args, "testdata/sitting.c")...)
	gcc(t, "-O2", "-pthread", "-rdynamic", "-o", f.program, "testdata/sitter.c", f.library, "-Wl,-rpath,$ORIGIN")
	lib, err := elfinfo.Open(f.library)
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	if f.build, err = elfinfo.NewBuild(lib, nil, []string{"answer", "second"}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) sitting(t testing.TB, value int) []*livepatch.Container {
	t.Helper()
	return []*livepatch.Container{f.containerFrom(t, "testdata/sitting_patch.c", value, "answer", "second")}
}

// sitter starts the program for one way of using the function.
func (f *fixture) sitter(t testing.TB, args ...string) *target {
	t.Helper()
	return startTarget(t, exec.Command(f.program, args...))
}

// tell gives the program a command and awaits its answer.
func (tg *target) tell(command, answer string) {
	tg.t.Helper()
	if _, err := tg.stdin.Write([]byte(command)); err != nil {
		tg.t.Fatal(err)
	}
	tg.await(answer)
}

const elsewhere = "on no thread's stack"

// sittings are the ways in which a function can be on a stack, and what the
// answer says of each. In memory that is not known to be a thread's stack the
// traces of a call outlast it.
var sittings = map[string]string{
	"blocked":               "return address",
	"spinning":              "return address",
	"vforking":              "return address",
	"interrupted":           "signal handler",
	"interrupted-elsewhere": "signal handler",
	"coroutine":             elsewhere,
	"mapped-coroutine":      elsewhere,
}

// TestStackConsistency applies, replaces and reverts while the code that goes
// out of force is on some stack, and when it is not any more.
func TestStackConsistency(t *testing.T) {
	f := newSitting(t, "stock")
	two, three := f.sitting(t, 2), f.sitting(t, 3)
	for how, where := range sittings {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			tg := f.sitter(t, how)
			careful := New(Options{Consistency: Stack, Wait: 100 * time.Millisecond, Timeout: 5 * time.Second})
			after := careful
			if where == elsewhere || how == "interrupted-elsewhere" {
				after = New(Options{})
			}
			was := "1001"
			for _, s := range []struct {
				do   func(*Injector) ([]Result, error)
				word Word
				says string
			}{
				{func(in *Injector) ([]Result, error) { return in.Apply(background(), only(tg.pid), two) }, Applied, "2002"},
				{func(in *Injector) ([]Result, error) { return in.Replace(background(), only(tg.pid), three) }, Replaced, "3003"},
				{func(in *Injector) ([]Result, error) { return in.Revert(background(), only(tg.pid), nil) }, Reverted, "1001"},
			} {
				tg.tell("e", "in")
				rs, err := s.do(careful)
				r := result(t, Busy, rs, err)
				if !strings.Contains(r.Reason, where) || !strings.Contains(r.Reason, " is in ") {
					t.Errorf("reason %q, want %q in it", r.Reason, where)
				}
				tg.says(was)
				tg.unharmed()
				tg.tell("l", "out")
				rs, err = s.do(after)
				result(t, s.word, rs, err)
				tg.says(s.says)
				was = s.says
			}
			tg.ends()
		})
	}
}

// TestImmediateConsistency changes all of them at once, and calls under way
// end as they began.
func TestImmediateConsistency(t *testing.T) {
	f := newSitting(t, "stock")
	two := f.sitting(t, 2)
	for how := range sittings {
		t.Run(how, func(t *testing.T) {
			tg := f.sitter(t, how)
			in := New(Options{})
			tg.tell("e", "in")
			rs, err := in.Apply(background(), only(tg.pid), two)
			result(t, Applied, rs, err)
			tg.says("2002")
			tg.tell("l", "out")
			tg.tell("e", "in")
			rs, err = in.Revert(background(), only(tg.pid), nil)
			result(t, Reverted, rs, err)
			tg.says("1001")
			tg.tell("l", "out")
			tg.ends()
		})
	}
}

// TestStackConsistencyIgnoresWhatIsOver: what calls have left behind below the
// stack pointer, and on the stacks of threads that have ended, is no frame.
func TestStackConsistencyIgnoresWhatIsOver(t *testing.T) {
	for _, entry := range []string{"stock", "padded endbr"} {
		f := newSitting(t, entry)
		tg := f.sitter(t, "visited", "1")
		in := New(Options{Consistency: Stack, Wait: 5 * time.Second, Timeout: 5 * time.Second})
		tg.tell("e", "in")
		rs, err := in.Apply(background(), only(tg.pid), f.sitting(t, 2))
		result(t, Applied, rs, err)
		tg.says("2002")
		tg.tell("e", "in")
		rs, err = in.Revert(background(), only(tg.pid), nil)
		result(t, Reverted, rs, err)
		tg.says("1001")
		tg.ends()
	}
}

// TestStackConsistencyWaits: the process runs while it is waited for, and is
// changed once the function has been left.
func TestStackConsistencyWaits(t *testing.T) {
	f := newSitting(t, "stock")
	two := f.sitting(t, 2)
	for _, how := range []string{"blocked", "spinning"} {
		tg := f.sitter(t, how)
		tg.tell("e", "in")
		in := New(Options{Consistency: Stack, Wait: 20 * time.Second, Timeout: 5 * time.Second})
		done := make(chan Result, 1)
		go func() {
			rs, err := in.Apply(background(), only(tg.pid), two)
			if err != nil || len(rs) != 1 {
				rs = []Result{{Word: Failed}}
			}
			done <- rs[0]
		}()
		began := time.Now()
		for range 200 {
			tg.says("1001")
		}
		if held := time.Since(began); held > 10*time.Second {
			t.Errorf("200 calls took %v", held)
		}
		select {
		case r := <-done:
			t.Fatalf("%s while the function is in use: %s %s", how, r.Word, r.Reason)
		default:
		}
		tg.tell("l", "out")
		if r := <-done; r.Word != Applied {
			t.Fatalf("%s: %s %s", how, r.Word, r.Reason)
		}
		tg.says("2002")
		tg.ends()
	}
}

// TestStackConsistencyWaitsForAllAtOnce: many processes whose code is in use keep
// nobody waiting longer than one.
func TestStackConsistencyWaitsForAllAtOnce(t *testing.T) {
	const processes, wait = 8, time.Second
	f := newSitting(t, "stock")
	two := f.sitting(t, 2)
	var sel Selection
	var targets []*target
	for range processes {
		tg := f.sitter(t, "blocked")
		tg.tell("e", "in")
		sel.PIDs, targets = append(sel.PIDs, tg.pid), append(targets, tg)
	}
	targets[0].tell("l", "out")
	began := time.Now()
	rs, err := New(Options{Consistency: Stack, Wait: wait, Timeout: time.Second, Jobs: 1}).Apply(background(), sel, two)
	if took := time.Since(began); took > processes*wait/2 {
		t.Errorf("took %v", took)
	}
	if err != nil || len(rs) != processes {
		t.Fatalf("%d results, %v", len(rs), err)
	}
	for _, r := range rs {
		if want := map[bool]Word{true: Applied, false: Busy}[r.PID == targets[0].pid]; r.Word != want {
			t.Errorf("pid %d: %s %s, want %s", r.PID, r.Word, r.Reason, want)
		}
	}
}

// TestStackConsistencyOfMuchMemory: memory that was reserved is not looked
// through; what was written is, up to a limit.
func TestStackConsistencyOfMuchMemory(t *testing.T) {
	f := newSitting(t, "stock")
	two := f.sitting(t, 2)
	in := New(Options{Consistency: Stack, Wait: time.Nanosecond, Timeout: 5 * time.Second})
	tg := f.sitter(t, "blocked", "40")
	rs, err := in.Apply(background(), only(tg.pid), two)
	r := result(t, Applied, rs, err)
	tg.says("2002")
	t.Logf("40 MiB: stopped for %v", r.Stopped)
	tg = f.sitter(t, "blocked", "80")
	rs, err = in.Apply(background(), only(tg.pid), two)
	if r := result(t, Busy, rs, err); !strings.Contains(r.Reason, "MiB") || r.Stopped != 0 {
		t.Errorf("stopped for %v: %s", r.Stopped, r.Reason)
	}
	tg.says("1001")
	tg.ends()
}

// TestStackConsistencyIsBounded: memory that looks like stacks and frames without
// end does not keep the process, or who looks at it, for longer than agreed.
func TestStackConsistencyIsBounded(t *testing.T) {
	f := newSitting(t, "stock")
	tg := f.sitter(t, "forging")
	began := time.Now()
	rs, err := New(Options{Consistency: Stack, Wait: time.Nanosecond, Timeout: time.Second}).Apply(background(), only(tg.pid), f.sitting(t, 2))
	r := result(t, Busy, rs, err)
	if took := time.Since(began); took > 10*time.Second || r.Stopped > 3*time.Second {
		t.Errorf("took %v, stopped for %v: %s", took, r.Stopped, r.Reason)
	}
	tg.says("1001")
	tg.ends()
}

func TestEndsCall(t *testing.T) {
	for _, c := range []struct {
		code []byte
		want bool
	}{
		{[]byte{0xe8, 1, 2, 3, 4}, true},                          // call rel32
		{[]byte{0xff, 0xd0}, true},                                // call *%rax
		{[]byte{0x41, 0xff, 0xd4}, true},                          // call *%r12
		{[]byte{0xff, 0x10}, true},                                // call *(%rax)
		{[]byte{0xff, 0x14, 0x24}, true},                          // call *(%rsp)
		{[]byte{0xff, 0x50, 0x18}, true},                          // call *0x18(%rax)
		{[]byte{0xff, 0x54, 0x24, 0x08}, true},                    // call *8(%rsp)
		{[]byte{0xff, 0x15, 0, 1, 2, 3}, true},                    // call *x(%rip)
		{[]byte{0xff, 0x90, 0, 1, 0, 0}, true},                    // call *0x100(%rax)
		{[]byte{0xff, 0x94, 0xc1, 0, 1, 0, 0}, true},              // call *0x100(%rcx,%rax,8)
		{[]byte{0x42, 0xff, 0x14, 0xe5, 0, 1, 0, 0}, true},        // call *0x100(,%r12,8)
		{[]byte{0xff, 0xe0}, false},                               // jmp *%rax
		{[]byte{0xff, 0x25, 0, 1, 2, 3}, false},                   // jmp *x(%rip)
		{[]byte{0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90}, false}, // nop
		{[]byte{0xf3, 0x0f, 0x1e, 0xfa}, false},                   // endbr64
		{[]byte{0x48, 0x89, 0xe5, 0x0f, 0x05, 0x48, 0x89}, false}, // syscall, mov
	} {
		if got := endsCall(c.code); got != c.want {
			t.Errorf("% x: %t, want %t", c.code, got, c.want)
		}
	}
}
