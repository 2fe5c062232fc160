package rpmmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// A Fetcher gets the files of one repository. Implementations bound what they
// write, but vouch for nothing: the bytes are the caller's to verify.
type Fetcher interface {
	// Fetch appends the file at the clean relative path to dst, which holds
	// its first bytes already (dst's offset is at its end), or truncates dst
	// and starts over where it cannot go on. It writes at most limit bytes in
	// all: one that is larger ends in ErrChecksum. progress gets the number of
	// bytes as they arrive, a negative one where it starts over. The error
	// wraps ErrNotFound if there is no such file.
	Fetch(ctx context.Context, path string, dst *os.File, limit int64, progress func(int64)) error
}

// newFetcher chooses by the URL's scheme; a bare path is a folder.
func newFetcher(rawURL string, opts Options) (Fetcher, error) {
	if !strings.Contains(rawURL, "://") {
		return folderFetcher{rawURL}, nil
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	switch {
	case u.Scheme == "file" && (u.Host == "" || u.Host == "localhost"):
		return folderFetcher{filepath.FromSlash(u.Path)}, nil
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
		if opts.Offline {
			return offlineFetcher{u.Redacted()}, nil
		}
		return &httpFetcher{base: u, client: opts.httpClient(), stall: opts.stall()}, nil
	}
	return nil, fmt.Errorf("%s: not an http, https or file URL", u.Redacted())
}

type offlineFetcher struct{ base string }

func (f offlineFetcher) Fetch(_ context.Context, path string, _ *os.File, _ int64, _ func(int64)) error {
	return fmt.Errorf("%s/%s: %w", strings.TrimSuffix(f.base, "/"), path, ErrOffline)
}

type folderFetcher struct{ dir string }

func (f folderFetcher) Fetch(ctx context.Context, path string, dst *os.File, limit int64, progress func(int64)) error {
	src, err := os.Open(filepath.Join(f.dir, filepath.FromSlash(path)))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err != nil {
		return err
	}
	defer src.Close()
	if err := restart(dst, progress); err != nil {
		return err
	}
	return copyBounded(ctx, dst, src, limit, progress)
}

// restart throws away what dst holds.
func restart(dst *os.File, progress func(int64)) error {
	had, err := dst.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	progress(-had)
	if err := dst.Truncate(0); err != nil {
		return err
	}
	_, err = dst.Seek(0, io.SeekStart)
	return err
}

// copyBounded copies up to limit bytes and says so if there are more.
func copyBounded(ctx context.Context, dst io.Writer, src io.Reader, limit int64, progress func(int64)) error {
	buf := make([]byte, 128<<10)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := src.Read(buf)
		if limit -= int64(n); limit < 0 {
			return fmt.Errorf("%w: larger than expected", ErrChecksum)
		}
		if _, err := dst.Write(buf[:n]); err != nil {
			return err
		}
		progress(int64(n))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// maxIdleAttempts is the number of requests in a row that may end without a
// single new byte.
const maxIdleAttempts = 3

// httpFetcher goes on with a Range request where a connection was cut.
// Requests that fail before a body arrives are repeated by go-retryablehttp.
type httpFetcher struct {
	base   *url.URL
	client *retryablehttp.Client
	stall  time.Duration
}

func (f *httpFetcher) Fetch(ctx context.Context, path string, dst *os.File, limit int64, progress func(int64)) error {
	u := f.base.JoinPath(strings.Split((&url.URL{Path: path}).EscapedPath(), "/")...)
	idle := 0
	for {
		before, err := dst.Seek(0, io.SeekEnd)
		if err != nil {
			return err
		}
		err = f.once(ctx, u, dst, limit, progress)
		var cut *cutError
		if !errors.As(err, &cut) {
			return err
		}
		after, serr := dst.Seek(0, io.SeekEnd)
		if serr != nil {
			return serr
		}
		if idle++; after > before {
			idle = 0
		}
		if idle >= maxIdleAttempts || ctx.Err() != nil {
			return fmt.Errorf("%s: %w", u.Redacted(), errors.Join(cut.err, context.Cause(ctx)))
		}
	}
}

// cutError is the end of a body before its time: worth another request.
type cutError struct{ err error }

func (e *cutError) Error() string { return e.err.Error() }

// once makes one request for what dst lacks.
func (f *httpFetcher) once(ctx context.Context, u *url.URL, dst *os.File, limit int64, progress func(int64)) error {
	have, err := dst.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(f.stall, func() { cancel(fmt.Errorf("nothing arrived for %v", f.stall)) })
	defer timer.Stop()
	resp, err := f.request(ctx, u, have)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusPartialContent && startsAt(resp, have):
	case resp.StatusCode == http.StatusOK, resp.StatusCode == http.StatusRequestedRangeNotSatisfiable, resp.StatusCode == http.StatusPartialContent:
		if err := restart(dst, progress); err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return &cutError{fmt.Errorf("answer %s to a request from byte %d", resp.Status, have)}
		}
		have = 0
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		return fmt.Errorf("%s: %w", u.Redacted(), ErrNotFound)
	default:
		return fmt.Errorf("%s: answer %s", u.Redacted(), resp.Status)
	}
	body := stallReader{resp.Body, timer, f.stall}
	err = copyBounded(ctx, dst, body, limit-have, progress)
	if err == nil || errors.Is(err, ErrChecksum) {
		return err
	}
	return &cutError{errors.Join(err, context.Cause(ctx))}
}

func (f *httpFetcher) request(ctx context.Context, u *url.URL, from int64) (*http.Response, error) {
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "lpbuild")
	// The bytes are what is signed: no transparent decompression.
	req.Header.Set("Accept-Encoding", "identity")
	if from > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(from, 10)+"-")
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, errors.Join(err, context.Cause(ctx))
	}
	return resp, nil
}

// startsAt says that a partial answer begins at byte off.
func startsAt(resp *http.Response, off int64) bool {
	return strings.HasPrefix(resp.Header.Get("Content-Range"), "bytes "+strconv.FormatInt(off, 10)+"-")
}

// stallReader puts off the deadline with every byte that arrives.
type stallReader struct {
	r     io.Reader
	timer *time.Timer
	stall time.Duration
}

func (s stallReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if n > 0 {
		s.timer.Reset(s.stall)
	}
	return n, err
}
