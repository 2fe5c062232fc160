package ulp

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A script that was written for libpulp does its work, though no process has
// libpulp.so.
func TestScriptForLibpulp(t *testing.T) {
	l := newLab(t)
	l.patch("hundreds", "hundreds", 200)
	l.patch("dozens", "dozens", 13)
	folder := filepath.Join(l.dir, "livepatches")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hundreds.so", "dozens.so"} {
		if err := os.Rename(filepath.Join(l.dir, name), filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	a, b := l.serve(), l.serve()
	maps, err := os.ReadFile("/proc/" + a.id() + "/maps")
	if err != nil || bytes.Contains(maps, []byte("libpulp")) {
		t.Fatalf("%v\n%s", err, maps)
	}
	var errs bytes.Buffer
	cmd := exec.Command("sh", "-x", l.source("operations.sh"), folder, a.id())
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if said, err := bufio.NewReader(out).ReadString('\n'); said != "patched\n" {
		t.Errorf("%q, %v", said, err)
	}
	a.answers("200 13")
	b.answers("200 13")
	if _, err := io.WriteString(in, "\n"); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, errs.String())
	}
	a.answers("100 12")
	b.answers("100 12")
}
