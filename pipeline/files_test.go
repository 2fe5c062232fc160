package pipeline

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestFolderWithBrackets: the name of a project's folder is no pattern.
func TestFolderWithBrackets(t *testing.T) {
	p := farm(t, 2)
	dir := filepath.Join(t.TempDir(), "[lp]*")
	if err := os.Rename(p.Dir, dir); err != nil {
		t.Fatal(err)
	}
	p, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	opts := Options{Cache: t.TempDir()}
	makeFarm(t, p, opts.Cache, Built)
	stale := filepath.Join(dir, BuildDir, "stale.so")
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if _, err := p.MakeShard(t.Context(), opts, Shard{i + 1, 2}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Merge(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a container that nobody wants is still there")
	}
	built, err := p.containers()
	if err != nil || len(built) != 2 {
		t.Errorf("%d containers, %v", len(built), err)
	}
}
