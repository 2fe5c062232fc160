package pipeline

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestOneAtATime: two runs in one project would mix their containers.
func TestOneAtATime(t *testing.T) {
	p := farm(t, 3)
	opts := Options{Cache: t.TempDir()}
	unlock, err := p.lock(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func(context.Context) error{
		"make":       func(ctx context.Context) error { _, err := p.Make(ctx, opts); return err },
		"make shard": func(ctx context.Context) error { _, err := p.MakeShard(ctx, opts, Shard{1, 2}); return err },
		"rpm":        func(ctx context.Context) error { _, _, err := p.RPM(ctx, PackageOptions{Options: opts}); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if err := run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s did not wait: %v", name, err)
		}
		cancel()
	}
	if _, err := os.Stat(filepath.Join(p.Dir, BuildDir)); err == nil {
		t.Error("something was written")
	}
	unlock()
	unfinished := filepath.Join(p.Dir, BuildDir, ".lpbuild-123")
	if err := errors.Join(os.Mkdir(filepath.Dir(unfinished), 0o755), os.WriteFile(unfinished, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	makeFarm(t, p, opts.Cache, Built)
	if _, err := p.Make(t.Context(), opts); err != nil { // the lock was given back
		t.Fatal(err)
	}
	if _, err := os.Stat(unfinished); err == nil {
		t.Error("what a killed run left is still there")
	}
}
