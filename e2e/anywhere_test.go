package e2e

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestInterruptWhileWriting: SIGINT comes with the renaming of each file that a
// command writes. Every file is then as it was or as it would have become, and
// the next run ends where a run without an interruption does.
func TestInterruptWhileWriting(t *testing.T) {
	t.Parallel()
	needs(t, "strace")
	l := newLab(t)
	stopped := 0
	for _, command := range []string{"download", "make", "dist", "rpm"} {
		before, backup := l.snapshot(), filepath.Join(l.dir, "before-"+command)
		if err := os.CopyFS(backup, os.DirFS(l.project)); err != nil {
			t.Fatal(err)
		}
		l.must("lpbuild", command)
		after := l.snapshot()
		written := slices.Sorted(maps.Keys(after))
		written = slices.DeleteFunc(written, func(name string) bool { return before[name] == after[name] })
		if len(written) == 0 {
			t.Fatalf("%s writes nothing", command)
		}
		for _, name := range written {
			t.Run(command+"/"+filepath.Base(name), func(t *testing.T) {
				l := l.sub(t)
				if err := errors.Join(os.RemoveAll(l.project), os.CopyFS(l.project, os.DirFS(backup))); err != nil {
					t.Fatal(err)
				}
				if p := l.interruptRename(name, command); p.code != 0 {
					stopped++
				}
				l.between(before, after)
				l.must("lpbuild", command)
				l.unchanged(after, nil)
			})
		}
	}
	if stopped == 0 {
		t.Error("no run was interrupted")
	}
}

// interruptRename runs a command of lpbuild that gets SIGINT when it gives a
// file of the project its name.
func (l *lab) interruptRename(name, command string) *process {
	l.t.Helper()
	log := filepath.Join(l.dir, "strace.log")
	p := l.run("strace", "-f", "-qq", "-o", log, "-P", filepath.Join(l.project, name),
		"-e", "trace=rename,renameat,renameat2", "-e", "inject=rename,renameat,renameat2:signal=INT:when=1",
		filepath.Join(bin, "lpbuild"), command)
	if !strings.Contains(string(readFile(l.t, log)), "SIGINT") {
		l.t.Errorf("%s was not interrupted when it wrote %s", command, name)
	}
	switch p.code {
	case 0: // it had finished before the signal was noticed
	case 130:
		if problem := oneLine(p.stderr.String(), "error: ", interrupted.error); problem != "" {
			l.t.Error(problem)
		}
	default:
		l.t.Errorf("exit code %d\n%s", p.code, p.stderr.String())
	}
	return p
}

// between checks that every file is as it is in one of two snapshots.
func (l *lab) between(before, after map[string]string) {
	l.t.Helper()
	now := l.snapshot()
	for name, is := range now {
		if is != before[name] && is != after[name] {
			l.t.Errorf("%s is neither old nor new", name)
		}
	}
	l.unchanged(now, nil) // nothing unfinished
}
