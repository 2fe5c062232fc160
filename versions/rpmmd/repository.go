package rpmmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/lpbuild/lpbuild/versions/keyring"
)

// A Source says where a repository is and who may sign for it.
type Source struct {
	// Name is for messages and the lock.
	Name string
	// URL is http(s)://, file://, or the path of a folder: of a repository, or
	// of RPM files without repodata.
	URL string
	// Keys verify repomd.xml. A repository whose metadata is not signed by one
	// of them is refused.
	Keys *keyring.Keyring
}

// Options are optional; the zero value works.
type Options struct {
	// Cache is a folder for metadata files, named by their digests; "" keeps none.
	Cache string
	// Offline fails with ErrOffline where the network would be needed.
	Offline bool
	// Client makes the requests; nil is a client of its own.
	Client *http.Client
	// RetryWait is the wait before the first repetition of a request that
	// failed (it doubles); 0 is one second.
	RetryWait time.Duration
	// Stall is how long a connection may be silent; 0 is a minute.
	Stall time.Duration
	// Log gets retries and cache hits; nil discards.
	Log *slog.Logger
}

func (o Options) stall() time.Duration {
	if o.Stall > 0 {
		return o.Stall
	}
	return time.Minute
}

func (o Options) log() *slog.Logger {
	if o.Log != nil {
		return o.Log
	}
	return slog.New(slog.DiscardHandler)
}

func (o Options) httpClient() *retryablehttp.Client {
	c := retryablehttp.NewClient()
	if o.Client != nil {
		c.HTTPClient = o.Client
	}
	c.Logger = o.log()
	c.RetryMax = 4
	c.RetryWaitMin = time.Second
	if o.RetryWait > 0 {
		c.RetryWaitMin = o.RetryWait
	}
	c.RetryWaitMax = 16 * c.RetryWaitMin
	c.ErrorHandler = retryablehttp.PassthroughErrorHandler
	return c
}

// A Repository answers which packages there are and fetches them. It is safe
// for concurrent use.
type Repository struct {
	src     Source
	opts    Options
	fetcher Fetcher

	provenance atomic.Pointer[Provenance] // nil before Packages has read metadata
}

// Open prepares a repository; nothing is fetched yet.
func Open(src Source, opts Options) (*Repository, error) {
	f, err := newFetcher(src.URL, opts)
	if err != nil {
		return nil, fmt.Errorf("repository %s: %w", src.Name, err)
	}
	return &Repository{src: src, opts: opts, fetcher: f}, nil
}

// Name is the repository's name.
func (r *Repository) Name() string { return r.src.Name }

// Packages returns all binary packages with one of the names and one of the
// architectures (an empty list of these means all), in the order of the
// metadata. The error wraps keyring.ErrUnsigned, ErrSignature or
// ErrUntrustedKey, ErrChecksum, ErrTruncated, ErrFormat, ErrUnsafePath or
// ErrOffline.
func (r *Repository) Packages(ctx context.Context, names, arches []string) ([]Package, error) {
	want := matcher(names, arches)
	var packages []Package
	var err error
	if dir, ok := r.plainFolder(); ok {
		packages, err = scanFolder(ctx, dir, want)
	} else {
		packages, err = r.fromMetadata(ctx, want)
	}
	if err != nil {
		return nil, fmt.Errorf("repository %s: %w", r.src.Name, err)
	}
	return packages, nil
}

// Download fetches the file of p to dst, verified by size and digest; dst does
// not appear before. progress gets bytes as they arrive.
func (r *Repository) Download(ctx context.Context, p Package, dst string, progress func(int64)) error {
	err := obtain(ctx, r.fetcher, artifact{path: p.Location, size: p.Size, sum: p.Checksum}, dst, progress)
	if err != nil {
		return fmt.Errorf("repository %s: %w", r.src.Name, err)
	}
	return nil
}

func matcher(names, arches []string) func(name, arch string) bool {
	in := func(list []string, s string) bool {
		for _, v := range list {
			if v == s {
				return true
			}
		}
		return len(list) == 0
	}
	return func(name, arch string) bool { return in(names, name) && in(arches, arch) }
}

// plainFolder says that the repository is a local folder without repodata.
func (r *Repository) plainFolder() (string, bool) {
	f, ok := r.fetcher.(folderFetcher)
	if !ok {
		return "", false
	}
	_, err := os.Stat(filepath.Join(f.dir, "repodata", "repomd.xml"))
	return f.dir, errors.Is(err, os.ErrNotExist)
}

func (r *Repository) fromMetadata(ctx context.Context, want func(name, arch string) bool) ([]Package, error) {
	md, err := r.repomd(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range md.Data {
		if d.Type == "primary" {
			return r.primary(ctx, d, want)
		}
	}
	return nil, fmt.Errorf("repomd.xml: %w: it names no primary.xml", ErrFormat)
}

// repomd fetches repomd.xml and verifies its signature before it is parsed.
func (r *Repository) repomd(ctx context.Context) (*Repomd, error) {
	const name = "repodata/repomd.xml"
	data, err := small(ctx, r.fetcher, name, maxRepomd)
	if err != nil {
		return nil, err
	}
	signature, err := small(ctx, r.fetcher, name+".asc", maxSignature)
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%s: %w: there is no repomd.xml.asc", name, keyring.ErrUnsigned)
	}
	if err != nil {
		return nil, err
	}
	keys := r.src.Keys
	if keys == nil {
		keys = new(keyring.Keyring)
	}
	signer, err := keys.Verify(signature, func() (io.Reader, error) { return bytes.NewReader(data), nil })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	md, err := ParseRepomd(bytes.NewReader(data))
	if err == nil {
		r.provenance.Store(provenanceOf(md, signer))
	}
	return md, err
}

// primary parses primary.xml, from the cache if it is there and intact.
func (r *Repository) primary(ctx context.Context, d Data, want func(name, arch string) bool) ([]Package, error) {
	if err := d.Checksum.valid(); err != nil {
		return nil, fmt.Errorf("%s: %w", d.Href, err)
	}
	dir := r.opts.Cache
	if dir == "" {
		tmp, err := os.MkdirTemp("", "lpbuild-metadata-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(tmp)
		dir = tmp
	}
	file := filepath.Join(dir, d.Checksum.Type+"-"+d.Checksum.Value)
	if packages, err := readPrimary(file, d, want); err == nil {
		r.opts.log().Debug("metadata from the cache", "repository", r.src.Name, "file", file)
		return packages, nil
	} else if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, ErrChecksum) && !errors.Is(err, ErrTruncated) {
		return nil, err
	}
	if err := obtain(ctx, r.fetcher, artifact{path: d.Href, size: d.Size, sum: d.Checksum}, file, func(int64) {}); err != nil {
		return nil, err
	}
	return readPrimary(file, d, want)
}
