package versions

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// A type that a live patch declares anew is looked up although the build is known,
// and what an older lpbuild recorded is recorded again.
func TestRecordsAreMadeAgain(t *testing.T) {
	l := newLab(t, "1.9")
	l.download("demo")
	req := l.request("demo")
	req.Types = []string{"struct nothing"}
	if _, err := Download(ctx, req, l.options()); err != nil {
		t.Fatal(err)
	}
	records, err := ReadRecords(l.project)
	if err != nil {
		t.Fatal(err)
	}
	if found, ok := records[0].TypeNames["struct nothing"]; !ok || len(found) != 0 {
		t.Errorf("struct nothing: %v, %v", found, ok)
	}
	names, err := filepath.Glob(filepath.Join(l.project, "versions", "*.json"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%q, %v", names, err)
	}
	was, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	facts := fmt.Sprintf("\"facts\": %d,", elfinfo.RecordFacts)
	if err := os.WriteFile(names[0], []byte(strings.Replace(string(was), facts, "", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadRecords(l.project); !errors.Is(err, elfinfo.ErrNotRecorded) {
		t.Errorf("a record without the newest facts: %v", err)
	}
	if _, err := Download(ctx, req, l.options()); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(names[0]); err != nil || string(now) != string(was) {
		t.Errorf("the record made again differs: %v\n%.300s", err, now)
	}
}

// What a project no longer wants leaves its lock and its records.
func TestStaleRecords(t *testing.T) {
	l := newLab(t, "1.9")
	l.writeTo(filepath.Join(l.project, RecordsDir, "stale.json"), []byte("{}"))
	l.writeTo(filepath.Join(l.project, RecordsDir, "README"), []byte("mine"))
	l.download()
	entries, err := os.ReadDir(filepath.Join(l.project, RecordsDir))
	if err != nil || len(entries) != 2 || entries[0].Name() != "README" {
		t.Errorf("%v, %v", entries, err)
	}
}
