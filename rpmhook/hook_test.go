package rpmhook

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lpbuild/lpbuild/injector"
)

// The calls that rpm and zypper make, seen with rpm 4.18 and zypper 1.14.
func TestEventDecidesWhatIsDone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args     string
		replaced int
		reverted int
	}{
		{args: "post libtarget-livepatches 1", replaced: 1},
		{args: "post libtarget-livepatches 2", replaced: 1},
		{args: "posttrans libtarget-livepatches 1", replaced: 1},
		{args: "posttrans libtarget-livepatches 2", replaced: 1},
		{args: "posttrans libtarget-livepatches 0", replaced: 1},
		{args: "posttrans libtarget-livepatches", replaced: 1},
		{args: "preun libtarget-livepatches 2"},
		{args: "preun libtarget-livepatches 1"},
		{args: "postun libtarget-livepatches 1"},
		{args: "preun libtarget-livepatches 0", reverted: 1},
		{args: "postun libtarget-livepatches 0", reverted: 1},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			event, err := ParseEvent(strings.Fields(tt.args))
			if err != nil {
				t.Fatal(err)
			}
			var in recorder
			s := Run(t.Context(), event, newSystem(t).options(&in))
			if s.Err != nil {
				t.Fatal(s.Err)
			}
			if len(in.replaced) != tt.replaced || len(in.reverted) != tt.reverted {
				t.Errorf("%d replacements and %d reverts, want %d and %d", len(in.replaced), len(in.reverted), tt.replaced, tt.reverted)
			}
		})
	}
}

func TestSetIsWhatTheManifestLists(t *testing.T) {
	t.Parallel()
	sys := newSystem(t)
	// The old package's file is still there when %post of the new one runs.
	data, _ := container(t, setName, "0.0", 0x33)
	sys.write(t, "value_old.so", data)
	sys.install(t, "0.2")
	var in recorder
	if s := Run(t.Context(), Event{Script: Post, Name: setName, Count: 2}, sys.options(&in)); s.Err != nil || s.Version != "0.2" {
		t.Fatalf("version %q, error %v", s.Version, s.Err)
	}
	if diff := cmp.Diff([][]string{{"0.2", "0.2"}}, in.replaced); diff != "" {
		t.Errorf("versions given to the injector (-want +got):\n%s", diff)
	}
}

func TestEraseNeedsNoFiles(t *testing.T) {
	t.Parallel()
	sys := newSystem(t)
	if err := os.RemoveAll(sys.set); err != nil {
		t.Fatal(err)
	}
	in := recorder{passes: [][]injector.Result{{{PID: 7, Word: injector.Reverted}}, {}}}
	s := Run(t.Context(), Event{Script: PostUn, Name: setName, Count: 0}, sys.options(&in))
	if got, want := s.Line(), "libtarget-livepatches: 1 process: 1 REVERTED"; got != want {
		t.Errorf("line %q, want %q", got, want)
	}
}

// A package that is installed and erased again before %posttrans is not news;
// one of whose files is missing is.
func TestPostTransOfWhatIsGone(t *testing.T) {
	t.Parallel()
	sys := newSystem(t)
	event := Event{Script: PostTrans, Name: setName, Count: 1}
	if err := os.Remove(sys.containerFile(t)); err != nil {
		t.Fatal(err)
	}
	if line := Run(t.Context(), event, sys.options(new(recorder))).Line(); !strings.Contains(line, "nothing applied") {
		t.Errorf("a file is missing: line %q", line)
	}
	if err := os.RemoveAll(sys.set); err != nil {
		t.Fatal(err)
	}
	if line := Run(t.Context(), event, sys.options(new(recorder))).Line(); line != "" {
		t.Errorf("all is gone: line %q", line)
	}
}

func TestDormantSystemsAreLeftAlone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(t *testing.T, sys *system, opts *Options)
	}{
		{name: "chroot", change: func(t *testing.T, sys *system, _ *Options) {
			replaceLink(t, t.TempDir(), filepath.Join(sys.root, "proc/1/root"))
		}},
		{name: "root of process 1 unreadable", change: func(t *testing.T, sys *system, _ *Options) {
			replaceLink(t, filepath.Join(sys.root, "nowhere"), filepath.Join(sys.root, "proc/1/root"))
		}},
		{name: "no proc", change: func(t *testing.T, sys *system, _ *Options) {
			if err := os.RemoveAll(filepath.Join(sys.root, "proc")); err != nil {
				t.Fatal(err)
			}
		}},
		{name: "proc of another namespace", change: func(t *testing.T, sys *system, _ *Options) {
			replaceLink(t, "1", filepath.Join(sys.root, "proc/self"))
		}},
		{name: "transactional-update", change: func(_ *testing.T, _ *system, opts *Options) {
			opts.Getenv = func(name string) string { return map[string]string{"TRANSACTIONAL_UPDATE": "1"}[name] }
		}},
		{name: "OBS build", change: touch(".buildenv")},
		{name: "Docker", change: touch(".dockerenv")},
		{name: "Podman", change: touch("run/.containerenv")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sys, in := newSystem(t), new(recorder)
			opts := sys.options(in)
			tt.change(t, sys, &opts)
			for _, e := range []Event{{Post, setName, 1}, {PostTrans, setName, 1}, {PreUn, setName, 0}, {PostUn, setName, 0}} {
				s := Run(t.Context(), e, opts)
				if s.Skipped == "" || s.Err != nil || s.Line() != "" {
					t.Errorf("%s: skipped %q, error %v, line %q", e.Script, s.Skipped, s.Err, s.Line())
				}
			}
			if len(in.replaced)+len(in.reverted) > 0 {
				t.Errorf("the injector was called: %+v", in)
			}
			if _, err := os.Stat(filepath.Join(sys.root, lockPath)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", lockPath, err)
			}
		})
	}
}

func replaceLink(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	link(t, target, name)
}

func touch(name string) func(*testing.T, *system, *Options) {
	return func(t *testing.T, sys *system, _ *Options) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(sys.root, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBusyProcessesAreTriedAgain(t *testing.T) {
	t.Parallel()
	in := recorder{passes: [][]injector.Result{
		{{PID: 1, Word: injector.Replaced}, {PID: 2, Word: injector.Busy, Reason: "thread 2"}, {PID: 3, Word: injector.NotLoaded}},
		{{PID: 1, Word: injector.Already}, {PID: 2, Word: injector.Replaced}, {PID: 4, Word: injector.Applied}, {PID: 5, Word: injector.Gone}},
		{{PID: 1, Word: injector.Already}, {PID: 2, Word: injector.Already}, {PID: 4, Word: injector.Already}},
	}}
	s := Run(t.Context(), Event{Post, setName, 2}, newSystem(t).options(&in))
	if got, want := s.Line(), "libtarget-livepatches 0.1: 3 processes: 2 REPLACED, 1 APPLIED"; got != want {
		t.Errorf("line %q, want %q", got, want)
	}
	if len(in.replaced) != 3 {
		t.Errorf("%d passes", len(in.replaced))
	}
}

func TestNothingFailsAndNothingHangs(t *testing.T) {
	t.Parallel()
	t.Run("the injector fails", func(t *testing.T) {
		t.Parallel()
		in := recorder{err: errors.New("no ptrace\nhere")}
		s := Run(t.Context(), Event{Post, setName, 1}, newSystem(t).options(&in))
		if got, want := s.Line(), "libtarget-livepatches 0.1: no ptrace?here"; got != want {
			t.Errorf("line %q, want %q", got, want)
		}
	})
	t.Run("the injector hangs", func(t *testing.T) {
		t.Parallel()
		opts := newSystem(t).options(&recorder{block: true})
		opts.Timeout = time.Millisecond
		s := Run(t.Context(), Event{Post, setName, 1}, opts)
		if !errors.Is(s.Err, context.DeadlineExceeded) || !strings.Contains(s.Line(), "not finished within 1ms") {
			t.Errorf("error %v, line %q", s.Err, s.Line())
		}
	})
	t.Run("another hook runs", func(t *testing.T) {
		t.Parallel()
		sys, in := newSystem(t), new(recorder)
		held, err := lock(t.Context(), filepath.Join(sys.root, lockPath))
		if err != nil {
			t.Fatal(err)
		}
		opts := sys.options(in)
		opts.Timeout = time.Millisecond
		if s := Run(t.Context(), Event{Post, setName, 1}, opts); !errors.Is(s.Err, errLocked) || len(in.replaced) > 0 {
			t.Errorf("error %v, %d replacements", s.Err, len(in.replaced))
		}
		held.Close()
		if s := Run(t.Context(), Event{Post, setName, 1}, opts); errors.Is(s.Err, errLocked) {
			t.Errorf("after it ended: %v", s.Err)
		}
	})
}

func TestLockWaits(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	synctest.Test(t, func(t *testing.T) {
		held, err := lock(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(10*time.Second, func() { held.Close() })
		start := time.Now()
		again, err := lock(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
		if waited := time.Since(start); waited < 10*time.Second {
			t.Errorf("got the lock after %v", waited)
		}
	})
}

func TestSummaryLine(t *testing.T) {
	t.Parallel()
	result := func(pid int, library string, w injector.Word) injector.Result {
		return injector.Result{PID: pid, Library: library, Word: w}
	}
	tests := []struct {
		name    string
		script  Script
		results []injector.Result
		want    string
	}{
		{name: "no process", script: Post},
		{name: "nobody concerned", script: Post, results: []injector.Result{result(1, "", injector.NotLoaded), result(2, "", injector.Gone)}},
		{name: "done before", script: PostTrans, results: []injector.Result{result(1, "a", injector.Already)}},
		{name: "not covered", script: Post, results: []injector.Result{result(1, "a", injector.NoPatchForBuild)}, want: "1 process: 1 NO-PATCH-FOR-BUILD"},
		{name: "not covered, said before", script: PostTrans, results: []injector.Result{result(1, "a", injector.NoPatchForBuild)}},
		{name: "a process counts once, by its worst", script: Post,
			results: []injector.Result{result(1, "a", injector.Applied), result(1, "b", injector.Blocked), result(2, "a", injector.Applied)},
			want:    "2 processes: 1 APPLIED, 1 BLOCKED"},
		{name: "still busy", script: PostTrans, results: []injector.Result{result(1, "a", injector.Already), result(2, "a", injector.Busy)},
			want: "2 processes: 1 ALREADY, 1 BUSY"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := recorder{passes: [][]injector.Result{tt.results}}
			s := Run(t.Context(), Event{tt.script, setName, 1}, newSystem(t).options(&in))
			want := tt.want
			if want != "" {
				want = fmt.Sprintf("%s 0.1: %s", setName, want)
			}
			if got := s.Line(); got != want {
				t.Errorf("line %q, want %q", got, want)
			}
		})
	}
}

// The body is what /bin/sh gets on a production host.
func TestScriptletNeverFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	helper := filepath.Join(dir, "rpm-helper")
	calls := filepath.Join(dir, "calls")
	for _, s := range Scripts {
		body := strings.ReplaceAll(s.Body(setName), Helper, helper)
		if strings.Contains(body, "%") {
			t.Errorf("a spec file would expand %q", body)
		}
		for _, state := range []string{"missing", "failing"} {
			if state == "failing" {
				script := "#!/bin/sh\necho \"$@\" >>" + calls + "\nexit 1\n"
				if err := os.WriteFile(helper, []byte(script), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if out, err := exec.Command("/bin/sh", "-eu", "-c", body, "scriptlet", "1").CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%s, helper %s: %v, output %q", s, state, err, out)
			}
		}
		os.Remove(helper)
	}
	got, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	want := "post libtarget-livepatches 1\nposttrans libtarget-livepatches 1\npreun libtarget-livepatches 1\npostun libtarget-livepatches 1\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}
