package pipeline

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
	"github.com/lpbuild/lpbuild/versions"
)

// shardFormat is the version of a shard's manifest that this code writes.
const shardFormat = 1

// maxShardManifest bounds a shard's manifest, in bytes.
const maxShardManifest = 8 << 20

// shardManifest is the content of set.I-of-N.json: what one shard made.
type shardManifest struct {
	Format  int    `json:"format"`
	Name    string `json:"name"`
	Version string `json:"version"`
	I       int    `json:"shard"`
	N       int    `json:"of"`
	// Sources is the digest of what it was made from; see sourcesDigest.
	Sources string `json:"sources"`
	// Builds are the builds of the shard, sorted by build-id and soname.
	Builds []shardBuild `json:"builds"`
}

// shardBuild is one build of a shard. File and SHA256 are its container, ""
// if no live patch concerns it.
type shardBuild struct {
	BuildID elfinfo.BuildID `json:"build_id"`
	Soname  string          `json:"soname"`
	File    string          `json:"file,omitempty"`
	SHA256  string          `json:"sha256,omitempty"`
}

func (m *shardManifest) file() string { return Shard{m.I, m.N}.file() }

// writeShard writes the manifest of a shard in which nothing failed.
func (p *Project) writeShard(report *Report, shard Shard) error {
	sources, err := p.sourcesDigest()
	if err != nil {
		return err
	}
	builds := map[buildKey]shardBuild{}
	for _, row := range report.Rows {
		key := buildKey{row.BuildID, row.Soname}
		b := shardBuild{BuildID: row.BuildID, Soname: row.Soname, File: builds[key].File, SHA256: builds[key].SHA256}
		if row.Container != "" && b.File == "" {
			b.File = filepath.Base(row.Container)
			if b.SHA256, err = fileDigest(row.Container); err != nil {
				return err
			}
		}
		builds[key] = b
	}
	m := &shardManifest{
		Format: shardFormat, Name: p.Name, Version: p.Version, I: shard.I, N: shard.N, Sources: sources,
		Builds: []shardBuild{},
	}
	for _, b := range builds {
		m.Builds = append(m.Builds, b)
	}
	slices.SortFunc(m.Builds, func(a, b shardBuild) int {
		return cmp.Or(cmp.Compare(a.BuildID, b.BuildID), cmp.Compare(a.Soname, b.Soname))
	})
	data, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.outDir(), 0o755); err != nil {
		return err
	}
	return writeFile(filepath.Join(p.outDir(), shard.file()), append(data, '\n'))
}

func fileDigest(name string) (string, error) {
	data, err := os.ReadFile(name)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), err
}

// readShards reads the manifests of all shards, and checks that they are whole
// and of one set, and that the containers are those that they name.
func (p *Project) readShards(dir string) ([]*shardManifest, error) {
	names, err := filesIn(dir, "set.*-of-*.json")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s: %w: no set.I-of-N.json", dir, ErrShards)
	}
	sources, err := p.sourcesDigest()
	if err != nil {
		return nil, err
	}
	var all []*shardManifest
	for _, name := range names {
		m, err := readShard(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %w", name, ErrShards, err)
		}
		switch {
		case m.Name != p.Name || m.Version != p.Version:
			err = fmt.Errorf("it is of %s %s, not of %s %s", m.Name, m.Version, p.Name, p.Version)
		case m.Sources != sources:
			err = fmt.Errorf("it was made from another %s, %s, %s or %s: make it again",
				ConfigFile, PatchesDir, versions.LockFile, versions.RecordsDir)
		case m.file() != filepath.Base(name):
			err = fmt.Errorf("it says that it is shard %v", Shard{m.I, m.N})
		case len(all) > 0 && all[0].N != m.N:
			err = fmt.Errorf("it is of %d shards, %s of %d: remove those that are not wanted", m.N, all[0].file(), all[0].N)
		default:
			err = m.verify(dir)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w: %w", name, ErrShards, err)
		}
		all = append(all, m)
	}
	return all, missingShard(all)
}

// missingShard names the first shard that is not there.
func missingShard(all []*shardManifest) error {
	for i := 1; i <= all[0].N; i++ {
		if !slices.ContainsFunc(all, func(m *shardManifest) bool { return m.I == i }) {
			return fmt.Errorf("%w: shard %v is missing (lpbuild make --shard %v)", ErrShards, Shard{i, all[0].N}, Shard{i, all[0].N})
		}
	}
	return nil
}

// readShard reads one manifest: a file that anybody may have put there.
func readShard(name string) (*shardManifest, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxShardManifest {
		return nil, fmt.Errorf("%v of %d bytes", info.Mode(), info.Size())
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return decodeShard(data)
}

// decodeShard decodes a manifest and checks every field.
func decodeShard(data []byte) (*shardManifest, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	m := new(shardManifest)
	if err := dec.Decode(m); err != nil {
		return nil, err
	}
	if m.Format != shardFormat {
		return nil, fmt.Errorf("format %d, this program knows %d", m.Format, shardFormat)
	}
	if _, err := ParseShard(Shard{m.I, m.N}.String()); err != nil {
		return nil, err
	}
	for _, b := range m.Builds {
		if !(Shard{m.I, m.N}).Holds(b.BuildID) {
			return nil, fmt.Errorf("build-id %q is not in this shard", b.BuildID)
		}
		plain := b.File == filepath.Base(b.File) && strings.HasSuffix(b.File, ".so") && !strings.HasPrefix(b.File, ".")
		if b.File != "" && !plain {
			return nil, fmt.Errorf("file %q is not the name of a container", b.File)
		}
	}
	return m, nil
}

// verify checks that the shard's containers are there, whole, and for the
// builds that the manifest says.
func (m *shardManifest) verify(dir string) error {
	for _, b := range m.Builds {
		if b.File == "" {
			continue
		}
		c, err := livepatch.OpenContainer(filepath.Join(dir, b.File))
		switch {
		case err != nil:
			return err
		case c.ID != b.SHA256:
			return fmt.Errorf("%s: SHA-256 %s, the shard's manifest says %s", b.File, c.ID, b.SHA256)
		case c.Info == nil || c.Info.BuildID != string(b.BuildID) || c.Info.Soname != b.Soname:
			return fmt.Errorf("%s: not for build-id %s of %s", b.File, b.BuildID, b.Soname)
		}
	}
	return nil
}
