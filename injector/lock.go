package injector

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// lockLimit is how long an operation waits for another one on the same process.
const lockLimit = time.Second

// lock keeps other injectors away from a process until close, or until this
// program ends. It is an advisory lock (flock(2)) on a file of the process's in
// procfs, which is one inode for all who open it while somebody has it open.
// Nobody but the process's user and root may open that one: others could keep it
// locked. Procfs mounted elsewhere has another inode: see job.claim.
func (p *process) lock(ctx context.Context) error {
	f, err := openProc(filepath.Join(p.proc, strconv.Itoa(p.pid), "personality"), unix.O_RDONLY)
	if err != nil {
		return fmt.Errorf("pid %d: %w", p.pid, procError(err))
	}
	const pause = 200 * time.Microsecond
	for deadline := time.Now().Add(lockLimit); ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			p.locked = f
			return nil
		}
		switch {
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return errors.Join(fmt.Errorf("pid %d: lock: %w", p.pid, err), f.Close())
		case ctx.Err() != nil || !time.Now().Before(deadline):
			return errors.Join(fmt.Errorf("another program changes its live patches: %w", errBusy), f.Close())
		}
		nanosleep(pause)
	}
}
