package dist

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/livepatch"
	"github.com/lpbuild/lpbuild/rpmhook"
)

// WriteManifest writes the manifest of a set into the folder that holds its
// containers, as set.json. files are the base names of the containers; nil
// stands for every .so file of the folder. Each must be a container of exactly
// this set and version, else the error wraps ErrContainer. The manifest is
// written last and whole, so that its presence says that the set is complete;
// if there are no containers, an old one is removed and the error wraps ErrNotMade.
func WriteManifest(buildDir, name, version string, files []string) error {
	path := filepath.Join(buildDir, rpmhook.ManifestName)
	if files == nil {
		found, err := filepath.Glob(filepath.Join(buildDir, "*.so"))
		if err != nil {
			return err
		}
		for _, f := range found {
			files = append(files, filepath.Base(f))
		}
	}
	if len(files) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return fmt.Errorf("%s: %w", buildDir, ErrNotMade)
	}
	m := rpmhook.Manifest{Format: rpmhook.ManifestFormat, Name: name, Version: version}
	for _, file := range files {
		c, err := livepatch.OpenContainer(filepath.Join(buildDir, file))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrContainer, err)
		}
		if err := belongs(c, name, version); err != nil {
			return err
		}
		m.Containers = append(m.Containers, rpmhook.ManifestEntry{
			File: file, SHA256: c.ID, BuildID: c.Info.BuildID, Soname: c.Info.Soname,
		})
	}
	b, err := m.Encode()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return writeFile(path, b)
}

// belongs checks that the container was made by this project in this version:
// the hook of the package could not revert any other.
func belongs(c *livepatch.Container, name, version string) error {
	switch {
	case c.Info == nil:
		return fmt.Errorf("%s: %w: no .lpbuild section", c.Name, ErrContainer)
	case c.Info.Set != name || c.Info.SetVersion != version:
		return fmt.Errorf("%s: %w: made for %s %s, not for %s %s; make it again",
			c.Name, ErrContainer, c.Info.Set, c.Info.SetVersion, name, version)
	}
	return nil
}

// A set is the content of the build folder as it goes into an RPM.
type set struct {
	manifest   []byte
	containers []*livepatch.Container // Name is the base name
}

// readSet reads the build folder and checks every container once more, against
// the manifest and against the builds that the project knows.
func (p Package) readSet() (*set, error) {
	path := filepath.Join(p.BuildDir, rpmhook.ManifestName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", p.BuildDir, ErrNotMade)
	}
	if err != nil {
		return nil, err
	}
	m, err := rpmhook.DecodeManifest(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if m.Name != p.Name || m.Version != p.Version {
		return nil, fmt.Errorf("%s: %w of %s %s (found %s %s)", path, ErrNotMade, p.Name, p.Version, m.Name, m.Version)
	}
	s := &set{manifest: b}
	for _, entry := range m.Containers {
		c, err := p.readContainer(entry)
		if err != nil {
			return nil, err
		}
		s.containers = append(s.containers, c)
	}
	return s, nil
}

func (p Package) readContainer(entry rpmhook.ManifestEntry) (*livepatch.Container, error) {
	data, err := os.ReadFile(filepath.Join(p.BuildDir, entry.File))
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != entry.SHA256 {
		return nil, fmt.Errorf("%s: %w: SHA-256 %x, the manifest says %s", entry.File, ErrContainer, sum, entry.SHA256)
	}
	c, err := livepatch.ReadContainer(entry.File, data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrContainer, err)
	}
	if err := belongs(c, p.Name, p.Version); err != nil {
		return nil, err
	}
	known := func(id string) bool { return strings.EqualFold(id, c.Info.BuildID) }
	if c.Info.BuildID != entry.BuildID || !slices.ContainsFunc(p.BuildIDs, known) {
		return nil, fmt.Errorf("%s: %w: the project knows no build with build-id %s", entry.File, ErrContainer, c.Info.BuildID)
	}
	return c, nil
}
