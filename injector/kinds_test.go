package injector

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// quiet checks that a process gets no result where it is not asked for by its
// id, whatever is asked.
func (tg *target) quiet(set []*livepatch.Container) {
	tg.t.Helper()
	st, err := readStat("/proc", tg.pid)
	if err != nil {
		tg.t.Fatal(err)
	}
	in, every := New(Options{}), Selection{Globs: []string{st.comm}}
	for name, f := range map[string]func() ([]Result, error){
		"apply":   func() ([]Result, error) { return in.Apply(background(), every, set) },
		"replace": func() ([]Result, error) { return in.Replace(background(), every, set) },
		"revert":  func() ([]Result, error) { return in.Revert(background(), every, nil) },
		"check":   func() ([]Result, error) { return in.Check(background(), every, set) },
		"status":  func() ([]Result, error) { return in.Status(background(), every) },
	} {
		rs, err := f()
		if err != nil {
			tg.t.Errorf("%s: %v", name, err)
		}
		for _, r := range rs {
			if r.PID == tg.pid {
				tg.t.Errorf("%s: %s %s", name, r.Word, r.Reason)
			}
		}
	}
}

// refused checks what somebody is told who asks for a process that no container
// can be for.
func (tg *target) refused(set []*livepatch.Container, reason string) {
	tg.t.Helper()
	rs, err := New(Options{}).Apply(background(), only(tg.pid), set)
	if r := result(tg.t, Blocked, rs, err); !strings.Contains(r.Reason, reason) {
		tg.t.Errorf("reason %q, want %q", r.Reason, reason)
	}
	tg.quiet(set)
	tg.unharmed()
}

// TestStaticallyLinkedPrograms: nothing in them is a library, even if they contain one.
func TestStaticallyLinkedPrograms(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	for name, flags := range map[string][]string{"static": {"-static"}, "static-pie": {"-static-pie", "-fPIE"}} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(f.dir, name)
			gcc(t, append(flags, "-O2", "-pthread", "-o", program, "testdata/environment.c", "testdata/answer.c")...)
			tg := startTarget(t, exec.Command(program, "plain"))
			tg.refused(set, "statically linked")
			tg.says(old)
			tg.ends()
		})
	}
}

func TestProgramOf32Bits(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	program := filepath.Join(f.dir, "compat32")
	gcc(t, "-m32", "-O2", "-nostdlib", "-static", "-fno-stack-protector", "-fno-pic", "-no-pie", "-o", program, "testdata/compat32.c")
	tg := startTarget(t, exec.Command(program))
	tg.refused(set, "it is no x86-64 program")
	tg.ends()
}

// TestThreadIn32BitCode: a thread of a 64-bit process that executes 32-bit code
// is not borrowed: the stub is 64-bit code. Others are. One that does both is
// when it executes 64-bit code, and its registers are never taken for those of
// the other.
func TestThreadIn32BitCode(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.startCase(t, "environment.c", "mixed")
	tg.backAndForth(set, 4)
	tg.unharmed()
	tg.ends()
	tg = f.startCase(t, "environment.c", "alternating")
	tg.backAndForth(set, rounds(20, 2000))
	tg.unharmed()
	tg.ends()
	tg = f.startCase(t, "environment.c", "mixed-only")
	code := tg.code()
	rs, err := New(Options{}).Apply(background(), only(tg.pid), set)
	if r := result(t, Busy, rs, err); !strings.Contains(r.Reason, "no thread stopped at a place from where it can be borrowed") {
		t.Errorf("reason %q", r.Reason)
	}
	tg.untouched(code)
	tg.unharmed()
}

// TestMusl: musl's linker keeps a link map, too, has no versions of symbols and
// no namespaces.
func TestMusl(t *testing.T) {
	f := fixtureFrom(t, "testdata/answer.c", []string{"-fcf-protection=none", "-nostdlib"}, "answer", "second")
	for _, c := range []struct {
		name, source string
		args         []string
	}{
		{"linked", "testdata/environment.c", []string{"plain"}},
		{"opened", "testdata/opens.c", []string{f.library}},
	} {
		program := filepath.Join(f.dir, c.name)
		args := []string{"-O2", "-pthread", "-o", program, c.source}
		if c.name == "linked" {
			args = append(args, f.library, "-Wl,-rpath,$ORIGIN")
		}
		run(t, "musl-gcc", args...)
		for source, want := range map[string]string{
			"testdata/patch.c": v2, "testdata/importing.c": "21210", "testdata/libc.c": v2,
		} {
			t.Run(c.name+" "+filepath.Base(source), func(t *testing.T) {
				set := []*livepatch.Container{f.containerFrom(t, source, 2, "answer")}
				tg := startTarget(t, exec.Command(program, c.args...))
				in := New(Options{})
				rs, err := in.Apply(background(), only(tg.pid), set)
				result(t, Applied, rs, err)
				tg.says(want)
				rs, err = in.Revert(background(), only(tg.pid), nil)
				result(t, Reverted, rs, err)
				tg.says(old)
				tg.unharmed()
				tg.ends()
			})
		}
	}
}

// TestGoPrograms: one that is linked with the library has threads whose signals
// come without pause and are handled on stacks of their own; in one that is not
// there is nothing to patch.
func TestGoPrograms(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	t.Run("linked with the library", func(t *testing.T) {
		program := f.buildGo(t, "testdata/gotarget", "CGO_ENABLED=1", "CGO_LDFLAGS="+f.library+" -Wl,-rpath,"+f.dir)
		tg := startTarget(t, exec.Command(program))
		tg.backAndForth(set, rounds(20, 1000))
		tg.unharmed()
		tg.ends()
	})
	t.Run("static", func(t *testing.T) {
		source := filepath.Join(f.dir, "alone")
		text := "package main\n\nimport \"os\"\n\nfunc main() {\n\tos.Stdout.WriteString(\"ready\\n\")\n\tos.Stdin.Read(make([]byte, 1))\n}\n"
		if err := os.MkdirAll(source, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(source, "main.go"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		tg := startTarget(t, exec.Command(f.buildGo(t, filepath.Join(source, "main.go"), "CGO_ENABLED=0")))
		tg.refused(set, "statically linked")
		tg.ends()
	})
}

// buildGo compiles a Go program.
func (f *fixture) buildGo(t *testing.T, source string, env ...string) string {
	t.Helper()
	program := filepath.Join(f.dir, "go-"+strings.TrimSuffix(filepath.Base(source), ".go"))
	if info, err := os.Stat(source); err == nil && info.IsDir() {
		source = filepath.Join(source, "main.go")
	}
	cmd := exec.Command("go", "build", "-o", program, source)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", source, err, out)
	}
	return program
}
