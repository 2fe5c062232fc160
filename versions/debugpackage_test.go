package versions

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// Debug symbols that come later are noticed even if no name asks for them.
func TestDebugSymbolsComeLater(t *testing.T) {
	l := newLab(t)
	l.pkg("demo", "1.9", l.key, libraryFiles(compile(t, "1.9"))...)
	l.index()
	if lock := l.download("demo"); lock.Builds[0].DebugRPMSHA256 != "" {
		t.Fatalf("%+v", lock.Builds[0])
	}
	l.pkg("demo-debuginfo", "1.9", l.key, debugFiles(compile(t, "1.9"))...)
	l.index()
	if lock := l.download("demo"); lock.Builds[0].DebugRPMSHA256 == "" {
		t.Error("the lock has no debug package")
	}
}

// Of several debug packages with the same EVR the one with the build-id counts.
func TestDebugPackageOfAnotherBuild(t *testing.T) {
	l := newLab(t)
	l.pkg("demo", "1.9", l.key, libraryFiles(compile(t, "1.9"))...)
	l.pkg("demo-debuginfo", "1.9", l.key, debugFiles(compile(t, "1.10"))...)
	l.index()
	right := newLab(t)
	right.pkg("demo-debuginfo", "1.9", right.key, debugFiles(compile(t, "1.9"))...)
	right.index()
	req := l.request("hidden")
	req.Repositories = append(req.Repositories, Repository{Name: "right", URL: right.server.URL,
		Keys: []string{filepath.Join(right.project, "keys/lab.asc")}})
	if _, err := Download(ctx, req, l.options()); err != nil {
		t.Fatal(err)
	}
	records, err := ReadRecords(l.project)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := records[0].Function("hidden"); err != nil {
		t.Error(err)
	}
}

// A debug file under the right name but of another build is refused by its own
// build-id.
func TestDebugFileOfAnotherBuild(t *testing.T) {
	l := newLab(t)
	c := compile(t, "1.9")
	l.pkg("demo", "1.9", l.key, libraryFiles(c)...)
	c.debug = compile(t, "1.10").debug
	l.pkg("demo-debuginfo", "1.9", l.key, debugFiles(c)...)
	l.index()
	if lock, err := Download(ctx, l.request("hidden"), l.options()); !errors.Is(err, elfinfo.ErrBuildID) || lock != nil {
		t.Errorf("%v, %v; want ErrBuildID", lock, err)
	}
}

// Without debug symbols a private name is unknown, not absent.
func TestNoDebugSymbols(t *testing.T) {
	l := newLab(t)
	l.pkg("demo", "1.9", l.key, libraryFiles(compile(t, "1.9"))...)
	l.index()
	l.download("demo", "hidden")
	records, err := ReadRecords(l.project)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := records[0].Function("demo"); err != nil {
		t.Error(err)
	}
	if _, err := records[0].Function("hidden"); !errors.Is(err, elfinfo.ErrNotRecorded) {
		t.Errorf("hidden: %v, want ErrNotRecorded", err)
	}
	l.pkg("demo-debuginfo", "1.9", l.key, debugFiles(compile(t, "1.9"))...)
	l.index()
	l.download("demo", "hidden")
	if records, err = ReadRecords(l.project); err != nil {
		t.Fatal(err)
	}
	if _, err := records[0].Function("hidden"); err != nil {
		t.Errorf("debug symbols came later: %v", err)
	}
}
