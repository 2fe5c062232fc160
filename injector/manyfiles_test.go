package injector

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestManyFiles: a process that maps more files than can be open at once keeps
// nobody from looking at others.
func TestManyFiles(t *testing.T) {
	const files, limit = 400, 200
	f := newFixture(t, "stock")
	data, err := os.ReadFile(f.library)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range files {
		name := filepath.Join(f.dir, fmt.Sprintf("%d.so", i))
		if err := os.WriteFile(name, data, 0o755); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	program := filepath.Join(f.dir, "manyfiles")
	run(t, "gcc", "-O2", "-o", program, "testdata/manyfiles.c")
	greedy, other := startTarget(t, exec.Command(program, names...)), f.start(t, 0, 1)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &before) })
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	in := New(Options{Jobs: 1})
	rs, err := in.Status(background(), only(greedy.pid))
	result(t, Busy, rs, err)
	rs, err = in.Status(background(), only(other.pid))
	result(t, NotApplied, rs, err)
}
