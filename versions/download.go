package versions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// Download records every shipped build in the project: see the package's
// description. It returns the lock that it wrote.
//
// A failed verification anywhere (ErrSignature, ErrUntrustedKey, ErrChecksum,
// ErrTruncated, ErrUnsafePath, ErrKeyChanged, ErrRollback), two files with one
// build-id (ErrBuildIDTwice), an unreachable repository, or the end of ctx fails
// all, and the project is left as it was. Trouble with single versions is
// joined into an error that wraps ErrSomeFailed; the others are recorded, and
// the lock is returned as well. Other errors wrap ErrNoVersions, ErrNoLibrary,
// ErrKeyFile or ErrOffline.
func Download(ctx context.Context, req Request, opts Options) (*Lock, error) {
	d, err := newDownloader(req, opts)
	if err != nil {
		return nil, err
	}
	c, err := d.catalogue(ctx)
	if err != nil {
		return nil, err
	}
	built, failed := d.all(ctx, c)
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if failedVerification(failed) {
		return nil, failed
	}
	if len(built) == 0 {
		return nil, failed
	}
	if err := d.consistent(built); err != nil {
		return nil, err
	}
	lock, err := d.write(built)
	if err != nil {
		return nil, err
	}
	d.remark(built)
	if failed != nil {
		return lock, fmt.Errorf("%w:\n%w", ErrSomeFailed, failed)
	}
	return lock, nil
}

// A downloader is one run.
type downloader struct {
	req   Request
	opts  Options
	store *Store
	lock  *Lock // what the project has; nil if nothing

	mustAsk bool // the lock does not stand in for a repository

	servers []*debugServer

	accepted []string // fingerprints that Options accept
	pins     []Pin    // of the repositories that answered
}

func newDownloader(req Request, opts Options) (*downloader, error) {
	d := &downloader{req: req.withDefaults(), opts: opts.withDefaults()}
	var err error
	if d.store, err = OpenStore(d.opts.Store); err != nil {
		return nil, err
	}
	if d.lock, err = readProjectLock(d.req.ProjectDir); err != nil {
		return nil, err
	}
	if err := d.newServers(); err != nil {
		return nil, err
	}
	return d, errors.Join(d.checkNames(), d.parseAccepted())
}

// A build is one locked build and its record; the record is nil if the one
// that the project has stays.
type build struct {
	Locked
	record *elfinfo.Build
}

// all works on all versions, d.opts.Jobs at a time, and joins their errors in
// the order of the catalogue. A version that failed keeps what it had.
func (d *downloader) all(ctx context.Context, c *catalogue) ([]build, error) {
	var g errgroup.Group
	g.SetLimit(d.opts.Jobs)
	var mu sync.Mutex
	errs := make([]error, len(c.versions))
	var all []build
	for i, v := range c.versions {
		g.Go(func() error {
			if ctx.Err() != nil {
				return nil
			}
			task := d.opts.Progress.Start(v.pkg.NEVRA.String(), v.totalSize())
			builds, err := d.version(ctx, v, task)
			task.Done(err)
			if err != nil {
				errs[i] = fmt.Errorf("%s: %w", v.pkg.NEVRA, err)
				builds = keep(v.prior)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, builds...)
			return nil
		})
	}
	_ = g.Wait() // errors are in errs: one version's must not hide another's
	return all, errors.Join(errs...)
}

func (v *shipped) totalSize() int64 {
	total := v.pkg.Size
	if len(v.debug) > 0 {
		total += v.debug[0].pkg.Size
	}
	return total
}

func keep(prior []Locked) []build {
	builds := make([]build, len(prior))
	for i, l := range prior {
		builds[i] = build{Locked: l}
	}
	return builds
}

// endOfSupport is that of a build of the version.
func (d *downloader) endOfSupport(v *shipped, built time.Time) *time.Time {
	return d.req.Support.End(v.pkg.NEVRA.String(), v.products, built)
}

// write writes records, then the lock, and then removes the records that the
// lock does not name any more: whenever it is interrupted, the lock on disk
// names records that are there.
func (d *downloader) write(builds []build) (*Lock, error) {
	lock := &Lock{Format: LockFormat, Packages: d.req.Packages}
	files, err := d.encode(builds)
	if err != nil {
		return nil, err
	}
	for _, b := range builds {
		lock.Builds = append(lock.Builds, b.Locked)
	}
	lock.sort()
	lock.Repositories = d.keptPins(lock)
	data, err := lock.encode()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(d.req.ProjectDir, RecordsDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for name, record := range files {
		if err := writeFile(filepath.Join(dir, name), record); err != nil {
			return nil, err
		}
	}
	if err := writeFile(filepath.Join(d.req.ProjectDir, LockFile), data); err != nil {
		return nil, err
	}
	return lock, d.prune(lock)
}

// encode returns the records to write by file name. Packages that ship the
// same build (signed anew, or rebuilt without a change) share a record: that of
// the smallest package digest.
func (d *downloader) encode(builds []build) (map[string][]byte, error) {
	chosen := make(map[string]*elfinfo.Build)
	for _, b := range builds {
		if b.record == nil {
			continue
		}
		other := chosen[b.Record]
		if other != nil && other.BuildID != b.BuildID {
			return nil, fmt.Errorf("%s: build-ids %s and %s begin alike: %w", b.Record, other.BuildID, b.BuildID, ErrBuildIDTwice)
		}
		if other == nil || b.record.RPMSHA256 < other.RPMSHA256 {
			chosen[b.Record] = b.record
		}
	}
	files := make(map[string][]byte, len(chosen))
	for name, record := range chosen {
		var out bytes.Buffer
		if err := record.Encode(&out); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[name] = out.Bytes()
	}
	return files, nil
}

// prune removes version records that the lock does not name.
func (d *downloader) prune(lock *Lock) error {
	named := make(map[string]bool)
	for _, l := range lock.Builds {
		named[l.Record] = true
	}
	dir := filepath.Join(d.req.ProjectDir, RecordsDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".json" && !named[e.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}
