package pipeline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// variants is a package with builds of a library for several processors.
type variants struct{ dir string }

func (v variants) Library(b *elfinfo.Build) (string, error) {
	return filepath.Join(v.dir, strings.TrimPrefix(b.Library, "/usr/lib64")), nil
}
func (v variants) LibraryDir(*elfinfo.Build) (string, error) { return v.dir, nil }

// Each variant is tried on a process that runs that one, whatever the loader would choose on this machine.
func TestVariantsForProcessors(t *testing.T) {
	requireTracing(t)
	store := variants{t.TempDir()}
	var builds []*elfinfo.Build
	for _, dir := range []string{"", hwcaps + "/x86-64-v2/", hwcaps + "/x86-64-v3/", hwcaps + "/x86-64-v4/"} {
		g := newGreet(t, "variant"+strings.ReplaceAll(filepath.Base(dir), "-", ""))
		g.build.Library = "/usr/lib64/" + dir + "libgreet.so.1"
		if err := os.MkdirAll(filepath.Join(store.dir, dir), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(g.dir, "libgreet.so.1"), filepath.Join(store.dir, dir, "libgreet.so.1")); err != nil {
			t.Fatal(err)
		}
		builds = append(builds, g.build)
	}
	passed := 0
	for _, build := range builds {
		patch := greetPatch(t, "good day", "", "0")
		row := madeRow(t, patch, build)
		job := testJob{row: &row, patch: patch, build: build, store: store, libcs: chooseLibc(t, store), out: filepath.Join(t.TempDir(), "prog"), log: new(testLog)}
		job.run(t.Context(), TestOptions{Rounds: 1, Timeout: time.Minute})
		switch {
		case row.Result == Passed && cannotRun(build) == "":
			passed++
		case row.Result == Skipped && strings.Contains(row.Reason, level(build)) && level(build) != "":
		default:
			t.Errorf("%s: %s %s %s", build.Library, row.Result, row.Step, row.Reason)
		}
	}
	if passed == 0 {
		t.Error("none was tried")
	}
	t.Logf("%d of %d variants run on this machine", passed, len(builds))
}
