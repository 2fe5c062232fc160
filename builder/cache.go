package builder

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// cacheFormat is part of every cache key. Raise it whenever the same input
// shall give other bytes (flags, stub libraries, metadata).
const cacheFormat = 1

// store keeps results by the digest of all that they are made from. An entry
// is one file: the SHA-256 of the payload in hexadecimal, LF, the payload; one
// that does not match is as good as none. A store without a folder keeps
// nothing.
type store struct{ dir string }

// get returns the payload kept under kind and key, or false.
func (s *store) get(kind, key string) ([]byte, bool) {
	if s.dir == "" {
		return nil, false
	}
	data, err := os.ReadFile(s.file(kind, key))
	const head = 2*sha256.Size + 1
	if err != nil || len(data) < head || data[head-1] != '\n' {
		return nil, false
	}
	if digest(data[head:]) != string(data[:head-1]) {
		return nil, false
	}
	return data[head:], true
}

// put keeps payload under kind and key. It need not survive a crash: a torn
// entry fails its digest.
func (s *store) put(kind, key string, payload []byte) error {
	if s.dir == "" {
		return nil
	}
	entry := append([]byte(digest(payload)+"\n"), payload...)
	return writeAtomic(s.file(kind, key), entry, 0o644, false)
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

// writeAtomic writes data as name: a reader, also after a crash if durable is
// set, sees the old file or the whole new one.
func writeAtomic(name string, data []byte, mode os.FileMode, durable bool) (err error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".lpbuild-*")
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
