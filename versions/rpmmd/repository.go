package rpmmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lpbuild/lpbuild/versions/keyring"
)

// A Source says where a repository is and who may sign for it. Exactly one of
// URL, Mirrorlist and Metalink is set: http(s)://, file://, or a path.
type Source struct {
	// Name is for messages and the lock, and names the environment variables
	// with credentials (EnvPrefix).
	Name string
	// URL is the folder of a repository, or a local one of RPM files without
	// repodata.
	URL string
	// Mirrorlist and Metalink are files: see ParseMirrorlist, ParseMetalink.
	Mirrorlist, Metalink string
	// Keys verify repomd.xml. A repository whose metadata is not signed by one
	// of them is refused.
	Keys *keyring.Keyring
	// Unsigned accepts metadata that comes without any signature. One that is
	// there must be good all the same.
	Unsigned bool
	// CA is a PEM file with the authorities that may sign the certificate of
	// the server, "" meaning the system's. To other servers that mirror lists
	// and redirects name, both apply.
	CA string
}

func (s Source) address() string { return cmp.Or(s.URL, s.Mirrorlist, s.Metalink) }

// Options are optional; the zero value works.
type Options struct {
	// Cache is a folder for metadata files, named by their digests; "" keeps none.
	Cache string
	// Offline fails with ErrOffline where the network would be needed.
	Offline bool
	// Network is shared with the other repositories of the run; nil is one of
	// its own, with default limits.
	Network *Network
	// RetryWait is the wait before the first repetition of a request that
	// failed (it doubles); 0 is one second.
	RetryWait time.Duration
	// Stall is how long a connection may bring too little; 0 is a minute.
	Stall time.Duration
	// Log gets retries, cache hits, and which mirror was used; nil discards.
	Log *slog.Logger
}

func (o Options) stall() time.Duration     { return cmp.Or(o.Stall, time.Minute) }
func (o Options) retryWait() time.Duration { return cmp.Or(o.RetryWait, time.Second) }

func (o Options) network() *Network {
	if o.Network != nil {
		return o.Network
	}
	return NewNetwork(Limits{})
}

func (o Options) log() *slog.Logger {
	if o.Log != nil {
		return o.Log
	}
	return slog.New(slog.DiscardHandler)
}

// A Repository answers which packages there are and fetches them. It is safe
// for concurrent use.
type Repository struct {
	src    Source
	opts   Options
	client *client
	log    *slog.Logger

	mu      sync.Mutex
	servers []*server // nil until the list is read
	last    *server   // the one that could do it last
	// revisions are those of repomd.xml that a metalink names.
	revisions []Revision

	provenance atomic.Pointer[Provenance] // nil before Packages has read metadata
}

// Open prepares a repository; nothing is fetched yet. The error wraps
// ErrCredentials if there are some that cannot be used.
func Open(src Source, opts Options) (*Repository, error) {
	r := &Repository{src: src, opts: opts}
	var err error
	if r.client, err = newClient(src, opts); err == nil {
		r.log = r.client.log().With("repository", src.Name)
		if src.URL != "" {
			r.servers = make([]*server, 1)
			r.servers[0], err = r.client.server(src.URL, true)
		}
	}
	if err != nil {
		return nil, r.wrap(err)
	}
	return r, nil
}

// wrap names the repository in an error, in which nothing secret is left.
func (r *Repository) wrap(err error) error {
	err = fmt.Errorf("repository %s: %w", r.src.Name, err)
	if r.client == nil {
		return err
	}
	return r.client.network.secrets.hideError(err)
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
		return nil, r.wrap(err)
	}
	return packages, nil
}

// Download fetches the file of p to dst, verified by size and digest; dst does
// not appear before. progress gets bytes as they arrive, a negative number
// where some have to come again.
func (r *Repository) Download(ctx context.Context, p Package, dst string, progress func(int64)) error {
	err := r.obtain(ctx, artifact{path: p.Location, size: p.Size, sum: p.Checksum, progress: progress}, dst)
	if err != nil {
		return r.wrap(err)
	}
	return nil
}

// obtain fetches a from whichever server has it.
func (r *Repository) obtain(ctx context.Context, a artifact, dst string) error {
	return r.try(ctx, a.path, func(s *server) error { return obtain(ctx, s.fetcher, a, dst) })
}

// Fetch fetches a file of at most limit bytes, for which nothing vouches, to
// dst; the caller verifies it. progress gets bytes as they arrive, a negative
// number where some have to come again. The error wraps ErrNotFound if no
// server has the file, ErrChecksum if it is larger.
func (r *Repository) Fetch(ctx context.Context, path string, dst *os.File, limit int64, progress func(int64)) error {
	err := r.try(ctx, path, func(s *server) error {
		return s.fetcher.fetch(ctx, wanted{path: path, limit: limit, progress: progress}, dst)
	})
	if err != nil {
		return r.wrap(err)
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
	if r.src.URL == "" {
		return "", false
	}
	f, ok := r.servers[0].fetcher.(folderFetcher)
	if !ok {
		return "", false
	}
	_, err := os.Stat(filepath.Join(f.dir, "repodata", "repomd.xml"))
	return f.dir, errors.Is(err, os.ErrNotExist)
}
