package pipeline

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// startedIn is the environment variable that makes this test binary start a
// program which writes to the FIFO of that name, and wait.
const startedIn = "LPBUILD_TEST_STARTED_IN"

func TestMain(m *testing.M) {
	if fifo := os.Getenv(startedIn); fifo != "" {
		if _, err := start(context.Background(), command{argv: holder(fifo)}); err != nil {
			panic(err)
		}
		select {}
	}
	os.Exit(m.Run())
}

// holder is a program that says "up" into a FIFO and holds it open: whoever
// reads it sees when the program has ended.
func holder(fifo string) []string {
	return []string{"/bin/sh", "-c", `exec 3>"$0"; echo up >&3; exec sleep 1000`, fifo}
}

func newFIFO(t *testing.T) string {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	return fifo
}

// awaitUp opens the FIFO and returns when the program is up.
func awaitUp(t *testing.T, fifo string) *bufio.Reader {
	t.Helper()
	f, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r := bufio.NewReader(f)
	if line, err := r.ReadString('\n'); line != "up\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return r
}

func TestProgramDiesWithContext(t *testing.T) {
	t.Parallel()
	fifo := newFIFO(t)
	ctx, cancel := context.WithCancel(t.Context())
	p, err := start(ctx, command{argv: holder(fifo)})
	if err != nil {
		t.Fatal(err)
	}
	r := awaitUp(t, fifo)
	cancel()
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 { // blocks until nobody holds the FIFO
		t.Errorf("%q, %v", rest, err)
	}
	p.stop()
}

// TestProgramDiesWithUs: SIGKILL leaves us no time to clean up; the kernel does.
func TestProgramDiesWithUs(t *testing.T) {
	t.Parallel()
	fifo := newFIFO(t)
	us := exec.Command(os.Args[0])
	us.Env = append(os.Environ(), startedIn+"="+fifo)
	if err := us.Start(); err != nil {
		t.Fatal(err)
	}
	r := awaitUp(t, fifo)
	if err := us.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
	us.Wait()
}
