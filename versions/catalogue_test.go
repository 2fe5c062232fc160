package versions

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// another is a further repository for the same project.
func (l *lab) another() *lab {
	return &lab{t: l.t, key: l.key, repo: l.t.TempDir(), project: l.project, store: l.store}
}

// What the better repository lists but does not have, or has damaged, is
// fetched from another one that lists the same file.
func TestPackageFromAnotherRepository(t *testing.T) {
	for name, spoil := range map[string]string{"missing": `rm "$1"/demo-1.0*.rpm`, "damaged": `for f in "$1"/demo-1.0*.rpm; do printf x >> "$f"; done`} {
		l := newLab(t, "1.0")
		second := l.another()
		run(t, "sh", "-c", `cp "$1"/*.rpm "$2"; `+spoil, "sh", l.repo, second.repo)
		second.index()
		req := l.request("demo")
		first := req.Repositories[0]
		first.Priority = 1
		req.Repositories = []Repository{{Name: "second", URL: second.repo, Priority: 99, Keys: first.Keys}, first}
		var log bytes.Buffer
		opts := l.options()
		opts.Log = slog.New(slog.NewTextHandler(&log, nil))
		lock, err := Download(context.Background(), req, opts)
		if err != nil || len(lock.Builds) != 1 || !strings.Contains(log.String(), "other=second") {
			t.Errorf("%s: %+v, %v\n%s", name, lock, err, &log)
		}
	}
}

// The debug symbols are in a repository of their own, and an update is in two
// products' repositories: it is fetched from the one with the better priority.
func TestRepositoriesOfOneProject(t *testing.T) {
	l := newLab(t, "1.0")
	second, debugs := l.another(), l.another()
	run(t, "sh", "-c", `mv "$1"/*debuginfo* "$3" && cp "$1"/*.rpm "$2"`, "sh", l.repo, second.repo, debugs.repo)
	for _, lab := range []*lab{l, second, debugs} {
		lab.index()
	}
	req := l.request("demo", "hidden")
	keys := []string{"keys/lab.asc"}
	req.Repositories = []Repository{
		{Name: "ga", Product: "one", URL: l.repo, Priority: 99, Keys: keys},
		{Name: "update", Product: "two", URL: second.repo, Priority: 10, Keys: keys},
		{Name: "debug", Product: "one", URL: debugs.repo, Priority: 99, Keys: keys},
	}
	for _, offline := range []bool{false, true} {
		opts := l.options()
		opts.Offline = offline
		lock, err := Download(context.Background(), req, opts)
		if err != nil || len(lock.Builds) != 1 {
			t.Fatalf("offline %v: %+v, %v", offline, lock, err)
		}
		b := lock.Builds[0]
		if b.Repository != "update" || !slices.Equal(b.Products, []string{"one", "two"}) {
			t.Errorf("offline %v: from %s, products %v", offline, b.Repository, b.Products)
		}
		if b.DebugRepository != "debug" || filepath.Base(b.DebugLocation) != "demo-debuginfo-1.0-1.x86_64.rpm" {
			t.Errorf("offline %v: debug symbols from %s: %s", offline, b.DebugRepository, b.DebugLocation)
		}
		record, err := readRecord(l.project, b)
		if err != nil || record.Functions["hidden"] == nil {
			t.Errorf("offline %v: the private function is not recorded: %v", offline, err)
		}
	}
}

// A repository that signs no metadata is used if the project says so. That it
// goes back in time is noticed all the same.
func TestUnsignedRepository(t *testing.T) {
	l := newLab(t, "1.0")
	run(t, "rm", filepath.Join(l.repo, "repodata/repomd.xml.asc"))
	req := l.request("demo")
	if _, err := Download(context.Background(), req, l.options()); !errors.Is(err, ErrSignature) {
		t.Errorf("%v, want ErrSignature", err)
	}
	req.Repositories[0].UnsignedMetadata = true
	lock, err := Download(context.Background(), req, l.options())
	if err != nil || len(lock.Builds) != 1 || lock.Builds[0].SignedBy == "" {
		t.Fatalf("%+v, %v", lock, err)
	}
	edit := `sed -i "s/<revision>[0-9]*/<revision>$2/; s/<timestamp>[0-9]*/<timestamp>$2/" "$1/repodata/repomd.xml"`
	run(t, "sh", "-c", edit, "sh", l.repo, "1000000000")
	if _, err := Download(context.Background(), req, l.options()); !errors.Is(err, ErrRollback) {
		t.Errorf("%v, want ErrRollback", err)
	}
	// Its packages must be signed by the project's keys.
	l = newLab(t)
	c := compile(t, "1.0")
	l.pkg("demo", "1.0", newKey(t), libraryFiles(c)...)
	l.index()
	run(t, "rm", filepath.Join(l.repo, "repodata/repomd.xml.asc"))
	req = l.request("demo")
	req.Repositories[0].UnsignedMetadata = true
	if _, err := Download(context.Background(), req, l.options()); !errors.Is(err, ErrUntrustedKey) {
		t.Errorf("%v, want ErrUntrustedKey", err)
	}
}
