package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// packages measures the source package of the real builds beside an archive of
// the same files.
func (f *farm) packages(ctx context.Context) error {
	project, archive := f.path("real"), f.path("archive.tar.xz")
	tar := []string{"tar", "-cJf", archive, "-C", project, "keys", "livepatches", "lpbuild.yaml", "versions", "versions.lock"}
	var dist, plain figure
	for range f.rounds {
		c, err := f.lpbuild(ctx, project, f.dir, "dist")
		if err != nil {
			return err
		}
		dist = append(dist, c)
		if c, err = f.run(ctx, f.dir, tar...); err != nil {
			return err
		}
		plain = append(plain, c)
	}
	made, err := filepath.Glob(filepath.Join(project, "dist", "*.tar.xz"))
	if err != nil || len(made) != 1 {
		return fmt.Errorf("archives: %v: %w", made, err)
	}
	header("source package", "times as long, by the clock and in processor time, KiB")
	for _, l := range []struct {
		name, file string
		figure     figure
	}{{"lpbuild dist", made[0], dist}, {"tar -cJ of the same files", archive, plain}} {
		info, err := os.Stat(l.file)
		if err != nil {
			return err
		}
		line(l.name, l.figure, fmt.Sprintf("%s, %d", l.figure.ratio(plain), info.Size()>>10))
	}
	return nil
}
