package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// spyCompiler returns a compiler, and a function that counts how many times it
// or its linker has been started.
func spyCompiler(t testing.TB) (compiler string, started func() int) {
	t.Helper()
	need(t, "gcc", "ld")
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	real, err := exec.LookPath("gcc")
	if err != nil {
		t.Fatal(err)
	}
	ld, err := exec.LookPath("ld")
	if err != nil {
		t.Fatal(err)
	}
	script(t, filepath.Join(dir, "ld"), fmt.Sprintf("echo ld >>%s\nexec %s \"$@\"\n", log, ld))
	script(t, filepath.Join(dir, "gcc"), fmt.Sprintf(
		"echo gcc \"$*\" >>%s\n[ \"$1\" = -print-prog-name=ld ] && { echo %s/ld; exit; }\nexec %s \"$@\"\n", log, dir, real))
	return filepath.Join(dir, "gcc"), func() int {
		data, err := os.ReadFile(log)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return strings.Count(string(data), "\n")
	}
}

func script(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestNothingChangedStartsNoProcess(t *testing.T) {
	builds := greetRecords(t)
	p, o := project(t, greetSource, greetTemplate)
	var started func() int
	o.Compiler, started = spyCompiler(t)
	first := mustMake(t, p, builds, o)
	before := started()
	if before == 0 {
		t.Fatal("the first run started nothing: the test sees nothing")
	}
	t.Setenv("PATH", t.TempDir())
	for i, out := range mustMake(t, p, builds, o) {
		if !out.Cached || out.Container != first[i].Container {
			t.Errorf("%s: cached %v, container %s", out.Build.NEVRA, out.Cached, out.Container)
		}
	}
	if _, err := Check(t.Context(), []Patch{p}, builds, o); err != nil {
		t.Error(err)
	}
	if n := started() - before; n != 0 {
		t.Errorf("%d processes started", n)
	}
}

func TestCompilerThatLeftPath(t *testing.T) {
	builds := greetRecords(t)
	p, o := project(t, greetSource, greetTemplate)
	mustMake(t, p, builds, o)
	t.Setenv("PATH", t.TempDir())
	for _, out := range mustMake(t, p, builds, o) {
		if !out.Cached {
			t.Errorf("%s was made again", out.Build.NEVRA)
		}
	}
	o.CacheDir = t.TempDir()
	var tool *ToolError
	if _, err := Make(t.Context(), []Patch{p}, builds, o); !errors.As(err, &tool) || !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("no cache and no compiler: %v", err)
	}
}

// TestWhatIsMadeAgain changes one input at a time and watches which of the
// containers are new.
func TestWhatIsMadeAgain(t *testing.T) {
	builds := greetRecords(t)[:2]
	p, o := project(t, "#include \"fix.h\"\nint f(int x) { return x + STEP; }\n", "fix.so\n@libgreet.so.1\ngreet:f\n")
	header := filepath.Join(p.Dir, "fix.h")
	writeFile(t, header, "#define STEP 1\n")
	var started func() int
	o.Compiler, started = spyCompiler(t)
	mustMake(t, p, builds, o)
	tests := []struct {
		name   string
		change func()
		cached int
		starts bool
	}{
		{name: "nothing", change: func() {}, cached: 2},
		{name: "a header", change: func() { writeFile(t, header, "#define STEP 2\n") }, starts: true},
		{name: "the description", change: func() { writeFile(t, p.templateFile(), "! new\nfix.so\n@libgreet.so.1\ngreet:f\n") }},
		{name: "the project's version", change: func() { o.SetVersion = "9" }},
		{name: "a flag", change: func() { o.Flags = []string{"-O1"} }, starts: true},
		{name: "one record", change: func() { builds[0].NEVRA = "greet-5-5.x86_64" }, cached: 1},
		{name: "a container is gone", change: func() { removeAll(t, o.OutDir) }},
		{name: "a container is damaged", cached: 1, change: func() {
			damage(t, mustMake(t, p, builds, o)[1].Container)
		}},
		{name: "the cache is damaged", cached: 2, starts: true, change: func() {
			err := filepath.WalkDir(o.CacheDir, func(name string, d os.DirEntry, err error) error {
				if err == nil && !d.IsDir() && filepath.Dir(name) != o.CacheDir && !strings.Contains(name, "containers") {
					damage(t, name)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tc := range tests {
		tc.change()
		before, cached := started(), 0
		for _, out := range mustMake(t, p, builds, o) {
			if out.Cached {
				cached++
			}
		}
		if cached != tc.cached || (started() > before) != tc.starts {
			t.Errorf("%s changed: %d cached, %d processes; want %d cached, processes: %v",
				tc.name, cached, started()-before, tc.cached, tc.starts)
		}
	}
}

func damage(t testing.TB, name string) {
	t.Helper()
	data := readFile(t, name)
	data[len(data)/2] ^= 1
	writeFile(t, name, string(data))
}

func removeAll(t testing.TB, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

func TestCancelKillsTheCompiler(t *testing.T) {
	builds := greetRecords(t)[:1]
	p, o := project(t, greetSource, greetTemplate)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	fifo := filepath.Join(t.TempDir(), "started")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// The stand-in for gcc starts a child, as gcc starts cc1, and tells its pid.
	o.Compiler = filepath.Join(t.TempDir(), "gcc")
	real, err := exec.LookPath("gcc")
	if err != nil {
		t.Fatal(err)
	}
	script(t, o.Compiler, fmt.Sprintf(
		"case \"$*\" in *\" -c \"*) ;; *) exec %s \"$@\";; esac\nsleep 600 & echo $! >%s; wait\n", real, fifo))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	child, cancelled := make(chan int, 1), make(chan time.Time, 1)
	go func() {
		data, _ := os.ReadFile(fifo)
		pid, _ := strconv.Atoi(strings.TrimSpace(string(data)))
		child <- pid
		cancelled <- time.Now()
		cancel()
	}()
	_, err = Make(ctx, []Patch{p}, builds, o)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	if d := time.Since(<-cancelled); d > 4*time.Second {
		t.Errorf("cancelling took %v", d)
	}
	pid := <-child
	for end := time.Now().Add(10 * time.Second); !gone(pid) && time.Now().Before(end); { // it was killed, and nobody waited
	}
	if pid <= 0 || !gone(pid) {
		t.Errorf("the compiler's child %d is still there", pid)
	}
	for _, dir := range []string{tmp, o.OutDir} {
		if left, err := os.ReadDir(dir); err == nil && len(left) > 0 {
			t.Errorf("%s holds %v", dir, left)
		}
	}
}

// gone reports whether a process has ended, if need be still to be reaped by
// whoever adopted it.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

func TestCancelledBeforeItBegins(t *testing.T) {
	p, o := project(t, greetSource, greetTemplate)
	builds := greetRecords(t)
	mustMake(t, p, builds[:1], o)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	outcomes, err := Make(ctx, []Patch{p}, builds, o)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	for _, out := range outcomes {
		if out.Err == nil && out.Container == "" {
			t.Errorf("%s: neither a container nor a reason", out.Build.NEVRA)
		}
	}
}
