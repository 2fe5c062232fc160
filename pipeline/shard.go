package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
	"github.com/lpbuild/lpbuild/pipeline/dist"
	"github.com/lpbuild/lpbuild/rpmhook"
	"github.com/lpbuild/lpbuild/versions"
)

// ErrShards says that the shards in build/ are not one whole set.
var ErrShards = errors.New("shards are not one set")

// maxShards bounds Shard.N: there is no project with as many builds.
const maxShards = 1 << 12

// A Shard is the part of a project's builds that one machine makes: number I,
// from 1, of N. The zero Shard is all of them. Which shard a build is in depends
// on its build-id and N alone.
type Shard struct{ I, N int }

// ParseShard reads "I/N".
func ParseShard(s string) (Shard, error) {
	i, n, ok := strings.Cut(s, "/")
	shard := Shard{}
	var errI, errN error
	shard.I, errI = strconv.Atoi(i)
	shard.N, errN = strconv.Atoi(n)
	if !ok || errI != nil || errN != nil || shard.I < 1 || shard.I > shard.N || shard.N > maxShards {
		return Shard{}, fmt.Errorf("%q is not a shard such as 1/3", s)
	}
	return shard, nil
}

// String is "I/N".
func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.I, s.N) }

// Holds reports whether a build with that build-id is in the shard.
func (s Shard) Holds(id elfinfo.BuildID) bool {
	if s.N <= 1 {
		return true
	}
	sum := sha256.Sum256([]byte(id))
	return binary.BigEndian.Uint64(sum[:8])%uint64(s.N) == uint64(s.I-1)
}

// of are those of builds that are in the shard.
func (s Shard) of(builds []*elfinfo.Build) []*elfinfo.Build {
	if s.N == 0 {
		return builds
	}
	return slices.DeleteFunc(slices.Clone(builds), func(b *elfinfo.Build) bool { return !s.Holds(b.BuildID) })
}

// file is the name of the shard's manifest in build/.
func (s Shard) file() string { return fmt.Sprintf("set.%d-of-%d.json", s.I, s.N) }

// MakeShard makes the containers of one shard into build/, beside those of
// other shards, and notes in set.I-of-N.json what they are. Merge makes one set
// of all shards; until then build/ has no manifest. The zero Shard is Make.
func (p *Project) MakeShard(ctx context.Context, opts Options, shard Shard) (*Report, error) {
	if shard == (Shard{}) {
		return p.Make(ctx, opts)
	}
	if p.selected {
		return nil, fmt.Errorf("shard %v of some live patches: %w", shard, errors.ErrUnsupported)
	}
	unlock, err := p.lock(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer unlock()
	opts.shard = shard
	report, err := p.each(ctx, "make", builder.Make, opts)
	if err != nil {
		return report, err
	}
	if err := p.forgetShard(report, shard); err != nil || report.Err() != nil {
		return report, err
	}
	return report, p.writeShard(report, shard)
}

// forgetShard removes what build/ has of this shard and the report has not:
// manifests, and containers of the shard's builds.
func (p *Project) forgetShard(report *Report, shard Shard) error {
	dir := p.outDir()
	for _, name := range []string{rpmhook.ManifestName, shard.file()} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	present, err := filesIn(dir, "*.so")
	if err != nil {
		return err
	}
	wanted := report.containers()
	for _, file := range present {
		if slices.Contains(wanted, filepath.Base(file)) {
			continue
		}
		c, err := livepatch.OpenContainer(file)
		if err != nil || c.Info == nil || !shard.Holds(elfinfo.BuildID(c.Info.BuildID)) {
			continue // another shard's, or nobody's: Merge decides
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

// Merge makes the set of all shards whose containers and manifests are in
// build/, no matter where they were made: set.json, and nothing else but the
// containers. The result is what Make would have made. The error wraps
// ErrShards if a shard is missing, or was made from other sources, records or
// with another compiler than the others.
func (p *Project) Merge(ctx context.Context, opts Options) error {
	unlock, err := p.lock(ctx, opts)
	if err != nil {
		return err
	}
	defer unlock()
	dir := filepath.Join(p.Dir, BuildDir)
	manifests, err := p.readShards(dir)
	if err != nil {
		return err
	}
	files, err := p.joinShards(manifests)
	if err != nil {
		return err
	}
	if err := sameToolchain(dir, files); err != nil {
		return err
	}
	if err := prune(dir, files); err != nil {
		return err
	}
	if err := dist.WriteManifest(dir, p.Name, p.Version, files); err != nil {
		return err
	}
	return removeShards(dir)
}

// removeShards removes the manifests of shards: the set of which they are parts
// is complete, or has been made anew.
func removeShards(dir string) error {
	names, err := filesIn(dir, "set.*-of-*.json")
	for _, name := range names {
		if rerr := os.Remove(name); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

// joinShards returns the containers of all shards, and checks that they cover
// the project's builds.
func (p *Project) joinShards(manifests []*shardManifest) (files []string, err error) {
	read, err := p.brief()
	if err != nil {
		return nil, err
	}
	records := read.Builds
	concern := p.NewConcern(records)
	missing, concerned := map[buildKey]string{}, map[buildKey]bool{}
	for _, patch := range p.Patches {
		for _, b := range targets(patch, records) {
			missing[keyOf(b)] = b.NEVRA
			concerned[keyOf(b)] = concerned[keyOf(b)] || concern.Apart(patch, b) == ""
		}
	}
	for _, m := range manifests {
		for _, b := range m.Builds {
			key := buildKey{b.BuildID, b.Soname}
			if _, ok := missing[key]; !ok {
				return nil, fmt.Errorf("%s: %w: no record of build-id %s of %s, or two shards have it", m.file(), ErrShards, b.BuildID, b.Soname)
			}
			if b.File != "" {
				files = append(files, b.File)
			} else if concerned[key] {
				return nil, fmt.Errorf("%s: %w: no container for %s (build-id %s): make it again", m.file(), ErrShards, missing[key], b.BuildID)
			}
			delete(missing, key)
		}
	}
	for key, nevra := range missing {
		return nil, fmt.Errorf("%w: none has %s of %s (build-id %s): make them again", ErrShards, key.soname, nevra, key.id)
	}
	return files, nil
}

// sameToolchain refuses containers of several compilers: they are not what one
// machine makes.
func sameToolchain(dir string, files []string) error {
	first := ""
	for _, file := range files {
		c, err := livepatch.OpenContainer(filepath.Join(dir, file))
		switch {
		case err != nil:
			return err
		case c.Info == nil:
			return fmt.Errorf("%s: %w: no .lpbuild section", file, ErrShards)
		case first == "":
			first = c.Info.Toolchain
		case c.Info.Toolchain != first:
			return fmt.Errorf("%s: %w: made with %s, others with %s", file, ErrShards, c.Info.Toolchain, first)
		}
	}
	return nil
}

// sourcesDigest identifies lpbuild.yaml, livepatches/ and the records: shards
// that were made from other ones are not of one set.
func (p *Project) sourcesDigest() (string, error) {
	h := sha256.New()
	root := os.DirFS(p.Dir)
	for _, name := range []string{ConfigFile, PatchesDir, versions.LockFile, versions.RecordsDir} {
		err := fs.WalkDir(root, name, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if strings.HasPrefix(d.Name(), ".") || strings.HasSuffix(d.Name(), "~") {
				return nil // these are not in a source package
			}
			data, err := fs.ReadFile(root, name)
			fmt.Fprintf(h, "%q %x\n", name, sha256.Sum256(data))
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
