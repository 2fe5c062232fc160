package elfinfo

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// mapping is the first line of /proc/PID/maps that ends in suffix.
func mapping(t *testing.T, pid int, suffix string) (base uint64, path string) {
	t.Helper()
	for line := range strings.Lines(string(read(t, fmt.Sprintf("/proc/%d/maps", pid)))) {
		line = strings.TrimSpace(line)
		if strings.HasSuffix(line, suffix) {
			if _, err := fmt.Sscanf(line, "%x-", &base); err != nil {
				t.Fatal(err)
			}
			return base, strings.Fields(line)[5]
		}
	}
	t.Skipf("process %d maps no %s", pid, suffix)
	return 0, ""
}

// An image that ld.so has relocated reads like its file.
func TestNewImageOfRunningLibrary(t *testing.T) {
	cat := exec.Command(tool(t, "cat"))
	stdin, err := cat.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cat.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stdin.Close()
		cat.Wait()
	}()
	fmt.Fprintln(stdin, "ready")
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", cat.Process.Pid))
	if err != nil {
		t.Skipf("memory of a child is not readable here: %v", err)
	}
	defer mem.Close()
	base, path := mapping(t, cat.Process.Pid, "/libc.so.6")
	image, err := NewImage("libc in memory", mem, base)
	if err != nil {
		t.Fatal(err)
	}
	file := open(t, path)
	want, err := file.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	got, err := image.DynamicSymbols()
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d symbols in memory, %d in the file, %v", len(got), len(want), err)
	}
	if image.BuildID() != file.BuildID() || image.Soname() != "libc.so.6" || !slices.Equal(image.Needed(), file.Needed()) {
		t.Errorf("got %q, %q, %q", image.BuildID(), image.Soname(), image.Needed())
	}
	addr, n := file.TextTail()
	if a, m := image.TextTail(); a != addr || m != n {
		t.Errorf("tail at %#x, %d, in the file at %#x, %d", a, m, addr, n)
	}
}

// The vDSO is never relocated.
func TestNewImageOfVDSO(t *testing.T) {
	base, _ := mapping(t, os.Getpid(), "[vdso]")
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Skip(err)
	}
	defer mem.Close()
	image, err := NewImage("[vdso]", mem, base)
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := image.DynamicSymbols()
	if err != nil || !slices.ContainsFunc(symbols, func(s Symbol) bool { return s.Name == "__vdso_clock_gettime" }) {
		t.Errorf("got %v, %v", symbols, err)
	}
}

func TestNewImageOfNothing(t *testing.T) {
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Skip(err)
	}
	defer mem.Close()
	for _, base := range []uint64{0, 16, 1 << 63, ^uint64(0) - 10} {
		if _, err := NewImage("nothing", mem, base); err == nil {
			t.Errorf("an image at %#x", base)
		}
	}
}
