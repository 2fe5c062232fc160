package rpmhook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockPath, below the root, keeps the hooks of two transactions apart.
const lockPath = "run/lpbuild.lock"

// errLocked says that another hook was at work for as long as this one may wait.
var errLocked = errors.New("another live-patch hook is running")

// lock takes the lock, waiting until ctx is done. The kernel releases it when
// the file is closed, at the latest when this program ends.
func lock(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	// flock has no timeout: ask again instead.
	for pause := time.NewTicker(20 * time.Millisecond); ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			pause.Stop()
			return f, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			pause.Stop()
			f.Close()
			return nil, &os.PathError{Op: "lock", Path: path, Err: err}
		}
		select {
		case <-ctx.Done():
			pause.Stop()
			f.Close()
			return nil, fmt.Errorf("%s: %w", path, errLocked)
		case <-pause.C:
		}
	}
}
