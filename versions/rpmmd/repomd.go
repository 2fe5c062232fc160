package rpmmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/lpbuild/lpbuild/versions/keyring"
)

const repomdPath = "repodata/repomd.xml"

// fromMetadata reads repomd.xml and primary.xml. Where the repository is
// replaced between the two, both are read once more.
func (r *Repository) fromMetadata(ctx context.Context, want func(name, arch string) bool) ([]Package, error) {
	index, err := r.index(ctx)
	if err != nil {
		return nil, err
	}
	for again := true; ; again = false {
		packages, err := r.packages(ctx, index, want)
		stale := errors.Is(err, ErrNotFound) || errors.Is(err, ErrChecksum) || errors.Is(err, ErrTruncated)
		if !stale || !again {
			return packages, err
		}
		now, ierr := r.index(ctx)
		if ierr != nil || bytes.Equal(now.data, index.data) {
			return nil, err
		}
		r.log.Info("the repository changed while it was read", "reason", err)
		index = now
	}
}

func (r *Repository) packages(ctx context.Context, x *index, want func(name, arch string) bool) ([]Package, error) {
	md, err := ParseRepomd(bytes.NewReader(x.data))
	if err != nil {
		return nil, err
	}
	d, err := md.primary()
	if err != nil {
		return nil, fmt.Errorf("repomd.xml: %w", err)
	}
	packages, err := r.primary(ctx, d, want)
	if err == nil {
		r.provenance.Store(provenanceOf(md, x.signer))
	}
	return packages, err
}

// primary is the one file primary.xml that the repository has. Others, as
// primary_db and primary_zck, hold the same for other programs.
func (md *Repomd) primary() (Data, error) {
	var found []Data
	for _, d := range md.Data {
		if d.Type == "primary" {
			found = append(found, d)
		}
	}
	if len(found) != 1 {
		return Data{}, fmt.Errorf("%w: it names %d files primary.xml instead of one", ErrFormat, len(found))
	}
	return found[0], nil
}

// An index is a verified repomd.xml; signer is zero where the project allows
// that there is none.
type index struct {
	data   []byte
	signer keyring.Signer
}

// index returns the repomd.xml of the first server that has the one that the
// metalink calls the newest, else the newest that any has.
func (r *Repository) index(ctx context.Context) (*index, error) {
	var best *index
	rank := -1
	err := r.try(ctx, repomdPath, func(s *server) error {
		x, err := r.signed(ctx, s)
		if err != nil {
			return err
		}
		behind := r.behind(x.data)
		if behind < 0 {
			return fmt.Errorf("%s: %w: the metalink knows no such revision", repomdPath, ErrChecksum)
		}
		if best == nil || behind < rank {
			best, rank = x, behind
		}
		if behind > 0 {
			return fmt.Errorf("%s: %w by %d revisions", repomdPath, errBehind, behind)
		}
		return nil
	})
	if err != nil && (best == nil || ctx.Err() != nil) {
		return nil, err
	}
	if rank > 0 {
		r.log.Warn("no mirror has the newest revision", "behind", rank)
	}
	return best, nil
}

// signed fetches repomd.xml from one server and verifies its signature.
func (r *Repository) signed(ctx context.Context, s *server) (*index, error) {
	data, err := small(ctx, s.fetcher, repomdPath, maxRepomd)
	if err != nil {
		return nil, err
	}
	signature, err := small(ctx, s.fetcher, repomdPath+".asc", maxSignature)
	if errors.Is(err, ErrNotFound) {
		if r.src.Unsigned {
			r.log.Warn("metadata is not signed, as lpbuild.yaml allows; packages must be")
			return &index{data: data}, nil
		}
		return nil, fmt.Errorf("%s: %w: there is no repomd.xml.asc", repomdPath, keyring.ErrUnsigned)
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
		return nil, fmt.Errorf("%s: %w", repomdPath, err)
	}
	return &index{data, signer}, nil
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
		r.log.Debug("metadata from the cache", "file", file)
		return packages, nil
	} else if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, ErrChecksum) && !errors.Is(err, ErrTruncated) {
		return nil, err
	}
	a := artifact{path: d.Href, size: d.Size, sum: d.Checksum, progress: func(int64) {}}
	if err := r.obtain(ctx, a, file); err != nil {
		return nil, err
	}
	return readPrimary(file, d, want)
}
