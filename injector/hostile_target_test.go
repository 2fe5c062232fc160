package injector

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestHostileTargets runs lpctl on processes that do what they can against it,
// and on an ordinary one in the same command. It comes to an end, takes a
// bounded amount of memory, writes to no file, says something about each, and
// the ordinary one is patched.
func TestHostileTargets(t *testing.T) {
	const (
		mostTime   = 40 * time.Second // patience and a full machine
		mostMemory = 512 << 10        // KiB
	)
	f := newFixture(t, "stock")
	lpctl := filepath.Join(f.dir, "lpctl")
	run(t, "go", "build", "-o", lpctl, "../cmd/lpctl")
	program := filepath.Join(f.dir, "hostile")
	gcc(t, "-O2", "-pthread", "-o", program, "testdata/hostile.c", f.library, "-Wl,-rpath,$ORIGIN")
	c := f.container(t, 2, "answer")
	for _, tt := range []struct {
		how   string
		words []Word
		// harmed: it may do itself harm.
		harmed bool
	}{
		{"many", []Word{Applied}, false},
		{"files", []Word{Applied, Busy, Blocked}, false},
		{"races", []Word{Applied, Busy, Blocked, Failed, Foreign, Gone}, true},
		{"ledger", []Word{Foreign}, false},
	} {
		t.Run(tt.how, func(t *testing.T) {
			dir := t.TempDir()
			good, bad := f.start(t, 0, 1), startTarget(t, exec.Command(program, tt.how, dir))
			cmd := exec.Command(lpctl, "apply", "--json", "-p", strconv.Itoa(bad.pid), "-p", strconv.Itoa(good.pid), filepath.Join(f.dir, c.Name))
			var stdout bytes.Buffer
			cmd.Stdout = &stdout
			begin := time.Now()
			err := cmd.Run()
			if took := time.Since(begin); took > mostTime {
				t.Errorf("it took %v", took)
			}
			if rss := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss; rss > mostMemory {
				t.Errorf("it took %d KiB of memory", rss)
			}
			seen := make(map[int]Result)
			for lines := json.NewDecoder(&stdout); lines.More(); {
				var r Result
				if err := lines.Decode(&r); err != nil {
					t.Fatal(err)
				}
				seen[r.PID] = r
			}
			if r := seen[good.pid]; r.Word != Applied {
				t.Errorf("the ordinary process: %+v (%v)", r, err)
			}
			good.expect("1001", "2001")
			t.Logf("%s %s", seen[bad.pid].Word, seen[bad.pid].Reason)
			if r := seen[bad.pid]; !slices.Contains(tt.words, r.Word) || !r.Word.OK() && r.Reason == "" {
				t.Errorf("the hostile process: %+v", r)
			}
			if !tt.harmed {
				bad.says(map[bool]string{true: "2", false: "1"}[seen[bad.pid].Word == Applied])
				bad.unharmed()
			}
			if now, err := os.ReadFile(filepath.Join(dir, "shared")); err == nil && len(bytes.Trim(now, "\x00")) > 0 {
				t.Error("a file was written to")
			}
		})
	}
}
