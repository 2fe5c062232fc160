package pipeline

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/versions"
)

// lockRetry is how long to wait before the lock is tried again: flock has no
// timeout.
const lockRetry = 50 * time.Millisecond

// lock waits until no other lpbuild writes into the project, and returns the end
// of the own turn: of two runs, each would take containers of the other for its
// own. It is an advisory lock (flock(2)) on the project's folder, which goes
// with the process and leaves nothing behind. Where folders cannot be locked,
// as on some network file systems, there is none.
func (p *Project) lock(ctx context.Context, opts Options) (unlock func(), err error) {
	dir, err := os.Open(p.Dir)
	if err != nil {
		return nil, err
	}
	for waiting := false; ; waiting = true {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			p.removeUnfinished()
			return func() { _ = dir.Close() }, nil
		}
		if !waiting && opts.Log != nil {
			opts.Log.Info("another lpbuild works in the project: waiting", "project", p.Dir)
		}
		select {
		case <-ctx.Done():
			_ = dir.Close()
			return nil, context.Cause(ctx)
		case <-time.After(lockRetry):
		}
	}
}

// removeUnfinished removes the files that a run which was killed had not given
// their names. What cannot be removed is in nobody's way.
//
// Precondition: the project is locked.
func (p *Project) removeUnfinished() {
	for _, dir := range []string{filepath.Join(p.Dir, BuildDir), p.outDir(), filepath.Join(p.Dir, versions.RecordsDir)} {
		names, _ := filesIn(dir, ".lpbuild-*")
		for _, name := range names {
			_ = os.Remove(name)
		}
	}
}
