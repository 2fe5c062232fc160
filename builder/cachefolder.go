package builder

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultCacheLimit is the size that a cache folder is kept below, in bytes,
// if Options.CacheLimit is 0.
const DefaultCacheLimit = 4 << 30

const (
	lockName    = "lock"
	trimmedName = "trimmed"
	// trimAfter is how long a folder may grow before it is measured again,
	// abandonedAfter how old an unfinished file is when its writer is dead.
	trimAfter      = 10 * time.Minute
	abandonedAfter = time.Hour
)

// ErrCacheInUse says that a cache cannot be removed while a build uses it.
var ErrCacheInUse = errors.New("a build uses the cache")

// useStore opens the cache folder of o for one run. A folder that another user
// can write to is not used: what is in it would become code that runs
// elsewhere. closeStore ends the use.
func useStore(o Options) *store {
	s := &store{log: o.log()}
	if o.CacheDir == "" {
		return s
	}
	lock, err := openCache(o.CacheDir)
	if err == nil {
		err = flock(lock, unix.LOCK_SH)
	}
	if err != nil {
		s.log.Warn("the cache is not used", "error", err)
		return s
	}
	s.dir, s.lock = o.CacheDir, lock
	return s
}

// openCache makes the folder if need be and returns its lock file.
func openCache(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if reason := foreign(info); reason != "" {
		return nil, fmt.Errorf("%s: %s", dir, reason)
	}
	return os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
}

// foreign says why somebody else may have written a file or folder.
func foreign(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return "owner unknown"
	case int64(st.Uid) != int64(os.Geteuid()):
		return fmt.Sprintf("owned by user %d", st.Uid)
	case info.Mode().Perm()&0o022 != 0:
		return "others may write to it"
	}
	return ""
}

// flock locks or unlocks f; a signal does not end the waiting.
func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return os.NewSyscallError("flock", err)
		}
	}
}

// closeStore ends the use of a folder. If it has grown since it was last
// measured, and nobody else uses it, what has not been used for longest goes.
func (s *store) closeStore(limit int64) {
	if s.lock == nil {
		return
	}
	defer s.lock.Close()
	if limit == 0 {
		limit = DefaultCacheLimit
	}
	stamp := filepath.Join(s.dir, trimmedName)
	info, err := os.Stat(stamp)
	if !s.wrote.Load() || err == nil && time.Since(info.ModTime()) < trimAfter {
		return
	}
	if flock(s.lock, unix.LOCK_EX|unix.LOCK_NB) != nil {
		return
	}
	if err := trimCache(s.dir, limit); err != nil {
		s.logger().Warn("the cache cannot be trimmed", "error", err)
	}
	if err := writeAtomic(stamp, nil, 0o600, false); err != nil {
		s.logger().Debug("the cache keeps no time", "error", err)
	}
}

// cacheEntry is one file of a cache folder.
type cacheEntry struct {
	name string
	size int64
	used time.Time
}

// trimCache removes what a dead process left unfinished and, if the rest is
// larger than limit, the entries that have not been used for longest, down to
// three quarters of it. The caller holds the lock alone.
func trimCache(dir string, limit int64) error {
	entries, err := listCache(dir)
	if err != nil {
		return err
	}
	var size int64
	entries = slices.DeleteFunc(entries, func(e cacheEntry) bool {
		size += e.size
		if !strings.HasPrefix(filepath.Base(e.name), temporary) || time.Since(e.used) < abandonedAfter {
			return false
		}
		size -= e.size
		err = errors.Join(err, os.Remove(e.name))
		return true
	})
	if size <= limit {
		return err
	}
	slices.SortFunc(entries, func(a, b cacheEntry) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.name, b.name)) })
	for _, e := range entries {
		if size <= limit/4*3 {
			break
		}
		err = errors.Join(err, os.Remove(e.name))
		size -= e.size
	}
	return err
}

// listCache lists the entries of a cache folder.
func listCache(dir string) ([]cacheEntry, error) {
	var entries []cacheEntry
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Dir(name) == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		entries = append(entries, cacheEntry{name, info.Size(), info.ModTime()})
		return nil
	})
	return entries, err
}

// ClearCache removes all that a cache folder holds and returns how many bytes
// that were. No folder is an empty one. The error wraps ErrCacheInUse while a
// build uses it; nothing is removed then.
func ClearCache(dir string) (int64, error) {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	lock, err := openCache(dir)
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	if err := flock(lock, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return 0, fmt.Errorf("%s: %w", dir, ErrCacheInUse)
	} else if err != nil {
		return 0, err
	}
	entries, err := listCache(dir)
	if err != nil {
		return 0, err
	}
	var size int64
	for _, e := range entries {
		size += e.size
	}
	folders, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, f := range folders {
		if f.Name() != lockName {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, f.Name())))
		}
	}
	return size, err
}
