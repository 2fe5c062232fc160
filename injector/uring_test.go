package injector

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/livepatch"
)

// TestWorkersOfIoUring: a thread of the kernel that works on a request is not
// stopped, which would end the request with EINTR.
func TestWorkersOfIoUring(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	fifo := filepath.Join(f.dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(f.compileCase(t, "uring.c")).Output(); err != nil || strings.TrimSpace(string(out)) == "" {
		t.Fatalf("%q, %v", out, err)
	}
	tg := f.startCase(t, "uring.c", fifo)
	tg.backAndForth(set, rounds(20, 1000))
	if ended, result := tg.statistics(); ended != 0 {
		t.Errorf("the request has ended with %d (%v)", result, unix.Errno(-result))
	}
	if _, err := tg.stdin.Write([]byte("r")); err != nil {
		t.Fatal(err)
	}
	if line := <-tg.lines; strings.HasPrefix(line, "0") || strings.Contains(line, "-") {
		t.Errorf("the request gives %q", line)
	}
	tg.unharmed()
	tg.ends()
}
