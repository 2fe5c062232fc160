package injector

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// fixture is a library, containers for it and a program that uses it, built in
// a folder of the test's own.
type fixture struct {
	dir, library, program string
	build                 *elfinfo.Build
	// links are further libraries to link containers with.
	links []string
}

// flags of the two kinds of entry.
var entryFlags = map[string][]string{
	"stock":         {"-fcf-protection=none"},
	"stock endbr":   {"-fcf-protection=branch"},
	"padded":        {"-fcf-protection=none", "-fpatchable-function-entry=16,14"},
	"padded endbr":  {"-fcf-protection=branch", "-fpatchable-function-entry=16,14"},
	"padded bigger": {"-fcf-protection=none", "-fpatchable-function-entry=24,22"},
}

func newFixture(t testing.TB, entry string) *fixture {
	t.Helper()
	f := fixtureFrom(t, "testdata/answer.c", entryFlags[entry], "answer", "second", "peek", "branchy", "secret")
	f.program = filepath.Join(f.dir, "target")
	gcc(t, "-O2", "-pthread", "-o", f.program, "testdata/target.c", f.library, "-Wl,-rpath,$ORIGIN")
	return f
}

// fixtureFrom builds the library from another source file, with these flags,
// and records the named functions and variables. It has no program.
func fixtureFrom(t testing.TB, source string, flags []string, names ...string) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir()}
	f.library = filepath.Join(f.dir, "libanswer.so.1")
	args := append([]string{"-O2", "-g", "-fPIC", "-shared", "-Wl,-soname,libanswer.so.1", "-o", f.library}, flags...)
	gcc(t, append(args, source)...)
	lib, err := elfinfo.Open(f.library)
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	f.build, err = elfinfo.NewBuild(lib, nil, names)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// startProgram compiles a program that uses the library, and starts it.
func (f *fixture) startProgram(t testing.TB, source string, args ...string) *target {
	t.Helper()
	f.program = filepath.Join(f.dir, strings.TrimSuffix(filepath.Base(source), ".c"))
	gcc(t, "-O2", "-pthread", "-o", f.program, source, f.library, "-Wl,-rpath,$ORIGIN")
	return startTarget(t, exec.Command(f.program, args...))
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// container makes a live patch that replaces the named functions; value tells
// versions apart.
func (f *fixture) container(t testing.TB, value int, functions ...string) *livepatch.Container {
	t.Helper()
	return f.containerFrom(t, "testdata/patch.c", value, functions...)
}

// containerFrom makes one from a source file, in which the replacement of
// NAME is NAME_lp.
func (f *fixture) containerFrom(t testing.TB, source string, value int, functions ...string) *livepatch.Container {
	t.Helper()
	name := fmt.Sprintf("patch%d_%s.so", value, strings.Join(functions, "_"))
	file := filepath.Join(f.dir, name)
	args := []string{"-O2", "-fPIC", "-shared", "-nostartfiles", "-nostdlib", "-fcf-protection=branch",
		"-Wl,-z,relro,-z,now,--build-id", "-DVALUE=" + strconv.Itoa(value), "-o", file, source, "-Wl,--as-needed", f.library}
	gcc(t, append(args, f.links...)...)
	text := name + "\n@libanswer.so.1\n"
	for _, fn := range functions {
		text += fn + ":" + fn + "_lp\n"
		if fn == "peek" {
			text += f.reference(t) + "secret:secret_lp\n"
		}
	}
	d, err := livepatch.ParseDescription("test.dsc", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	in := livepatch.PackInput{Description: d, Info: f.info(t, d, value)}
	fmt.Sscanf(string(f.build.BuildID), "%x", &in.BuildID)
	for _, fn := range in.Info.Functions {
		in.Addresses = append(in.Addresses, fn.Address)
	}
	for range d.References {
		v, err := f.build.Variable("secret")
		if err != nil {
			t.Fatal(err)
		}
		in.TargetOffsets = append(in.TargetOffsets, v.Address)
	}
	return packFile(t, file, in)
}

// packFile makes a container of a library, in its place.
func packFile(t testing.TB, file string, in livepatch.PackInput) *livepatch.Container {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if data, err = livepatch.Pack(data, in); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := livepatch.ReadContainer(filepath.Base(file), data)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// reference begins the line of a description for the variable secret.
func (f *fixture) reference(t testing.TB) string {
	t.Helper()
	v, err := f.build.Variable("secret")
	if err != nil {
		t.Fatal(err)
	}
	if v.TLS {
		return "#%"
	}
	return "#"
}

func (f *fixture) info(t testing.TB, d *livepatch.Description, value int) *livepatch.Info {
	t.Helper()
	info := &livepatch.Info{
		Set: "tests", SetVersion: strconv.Itoa(value), Patch: "p", NEVRAs: []string{"answer-1-1.x86_64"},
		Library: f.library, Soname: "libanswer.so.1", Toolchain: "gcc",
	}
	for _, u := range d.Units {
		fn, err := f.build.Function(u.Old)
		if err != nil {
			t.Fatal(err)
		}
		info.Functions = append(info.Functions, livepatch.Function{
			Old: u.Old, New: u.New, Address: fn.Address, Size: fn.Size, SHA256: fn.SHA256,
			Entry: string(fn.Entry.Kind), Offset: fn.Entry.Offset, Length: fn.Entry.Length,
			Personality: fn.Unwind.Personality, CallsBack: fn.Unwind.CallsBack, Cancellation: fn.Unwind.Cancellation,
		})
	}
	return info
}

// target is a running program of the fixture.
type target struct {
	t     testing.TB
	cmd   *exec.Cmd
	pid   int
	stdin io.WriteCloser
	lines chan string
	mu    sync.Mutex
	// heard are all answers of each thread, in order.
	heard map[string][]string
	start uint64
}

// start runs the program with busy and idle threads and waits until all have called.
func (f *fixture) start(t testing.TB, busy, idle int) *target {
	t.Helper()
	return startTarget(t, exec.Command(f.program, strconv.Itoa(busy), strconv.Itoa(idle)))
}

func startTarget(t testing.TB, cmd *exec.Cmd) *target {
	t.Helper()
	tg := &target{t: t, cmd: cmd, lines: make(chan string, 1<<16), heard: make(map[string][]string)}
	cmd.Stderr = os.Stderr
	var err error
	if tg.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tg.pid = cmd.Process.Pid
	go tg.listen(out)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	tg.await("ready")
	st, err := readStat("/proc", tg.pid)
	if err != nil {
		t.Fatal(err)
	}
	tg.start = st.start
	return tg
}

func (tg *target) listen(r io.Reader) {
	defer close(tg.lines)
	s := bufio.NewScanner(r)
	for s.Scan() {
		if tid, answer, ok := strings.Cut(s.Text(), " "); ok {
			tg.mu.Lock()
			tg.heard[tid] = append(tg.heard[tid], answer)
			tg.mu.Unlock()
		}
		tg.lines <- s.Text()
	}
}

// await reads lines until one is the given one.
func (tg *target) await(line string) {
	tg.t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case got, ok := <-tg.lines:
			if !ok {
				tg.t.Fatalf("pid %d: ended before it said %q: %v", tg.pid, line, tg.cmd.Wait())
			}
			if got == line {
				return
			}
		case <-deadline:
			tg.t.Fatalf("pid %d: did not say %q; heard %v", tg.pid, line, tg.answers())
		}
	}
}

func (tg *target) answers() map[string][]string {
	tg.mu.Lock()
	defer tg.mu.Unlock()
	out := make(map[string][]string, len(tg.heard))
	for k, v := range tg.heard {
		out[k] = append([]string(nil), v...)
	}
	return out
}

// expect has every thread call and waits until all of them answer as wanted,
// and checks that the process is the same and traced by nobody.
func (tg *target) expect(want ...string) {
	tg.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		if _, err := io.WriteString(tg.stdin, "x"); err != nil {
			tg.t.Fatalf("pid %d: %v (%v)", tg.pid, err, tg.cmd.Wait())
		}
		tg.await("called")
		if tg.all(want[len(want)-1]) {
			break
		}
		if time.Now().After(deadline) {
			tg.t.Fatalf("pid %d: answers %v, want all to end with %v", tg.pid, tg.answers(), want)
		}
	}
	for tid, heard := range tg.answers() {
		if got := strings.Join(heard, " "); got != strings.Join(want, " ") {
			tg.t.Errorf("thread %s answered %s, want %s", tid, got, strings.Join(want, " "))
		}
	}
	tg.unharmed()
}

func (tg *target) all(last string) bool {
	for _, heard := range tg.answers() {
		if heard[len(heard)-1] != last {
			return false
		}
	}
	return true
}

// looked makes a job of the process that has looked at it.
func (tg *target) looked() *job {
	tg.t.Helper()
	j := &job{ctx: background(), in: New(Options{}), p: tg.opened(), result: &Result{}}
	if err := j.look(); err != nil {
		tg.t.Fatal(err)
	}
	return j
}

// opened takes hold of the process until the test ends.
func (tg *target) opened() *process {
	tg.t.Helper()
	p, err := openProcess("/proc", tg.pid)
	if err != nil {
		tg.t.Fatal(err)
	}
	tg.t.Cleanup(p.close)
	return p
}

func (tg *target) unharmed() {
	tg.t.Helper()
	st, err := readStat("/proc", tg.pid)
	if err != nil || st.start != tg.start {
		tg.t.Fatalf("pid %d: not the process that it was: %+v, %v", tg.pid, st, err)
	}
	tids, err := listTasks("/proc", tg.pid)
	if err != nil {
		tg.t.Fatal(err)
	}
	for _, tid := range tids {
		if ts, err := readTaskStatus("/proc", tg.pid, tid); err == nil && ts.TracerPid != 0 {
			tg.t.Errorf("thread %d is still traced by %d", tid, ts.TracerPid)
		}
	}
}

// only selects one process.
func only(pid int) Selection { return Selection{PIDs: []int{pid}} }

// result runs an operation that is about one process and checks its word.
func result(t testing.TB, word Word, rs []Result, err error) Result {
	t.Helper()
	if err != nil || len(rs) != 1 {
		t.Fatalf("%d results, %v", len(rs), err)
	}
	if rs[0].Word != word {
		t.Fatalf("%s %s, want %s", rs[0].Word, rs[0].Reason, word)
	}
	return rs[0]
}

func background() context.Context { return context.Background() }

// rounds is how often a test repeats: few times as a rule, many where a soak is
// asked for (LPBUILD_SOAK, make soak).
func rounds(few, many int) int {
	if os.Getenv("LPBUILD_SOAK") != "" {
		return many
	}
	return few
}
