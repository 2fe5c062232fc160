package versions

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"
)

func TestSecondRunDownloadsNothing(t *testing.T) {
	l := newLab(t, "1.9", "1.10")
	l.download("demo")
	l.packageRequests()
	before := l.snapshot()
	l.download("demo")
	if n := l.packageRequests(); n != 0 {
		t.Errorf("%d package requests", n)
	}
	if !maps.Equal(before, l.snapshot()) {
		t.Error("the project changed")
	}
}

func TestDamagedStore(t *testing.T) {
	l := newLab(t, "1.9")
	lock := l.download("demo")
	l.packageRequests()
	store, err := OpenStore(l.store)
	if err != nil {
		t.Fatal(err)
	}
	records, err := ReadRecords(l.project)
	if err != nil {
		t.Fatal(err)
	}
	lib, err := store.Library(records[0])
	if err != nil {
		t.Fatal(err)
	}
	l.writeTo(store.rpmPath(lock.Builds[0].RPMSHA256), []byte("damage"))
	l.writeTo(lib, []byte("damage"))
	if _, err := store.Library(records[0]); !errors.Is(err, ErrChecksum) {
		t.Errorf("damaged library: %v, want ErrChecksum", err)
	}
	l.download("demo")
	if n := l.packageRequests(); n != 1 {
		t.Errorf("%d package requests, want 1", n)
	}
	if _, err := store.Library(records[0]); err != nil {
		t.Errorf("not unpacked anew: %v", err)
	}
}

// TestStoreThatRotted: a file of the right size and other content, as a crash or
// a disk leaves it, gets into no record.
func TestStoreThatRotted(t *testing.T) {
	l := newLab(t, "1.9")
	l.download("demo")
	records, err := ReadRecords(l.project)
	if err != nil {
		t.Fatal(err)
	}
	store, err := OpenStore(l.store)
	if err != nil {
		t.Fatal(err)
	}
	lib, err := store.Library(records[0])
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(lib)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	l.writeTo(lib, data)
	if err := errors.Join(os.Remove(filepath.Join(l.project, LockFile)), os.RemoveAll(filepath.Join(l.project, RecordsDir))); err != nil {
		t.Fatal(err)
	}
	l.download("demo")
	again, err := ReadRecords(l.project)
	if err != nil || again[0].LibrarySHA256 != records[0].LibrarySHA256 {
		t.Errorf("recorded from a damaged file: %v", err)
	}
}

// Signed anew: another package file, the same build.
func TestSameBuildInTwoPackages(t *testing.T) {
	l := newLab(t, "1.9")
	second := newLab(t, "1.9")
	req := l.request("demo")
	req.Repositories = append(req.Repositories, Repository{Name: "second", URL: second.server.URL,
		Keys: []string{filepath.Join(second.project, "keys/lab.asc")}})
	lock, err := Download(ctx, req, l.options())
	if err != nil || len(lock.Builds) != 2 || lock.Builds[0].Record != lock.Builds[1].Record {
		t.Fatalf("%+v, %v", lock, err)
	}
	if records, err := ReadRecords(l.project); err != nil || len(records) != 1 {
		t.Errorf("%d records, %v", len(records), err)
	}
	if fresh, err := NewBuilds(ctx, req, l.options()); err != nil || len(fresh) != 0 {
		t.Errorf("new builds %v, %v", fresh, err)
	}
}

// Whoever reads in the store finds every file there while others fill it.
func TestOneStoreForManyDownloads(t *testing.T) {
	l := newLab(t, "1.9")
	for range 20 {
		opts := l.options()
		opts.Store = t.TempDir()
		var g errgroup.Group
		for range 6 {
			req := l.request("demo")
			req.ProjectDir = t.TempDir()
			req.Repositories[0].Keys = []string{filepath.Join(l.project, "keys/lab.asc")}
			g.Go(func() error {
				lock, err := Download(ctx, req, opts)
				if err == nil && len(lock.Builds) != 1 {
					err = fmt.Errorf("%d builds", len(lock.Builds))
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}
