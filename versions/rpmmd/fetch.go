package rpmmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A fetcher gets the files of one place. Implementations bound what they
// write, but vouch for nothing: the bytes are the caller's to verify.
type fetcher interface {
	// fetch appends the wanted file to dst, which holds its first bytes already
	// (dst's offset is at its end), or truncates dst and starts over where it
	// cannot go on. The error wraps ErrNotFound if there is no such file,
	// errLocal if dst is to blame.
	fetch(ctx context.Context, w wanted, dst *os.File) error
}

// wanted is one file of a repository.
type wanted struct {
	path string // clean, below the repository
	// limit is the most that is written, in bytes: a larger file ends in
	// ErrChecksum. exact says that it has that size.
	limit int64
	exact bool
	// vouched says that the digest is known: parts that come from several
	// answers may be put together.
	vouched bool
	// progress gets the number of bytes as they arrive, a negative one where
	// the fetcher starts over.
	progress func(int64)
}

// errLocal marks what no other mirror changes: a full disk.
var errLocal = errors.New("cannot be written")

type offlineFetcher struct{ base string }

func (f offlineFetcher) fetch(_ context.Context, w wanted, _ *os.File) error {
	return fmt.Errorf("%s/%s: %w", strings.TrimSuffix(f.base, "/"), w.path, ErrOffline)
}

type folderFetcher struct{ dir string }

func (f folderFetcher) fetch(ctx context.Context, w wanted, dst *os.File) error {
	src, err := os.Open(filepath.Join(f.dir, filepath.FromSlash(w.path)))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err != nil {
		return err
	}
	defer src.Close()
	if err := restart(dst, w.progress); err != nil {
		return err
	}
	return copyBounded(ctx, dst, src, w)
}

// restart throws away what dst holds.
func restart(dst *os.File, progress func(int64)) error {
	had, err := dst.Seek(0, io.SeekCurrent)
	if err == nil {
		progress(-had)
		err = dst.Truncate(0)
	}
	if err == nil {
		_, err = dst.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errLocal, err)
	}
	return nil
}

// copyBounded copies up to the limit of w and says so if there are more.
func copyBounded(ctx context.Context, dst io.Writer, src io.Reader, w wanted) error {
	buf := make([]byte, 128<<10)
	left := w.limit
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n, err := src.Read(buf)
		if left -= int64(n); left < 0 {
			return fmt.Errorf("%w: larger than %d bytes", ErrChecksum, w.limit)
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return fmt.Errorf("%w: %w", errLocal, err)
		}
		w.progress(int64(n))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
