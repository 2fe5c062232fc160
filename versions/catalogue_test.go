package versions

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
)

// The debug symbols are in a repository of their own, and an update is in two
// products' repositories: it is fetched from the one with the better priority.
func TestRepositoriesOfOneProject(t *testing.T) {
	l := newLab(t, "1.0")
	second, debugs := *l, *l
	second.repo, debugs.repo = t.TempDir(), t.TempDir()
	run(t, "sh", "-c", `mv "$1"/*debuginfo* "$3" && cp "$1"/*.rpm "$2"`, "sh", l.repo, second.repo, debugs.repo)
	for _, lab := range []*lab{l, &second, &debugs} {
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
