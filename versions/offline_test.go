package versions

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOffline(t *testing.T) {
	l := newLab(t, "1.9", "1.10")
	opts := l.options()
	opts.Offline = true
	if _, err := Download(ctx, l.request("demo"), opts); !errors.Is(err, ErrOffline) {
		t.Fatalf("with nothing at hand: %v, want ErrOffline", err)
	}
	l.download("demo")
	l.server.Close()
	before := l.snapshot()
	if _, err := Download(ctx, l.request("demo"), opts); err != nil {
		t.Fatalf("with lock and store: %v", err)
	}
	if !maps.Equal(before, l.snapshot()) {
		t.Error("the project changed")
	}
	if _, err := Download(ctx, l.request("demo", "hidden"), opts); err != nil {
		t.Errorf("a new name, from the store: %v", err)
	}
	opts.Store = t.TempDir()
	if _, err := Download(ctx, l.request("demo"), opts); err != nil {
		t.Errorf("records are enough where the store is empty: %v", err)
	}
	_, err := Download(ctx, l.request("demo", "another"), opts)
	if !errors.Is(err, ErrOffline) || !strings.Contains(err.Error(), "demo-1.9-1.x86_64") {
		t.Errorf("a new name without the store: %v, want ErrOffline with the package", err)
	}
}

func TestLocalRepositories(t *testing.T) {
	l := newLab(t, "1.9")
	plain := t.TempDir()
	for _, name := range []string{"demo-1.9-1.x86_64.rpm", "demo-debuginfo-1.9-1.x86_64.rpm"} {
		b, err := os.ReadFile(filepath.Join(l.repo, name))
		if err != nil {
			t.Fatal(err)
		}
		l.writeTo(filepath.Join(plain, "x86_64", name), b)
	}
	for _, url := range []string{"file://" + l.repo, l.repo, plain} {
		req := l.request("hidden")
		req.ProjectDir = t.TempDir()
		req.Repositories = []Repository{{Name: "local", URL: url, Keys: []string{filepath.Join(l.project, "keys/lab.asc")}}}
		opts := l.options()
		opts.Offline = true
		if lock, err := Download(ctx, req, opts); err != nil || len(lock.Builds) != 1 {
			t.Errorf("%s: %+v, %v", url, lock, err)
		}
	}
	// In a folder nothing but the packages' own signatures vouches.
	l.pkg("demo", "1.9", nil, libraryFiles(compile(t, "1.9"))...)
	if err := os.RemoveAll(filepath.Join(l.repo, "repodata")); err != nil {
		t.Fatal(err)
	}
	req := l.request()
	req.Repositories[0].URL = l.repo
	if _, err := Download(ctx, req, l.options()); !errors.Is(err, ErrSignature) {
		t.Errorf("unsigned package in a folder: %v, want ErrSignature", err)
	}
}
