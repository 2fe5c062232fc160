package rpmmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// An artifact is a file of a repository and what vouches for it.
type artifact struct {
	path string // below the repository
	size int64  // -1 if unknown
	sum  Checksum
	// progress gets the number of bytes as they arrive, negative where they
	// are thrown away.
	progress func(int64)
}

// wanted is what a fetcher is asked for.
func (a artifact) wanted() wanted {
	w := wanted{path: a.path, limit: a.size, exact: a.size >= 0, vouched: true, progress: a.progress}
	if !w.exact {
		w.limit = maxMetadata
	}
	return w
}

// obtain fetches a to the file dst by way of dst.part, which is kept when the
// connection is lost and gone on with the next time. dst appears only when
// size and digest are right. If they are wrong for a file that was gone on
// with, it is fetched once more from its start: the first part may be of
// another file.
func obtain(ctx context.Context, f fetcher, a artifact, dst string) error {
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return fmt.Errorf("%w: %w", errLocal, err)
	}
	part, err := openPart(dst)
	if err != nil {
		return fmt.Errorf("%w: %w", errLocal, err)
	}
	defer part.Close()
	resumed, err := part.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("%w: %w", errLocal, err)
	}
	a.progress(resumed)
	err = fill(ctx, f, a, part)
	if resumed > 0 && (errors.Is(err, ErrChecksum) || errors.Is(err, ErrTruncated)) {
		if err := restart(part, a.progress); err != nil {
			return err
		}
		err = fill(ctx, f, a, part)
	}
	if err == nil {
		return finish(part, dst)
	}
	if size, serr := part.Seek(0, io.SeekEnd); serr == nil {
		a.progress(-size) // whoever tries next counts anew
	}
	useless := errors.Is(err, ErrChecksum) || errors.Is(err, ErrTruncated) || errors.Is(err, ErrNotFound)
	if useless || part.Name() != dst+".part" {
		err = errors.Join(err, os.Remove(part.Name()))
	}
	return err
}

// finish gives a verified file its name.
func finish(part *os.File, dst string) error {
	err := part.Sync()
	if err == nil {
		err = os.Rename(part.Name(), dst)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errLocal, err)
	}
	return nil
}

// openPart opens the partial file for this process alone; another process that
// fetches the same file gets one of its own.
func openPart(dst string) (*os.File, error) {
	f, err := os.OpenFile(dst+".part", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil && stillNamed(f) {
		return f, nil
	}
	f.Close()
	return os.CreateTemp(filepath.Dir(dst), filepath.Base(dst)+".*.part")
}

// stillNamed says that the name of f still leads to f: another process may have
// finished and renamed it between our open and our lock.
func stillNamed(f *os.File) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(f.Name())
	return err == nil && os.SameFile(mine, named)
}

// fill fetches what part lacks and verifies all of it.
func fill(ctx context.Context, f fetcher, a artifact, part *os.File) error {
	w := a.wanted()
	have, err := part.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("%w: %w", errLocal, err)
	}
	if have > w.limit {
		return fmt.Errorf("%s: %w: larger than %d bytes", a.path, ErrChecksum, w.limit)
	}
	if have != a.size {
		if err := f.fetch(ctx, w, part); err != nil {
			return fmt.Errorf("%s: %w", a.path, err)
		}
	}
	size := a.size
	if size < 0 {
		size, err = part.Seek(0, io.SeekEnd)
	}
	if err == nil {
		_, err = part.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errLocal, err)
	}
	if err := checkReader(part, size, a.sum); err != nil {
		return fmt.Errorf("%s: %w", a.path, err)
	}
	return nil
}

// small fetches a file of at most limit bytes into memory, unverified.
func small(ctx context.Context, f fetcher, path string, limit int64) ([]byte, error) {
	tmp, err := os.CreateTemp("", "lpbuild-repomd-")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLocal, err)
	}
	defer tmp.Close()
	// The file lives on by its descriptor alone: nothing is left behind.
	if err := os.Remove(tmp.Name()); err != nil {
		return nil, fmt.Errorf("%w: %w", errLocal, err)
	}
	if err := f.fetch(ctx, wanted{path: path, limit: limit, progress: func(int64) {}}, tmp); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = b.ReadFrom(io.NewSectionReader(tmp, 0, limit))
	return b.Bytes(), err
}
