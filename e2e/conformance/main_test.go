// Package conformance holds one end-to-end test for each row of the test tables of lpbuild's two peers, libpulp and
// LibCare: what their own suites check of applying, reverting and replacing, checked of lpctl on real processes.
// docs/conformance.md lists the rows and what came of them.
//
// A row is a function that gets an engine, through which alone it applies, reverts and replaces. That is how
// TestNothingPassesVacuously can run it with an engine that does nothing and says whatever the row wants to hear: a row
// that does not fail then has looked at words instead of at a process.
//
// To add a row, write the function in a file of its theme and name it in the peer's list.
package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// work is the folder of this run. Any user may enter it.
var work string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (code int, err error) {
	if work, err = os.MkdirTemp("", "lpbuild-conformance-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil {
		return 0, err
	}
	cmd := exec.Command("go", "build", "-o", lpctl(), "../../cmd/lpctl")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// lpctl is the program under test.
func lpctl() string { return filepath.Join(work, "lpctl") }
