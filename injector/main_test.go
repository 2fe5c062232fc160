package injector

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// compiled is where what gcc has made is kept for the tests that want the same.
var compiled string

func TestMain(m *testing.M) {
	var err error
	if compiled, err = os.MkdirTemp("", "lpbuild-injector-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defaultTimeout = 5 * time.Second
	code := m.Run()
	_ = os.RemoveAll(compiled)
	os.Exit(code)
}

// gcc runs the compiler, unless it has made the same of the same files before:
// then its output is copied. Programs find their libraries beside them
// ($ORIGIN), so that they are the same in every folder.
func gcc(t testing.TB, args ...string) {
	t.Helper()
	out := slices.Index(args, "-o") + 1
	if out == 0 {
		t.Fatalf("gcc %v: no -o", args)
	}
	made := filepath.Join(compiled, compilationKey(t, args, out))
	if _, err := os.Stat(made); err != nil {
		again := slices.Clone(args)
		again[out] = made + ".new"
		if b, err := exec.Command("gcc", again...).CombinedOutput(); err != nil {
			t.Fatalf("gcc %s: %v\n%s", strings.Join(args, " "), err, b)
		}
		if err := os.Rename(made+".new", made); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	// What is there may be running.
	if err := os.WriteFile(args[out]+".new", data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(args[out]+".new", args[out]); err != nil {
		t.Fatal(err)
	}
}

// compilationKey tells compilations apart by their arguments and the contents
// of the files among them; where the files of a test lie does not matter.
func compilationKey(t testing.TB, args []string, out int) string {
	t.Helper()
	h := sha256.New()
	for i, arg := range args {
		data, err := os.ReadFile(arg)
		if i == out || err != nil {
			data = nil
		}
		fmt.Fprintf(h, "%q %x\n", strings.ReplaceAll(arg, filepath.Dir(args[out]), "."), sha256.Sum256(data))
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}
