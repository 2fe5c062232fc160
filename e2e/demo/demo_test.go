package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A record keeps what is written and tells of lines that hold a text.
type record struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	wait string
	then func()
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.then != nil && strings.Contains(string(b), r.wait) {
		r.then()
	}
	return r.buf.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

// The report has the shape, and the numbers, that are promised of it.
func TestDemo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		small        bool
		glibc, total int // at least
	}{
		{name: "small library", small: true, total: 3},
		{name: "everything", glibc: 5, total: 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && !tt.small {
				t.Skip("short: every glibc build takes half a minute")
			}
			var progress, out record
			opts := options(t, &progress, &out)
			opts.Small = tt.small
			if err := Run(t.Context(), opts); err != nil {
				t.Fatalf("%v\n%s", err, &progress)
			}
			text, err := os.ReadFile(filepath.Join(opts.Dir, ReportFile))
			if err != nil {
				t.Fatal(err)
			}
			checkReport(t, text, tt.glibc, tt.total)
			for _, want := range []string{"APPLIED", "REPLACED", "REVERTED", "libgreet1-1.2-1.x86_64"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in the table:\n%s", want, &out)
				}
			}
			nothingLeft(t, opts.Dir)
		})
	}
}

func checkReport(t *testing.T, text []byte, glibc, total int) {
	t.Helper()
	var r struct {
		Builds []struct {
			NEVRA     string `json:"nevra"`
			BuildID   string `json:"build_id"`
			Soname    string `json:"soname"`
			Entry     string `json:"entry"`
			Container string `json:"container"`
			Test      string `json:"test"`
		} `json:"builds"`
		Transactions map[string]struct {
			Processes int            `json:"processes"`
			Results   map[string]int `json:"results"`
		} `json:"transactions"`
		RPMs map[string]string `json:"rpms"`
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	entries := make(map[string]int)
	files := []string{r.RPMs["rpmbuild"], r.RPMs["direct"]}
	for _, b := range r.Builds {
		entries[b.Soname+" "+b.Entry]++
		files = append(files, b.Container)
		if b.Test != "PASSED" || b.BuildID == "" || b.NEVRA == "" {
			t.Errorf("build %+v", b)
		}
	}
	if n := entries["libc.so.6 stock"]; n < glibc || entries["libgreet.so.1 padded"] != 3 || len(r.Builds) < total {
		t.Errorf("builds: %v", entries)
	}
	for name, word := range map[string]string{"install": "APPLIED", "upgrade": "REPLACED", "erase": "REVERTED"} {
		got := r.Transactions[name]
		if got.Processes < len(r.Builds) {
			t.Errorf("%s: %d processes for %d builds", name, got.Processes, len(r.Builds))
		}
		if diff := cmp.Diff(map[string]int{word: got.Processes}, got.Results); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for _, name := range files {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}

// nothingLeft looks for processes that have something to do with the folder, for
// mounts in it and for temporary files.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range processes {
		if line, err := os.ReadFile(name); err == nil && bytes.Contains(line, []byte(dir)) {
			t.Errorf("%s is left: %q", filepath.Dir(name), line)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(mounts, []byte(dir)) {
		t.Errorf("mounts are left:\n%s", mounts)
	}
	if _, err := os.Lstat(filepath.Join(dir, "tmp")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary files are left: %v", err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "root")); err != nil || len(left) > 0 {
		t.Errorf("left in the root: %v, %v", left, err)
	}
}

// Interrupted anywhere, the demo leaves nothing behind, no report either.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, at := range []string{
		"repository:", "again: nothing fetched", "0.1: make", "the same files", "0.2: make",
		"threads run", "install:", "upgrade:",
	} {
		t.Run(at, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			progress := &record{wait: at, then: cancel}
			opts := options(t, progress, new(record))
			if err := Run(ctx, opts); !errors.Is(err, context.Canceled) {
				t.Fatalf("error %v\n%s", err, progress)
			}
			if !strings.Contains(progress.String(), at) {
				t.Fatalf("never came to %q:\n%s", at, progress)
			}
			nothingLeft(t, opts.Dir)
			if _, err := os.Stat(filepath.Join(opts.Dir, ReportFile)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a report is left: %v", err)
			}
		})
	}
}

// A program that does not do its job makes the demo fail at the step that
// needed it.
func TestBrokenPrograms(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, program, source string
		step                  string
	}{
		{name: "hook does nothing", program: "rpm-helper", source: "package main\n\nfunc main() {}\n", step: "install"},
		{
			name: "hook claims success", program: "rpm-helper", step: "install",
			source: "package main\n\nimport (\n\t\"fmt\"\n\t\"os\"\n)\n\nfunc main() {\n\tif os.Args[1] == \"post\" {\n" +
				"\t\tfmt.Println(\"libgreet-livepatches 0.1: 3 processes: 3 APPLIED\")\n\t}\n}\n",
		},
		{name: "no containers", program: "lpbuild", source: "package main\n\nfunc main() {}\n", step: "download"},
		{name: "lpbuild fails", program: "lpbuild", source: "package main\n\nfunc main() { panic(\"out of order\") }\n", step: "init"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			progress := new(record)
			opts := options(t, progress, new(record))
			opts.Bin = t.TempDir()
			for _, name := range []string{"lpbuild", "lpctl", "rpm-helper"} {
				if err := os.Link(filepath.Join(bin, name), filepath.Join(opts.Bin, name)); err != nil {
					t.Fatal(err)
				}
			}
			replaceProgram(t, filepath.Join(opts.Bin, tt.program), tt.source)
			err := Run(t.Context(), opts)
			if err == nil || !strings.Contains(err.Error(), tt.step) {
				t.Errorf("error %v, want one of step %s\n%s", err, tt.step, progress)
			}
			if _, err := os.Stat(filepath.Join(opts.Dir, ReportFile)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a report is left: %v", err)
			}
			nothingLeft(t, opts.Dir)
		})
	}
}

func replaceProgram(t *testing.T, name, source string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-o", name, file)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
}

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	progress, out := &record{wait: "repository:"}, new(record)
	opts := options(t, progress, out)
	progress.then = func() {
		second := opts
		second.Progress, second.Out = new(record), new(record)
		if err := Run(ctx, second); !errors.Is(err, ErrBusy) {
			t.Errorf("the second one: %v", err)
		}
		cancel()
	}
	if err := Run(ctx, opts); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
