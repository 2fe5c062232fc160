package builder

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// cacheFormat is part of every cache key. Raise it whenever the same input
// shall give other bytes (flags, stub libraries, metadata).
const cacheFormat = 3

// maxEntry bounds an entry of the cache, in bytes: no object is larger.
const maxEntry = 256 << 20

// store keeps results by the digest of all that they are made from. An entry
// is one file: the SHA-256 of the payload in hexadecimal, LF, the payload; one
// that does not match, or that another user could have written, is as good as
// none. A store without a folder keeps nothing.
//
// Several processes may use it at once. An entry is read whole or not at all,
// so removing one at any time costs nothing but making it again.
type store struct {
	dir string
	log *slog.Logger
	// lock is held, shared, while a run uses the folder; see useStore.
	lock *os.File
	// wrote says that this run added something.
	wrote atomic.Bool
	// full is for saying once that the folder cannot keep more.
	full sync.Once
}

// get returns the payload kept under kind and key, or false.
func (s *store) get(kind, key string) ([]byte, bool) {
	if s.dir == "" {
		return nil, false
	}
	data, err := s.read(s.file(kind, key))
	const head = 2*sha256.Size + 1
	if err != nil || len(data) < head || data[head-1] != '\n' {
		return nil, false
	}
	if digest(data[head:]) != string(data[:head-1]) {
		return nil, false
	}
	return data[head:], true
}

// read returns the content of an entry that nobody else can have written.
func (s *store) read(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if reason := foreign(info); reason != "" || !info.Mode().IsRegular() || info.Size() > maxEntry {
		return nil, fmt.Errorf("%s: not an entry of this cache (%v, %s)", name, info.Mode(), reason)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, err
	}
	s.touch(name, info.ModTime())
	return data, nil
}

// touchAfter is how precisely the time of an entry says when it was last used.
const touchAfter = time.Hour

// touch notes that an entry is in use: what is used least goes first.
func (s *store) touch(name string, last time.Time) {
	if now := time.Now(); now.Sub(last) > touchAfter {
		_ = os.Chtimes(name, now, now) // at worst the entry is made again
	}
}

// put keeps payload under kind and key. It need not survive a crash: a torn
// entry fails its digest. What cannot be kept, on a full disk, is only made
// again next time.
func (s *store) put(kind, key string, payload []byte) {
	if s.dir == "" {
		return
	}
	entry := append([]byte(digest(payload)+"\n"), payload...)
	if err := writeAtomic(s.file(kind, key), entry, 0o600, false); err != nil {
		s.full.Do(func() { s.logger().Warn("the cache cannot keep results", "error", err) })
		return
	}
	s.wrote.Store(true)
}

func (s *store) logger() *slog.Logger {
	if s.log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.log
}

func (s *store) file(kind, key string) string {
	return filepath.Join(s.dir, kind, key[:2], key[2:])
}

// digest is the SHA-256 of data in hexadecimal.
func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// keyOf is the digest of what is given, in order. Each part must encode as JSON.
func keyOf(parts ...any) (string, error) {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, p := range append([]any{cacheFormat}, parts...) {
		if err := enc.Encode(p); err != nil {
			return "", fmt.Errorf("cache key: %w", err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// temporary is how the names of files begin that are not yet whole.
const temporary = ".lpbuild-"

// writeAtomic writes data as name: a reader, also after a crash if durable is
// set, sees the old file or the whole new one.
func writeAtomic(name string, data []byte, mode os.FileMode, durable bool) (err error) {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, temporary+"*")
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		f, err = os.CreateTemp(dir, temporary+"*")
	}
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if durable {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
