package rpmhook

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lpbuild/lpbuild/livepatch"
	"github.com/lpbuild/lpbuild/livepatch/trust"
)

// errNoSet says that the folder of the set does not exist.
var errNoSet = errors.New("no such set")

// loadSet reads the set in the folder root/name: all of it or nothing. Nobody but
// root may have been able to write it, and each digest must be the manifest's.
// The manifest is returned beside an error if it could be read, so that messages
// can name the version.
func loadSet(root, name string) (*Manifest, []*livepatch.Container, error) {
	dir, err := openSet(root, name)
	if err != nil {
		return nil, nil, err
	}
	defer dir.Close()
	m, err := readManifest(dir, name)
	if err != nil {
		return nil, nil, err
	}
	containers := make([]*livepatch.Container, 0, len(m.Containers))
	total := 0
	for _, entry := range m.Containers {
		c, err := readContainer(dir, m.Name, entry)
		if err != nil {
			return m, nil, err
		}
		if total += len(c.Data); total > maxSet {
			return m, nil, fmt.Errorf("%s: more than %d bytes of containers", dir.Name(), maxSet)
		}
		containers = append(containers, c)
	}
	return m, containers, nil
}

// openSet opens the folder of a set.
func openSet(root, name string) (*os.File, error) {
	dir, err := trust.Folder(filepath.Join(root, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errNoSet, err)
	}
	return dir, err
}

// readTrusted reads a regular file below dir, at most limit bytes.
func readTrusted(dir *os.File, name string, limit int64) ([]byte, error) {
	f, err := trust.FileIn(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, limit)
	}
	return b, nil
}

func readManifest(dir *os.File, name string) (*Manifest, error) {
	b, err := readTrusted(dir, ManifestName, maxManifest)
	if err != nil {
		return nil, err
	}
	m, err := DecodeManifest(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestName, err)
	}
	if m.Name != name {
		return nil, fmt.Errorf("%s: %w: it is the manifest of %s", ManifestName, trust.ErrUntrusted, m.Name)
	}
	return m, nil
}

// readContainer reads one container and holds it against the manifest. A
// container of another set is refused: erasing this package would leave it in
// every process.
func readContainer(dir *os.File, set string, want ManifestEntry) (*livepatch.Container, error) {
	data, err := readTrusted(dir, want.File, livepatch.MaxContainer)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	if hex.EncodeToString(sum[:]) != want.SHA256 {
		return nil, fmt.Errorf("%s: %w: SHA-256 %x, the manifest says %s", want.File, trust.ErrUntrusted, sum, want.SHA256)
	}
	c, err := livepatch.ReadContainer(want.File, data)
	switch {
	case err != nil:
		return nil, err
	case c.Info == nil:
		return nil, fmt.Errorf("%s: no .lpbuild section", want.File)
	case c.Info.Set != set:
		return nil, fmt.Errorf("%s: a container of %q", want.File, c.Info.Set)
	case !strings.EqualFold(c.Info.BuildID, want.BuildID):
		return nil, fmt.Errorf("%s: for build-id %s, the manifest says %s", want.File, c.Info.BuildID, want.BuildID)
	}
	return c, nil
}
