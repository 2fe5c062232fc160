package demo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// bin is the folder of the programs that the demo runs.
var bin string

// insideArg makes the test program the half of the demo in the scratch root.
const insideArg = "inside"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == insideArg {
		if err := Inside(context.Background(), os.Stdin, os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (code int, err error) {
	if bin, err = os.MkdirTemp("", "lpbuild-demo-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(bin)
	cmd := exec.Command("go", "build", "-o", bin+"/", "../../cmd/lpbuild", "../../cmd/lpctl", "../../cmd/rpm-helper")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// needs fails under CI and skips elsewhere if the demo cannot run here.
func needs(t *testing.T) {
	t.Helper()
	var missing error
	for _, p := range []string{"rpm", "rpmbuild", "busybox", "createrepo_c", "gcc"} {
		if _, err := exec.LookPath(p); err != nil {
			missing = err
		}
	}
	if os.Geteuid() != 0 {
		missing = fmt.Errorf("needs root: %w", os.ErrPermission)
	}
	if missing == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

// options are those of a demo in a folder of its own.
func options(t *testing.T, progress, out *record) Options {
	t.Helper()
	needs(t)
	return Options{
		Bin: bin, Dir: filepath.Join(t.TempDir(), "demo"), Self: []string{"/proc/self/exe", insideArg},
		Small: true, Progress: progress, Out: out,
	}
}
