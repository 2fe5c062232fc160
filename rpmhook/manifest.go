package rpmhook

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ManifestFormat is the version of the manifest that this code writes. A reader
// refuses any other.
const ManifestFormat = 1

// Bounds on what a manifest may name, far above any real set.
const (
	maxManifest   = 8 << 20
	maxContainers = 1 << 14
	maxSet        = 512 << 20
)

// ErrManifest says that a manifest is malformed.
var ErrManifest = errors.New("bad manifest")

// A Manifest defines a set exactly: which files in its folder are the live
// patches of one version of one package. It is stored as JSON in set.json.
type Manifest struct {
	// Format is ManifestFormat.
	Format int `json:"format"`
	// Name and Version are those of the live-patch package.
	Name    string `json:"name"`
	Version string `json:"version"`
	// Containers are sorted by File.
	Containers []ManifestEntry `json:"containers"`
}

// A ManifestEntry is one container of a set.
type ManifestEntry struct {
	// File is the base name, SHA256 the digest of the file in lower-case
	// hexadecimal, which is also the live patch's identity.
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	// BuildID and Soname are those of the library build that it is for.
	BuildID string `json:"build_id"`
	Soname  string `json:"soname"`
}

// Encode returns the manifest as JSON, the same bytes for the same set. It fails
// for what DecodeManifest would refuse.
func (m *Manifest) Encode() ([]byte, error) {
	c := *m
	c.Containers = slices.Clone(m.Containers)
	slices.SortFunc(c.Containers, func(a, b ManifestEntry) int { return strings.Compare(a.File, b.File) })
	if err := c.validate(); err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(&c, "", " ")
	return append(b, '\n'), err
}

// DecodeManifest reads a manifest. Every error wraps ErrManifest.
func DecodeManifest(b []byte) (*Manifest, error) {
	if len(b) > maxManifest {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrManifest, maxManifest)
	}
	m := new(Manifest)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return m, m.validate()
}

func (m *Manifest) validate() error {
	switch {
	case m.Format != ManifestFormat:
		return fmt.Errorf("%w: format %d, this program knows %d", ErrManifest, m.Format, ManifestFormat)
	case !ValidName(m.Name):
		return fmt.Errorf("%w: name %q", ErrManifest, m.Name)
	case !printable(m.Version):
		return fmt.Errorf("%w: version %q", ErrManifest, m.Version)
	case len(m.Containers) == 0:
		return fmt.Errorf("%w: no containers", ErrManifest)
	case len(m.Containers) > maxContainers:
		return fmt.Errorf("%w: %d containers, at most %d", ErrManifest, len(m.Containers), maxContainers)
	}
	seen := make(map[string]bool)
	for i, c := range m.Containers {
		if err := c.validate(); err != nil {
			return fmt.Errorf("%w: container %d: %w", ErrManifest, i, err)
		}
		if seen[c.File] {
			return fmt.Errorf("%w: container %d: %s again", ErrManifest, i, c.File)
		}
		seen[c.File] = true
	}
	return nil
}

func (c ManifestEntry) validate() error {
	digest, err := hex.DecodeString(c.SHA256)
	switch {
	case !printable(c.File) || strings.ContainsAny(c.File, "/") || c.File[0] == '.':
		return fmt.Errorf("file %q is not a plain file name", c.File)
	case err != nil || len(digest) != 32 || strings.ToLower(c.SHA256) != c.SHA256:
		return fmt.Errorf("%s: sha256 %q", c.File, c.SHA256)
	case !printable(c.BuildID):
		return fmt.Errorf("%s: build_id %q", c.File, c.BuildID)
	case !printable(c.Soname):
		return fmt.Errorf("%s: soname %q", c.File, c.Soname)
	}
	return nil
}

// printable reports whether s is fit for a message and for a file name: 1 to
// 255 printable ASCII characters without space.
func printable(s string) bool {
	for _, r := range s {
		if r <= ' ' || r > '~' {
			return false
		}
	}
	return s != "" && len(s) <= 255
}
