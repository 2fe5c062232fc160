package rpmmd

import (
	"bytes"
	"fmt"
	"io"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/lpbuild/lpbuild/versions/rpmfile"
)

const (
	maxRepomd    = 8 << 20   // bytes of repomd.xml
	maxSignature = 1 << 20   // bytes of repomd.xml.asc
	maxMetadata  = 1 << 30   // bytes of a compressed metadata file
	maxOpen      = 4 << 30   // bytes of an open metadata file
	maxElement   = 16 << 20  // bytes of one element of it
	maxRPM       = 16 << 30  // bytes of a package file
	maxPackages  = 1_000_000 // packages returned
	maxDataFiles = 1000      // metadata files of a repository
)

// Repomd is the content of repomd.xml.
type Repomd struct {
	Revision string
	Data     []Data
}

// Data is one metadata file of a repository.
type Data struct {
	// Type is primary, filelists, updateinfo, …
	Type string
	// Href is the path below the repository, unescaped and clean.
	Href string
	// Checksum and Size are those of the file as it is, Open… of its content
	// once decompressed; Size and OpenSize are in bytes, -1 if not given.
	Checksum     Checksum
	OpenChecksum Checksum
	Size         int64
	OpenSize     int64
	// Timestamp is when the file was made, in UTC; zero if it is not given.
	Timestamp time.Time
}

// Package is one package of primary.xml.
type Package struct {
	NEVRA rpmfile.NEVRA
	// Location is the path below the repository, unescaped and clean.
	Location string
	// Checksum and Size (bytes) are those of the package file.
	Checksum Checksum
	Size     int64
	// BuildTime is in UTC, 1970-01-01 if it is not given.
	BuildTime time.Time
}

type xmlChecksum struct {
	Type  string `xml:"type,attr"`
	Value string `xml:",chardata"`
}

func (c *xmlChecksum) checksum() Checksum {
	return Checksum{Type: strings.ToLower(c.Type), Value: strings.ToLower(strings.TrimSpace(c.Value))}
}

type xmlLocation struct {
	Href string `xml:"href,attr"`
	Base string `xml:"http://www.w3.org/XML/1998/namespace base,attr"`
}

type xmlData struct {
	Type         string       `xml:"type,attr"`
	Location     xmlLocation  `xml:"location"`
	Checksum     xmlChecksum  `xml:"checksum"`
	OpenChecksum *xmlChecksum `xml:"open-checksum"`
	Size         *int64       `xml:"size"`
	OpenSize     *int64       `xml:"open-size"`
	Timestamp    string       `xml:"timestamp"`
}

// ParseRepomd reads repomd.xml. The error wraps ErrFormat or ErrUnsafePath.
func ParseRepomd(r io.Reader) (*Repomd, error) {
	md := new(Repomd)
	err := eachElement(r, "repomd", func(name string, raw []byte) error {
		switch name {
		case "revision":
			return decode(raw, &md.Revision)
		case "data":
			var x xmlData
			if err := decode(raw, &x); err != nil {
				return err
			}
			data, err := x.data()
			if err != nil {
				return fmt.Errorf("data %.20q: %w", x.Type, err)
			}
			if md.Data = append(md.Data, data); len(md.Data) > maxDataFiles {
				return fmt.Errorf("%w: more than %d metadata files", ErrFormat, maxDataFiles)
			}
			return nil
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("repomd.xml: %w", err)
	}
	return md, nil
}

func (x *xmlData) data() (Data, error) {
	d := Data{Type: x.Type, Checksum: x.Checksum.checksum(), Size: -1, OpenSize: -1}
	var err error
	if d.Href, err = x.Location.path(); err != nil {
		return Data{}, err
	}
	if x.Size != nil {
		d.Size = *x.Size
	}
	if x.OpenSize != nil {
		d.OpenSize = *x.OpenSize
	}
	d.Timestamp = parseTimestamp(x.Timestamp)
	if x.OpenChecksum != nil {
		d.OpenChecksum = x.OpenChecksum.checksum()
	}
	if d.Size < -1 || d.Size > maxMetadata || d.OpenSize < -1 || d.OpenSize > maxOpen {
		return Data{}, fmt.Errorf("%w: size %d, open %d", ErrFormat, d.Size, d.OpenSize)
	}
	return d, nil
}

// path makes a path below the repository of a location. Nothing may lead out
// of it: not "..", not an absolute path, not another URL.
func (l xmlLocation) path() (string, error) {
	if l.Base != "" {
		return "", fmt.Errorf("%w: xml:base %.80q is another place", ErrUnsafePath, l.Base)
	}
	href, err := url.PathUnescape(l.Href)
	if err != nil {
		return "", fmt.Errorf("%w: %.80q: %w", ErrUnsafePath, l.Href, err)
	}
	bad := href == "" || len(href) > 1024 || strings.HasPrefix(href, "/") || strings.Contains(href, "://") || strings.Contains(href, `\`) ||
		strings.ContainsFunc(href, func(r rune) bool { return r < ' ' || r == 0x7f })
	for part := range strings.SplitSeq(href, "/") {
		bad = bad || part == ".."
	}
	if clean := path.Clean(href); !bad && clean != "." {
		return clean, nil
	}
	return "", fmt.Errorf("%w: location %.80q", ErrUnsafePath, l.Href)
}

type xmlPackage struct {
	Type    string `xml:"type,attr"`
	Name    string `xml:"name"`
	Arch    string `xml:"arch"`
	Version struct {
		Epoch uint32 `xml:"epoch,attr"`
		Ver   string `xml:"ver,attr"`
		Rel   string `xml:"rel,attr"`
	} `xml:"version"`
	Checksum xmlChecksum `xml:"checksum"`
	Time     struct {
		Build int64 `xml:"build,attr"`
	} `xml:"time"`
	Size struct {
		Package int64 `xml:"package,attr"`
	} `xml:"size"`
	Location xmlLocation `xml:"location"`
}

// ParsePrimary reads an open primary.xml, element by element, and returns the
// packages for which want is true, in file order. The error wraps ErrFormat or
// ErrUnsafePath; a bad package that is not wanted is no error.
func ParsePrimary(r io.Reader, want func(name, arch string) bool) ([]Package, error) {
	var out []Package
	err := eachElement(r, "metadata", func(name string, raw []byte) error {
		if name != "package" || unwanted(raw, want) {
			return nil
		}
		var x xmlPackage
		if err := decode(raw, &x); err != nil {
			return err
		}
		if x.Type != "rpm" || !want(x.Name, x.Arch) {
			return nil
		}
		p, err := x.pkg()
		if err != nil {
			return fmt.Errorf("package %.80s: %w", p.NEVRA, err)
		}
		if out = append(out, p); len(out) > maxPackages {
			return fmt.Errorf("%w: more than %d packages", ErrFormat, maxPackages)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("primary.xml: %w", err)
	}
	return out, nil
}

// unwanted says that a package need not be decoded: it says plainly that it is
// none of those that want chooses.
func unwanted(raw []byte, want func(name, arch string) bool) bool {
	name, ok := plainText(raw, "<name>")
	if !ok {
		return false
	}
	arch, ok := plainText(raw, "<arch>")
	return ok && !want(name, arch)
}

// plainText is the text after the first such tag, if it is nothing but text.
func plainText(raw []byte, tag string) (string, bool) {
	_, rest, found := bytes.Cut(raw, []byte(tag))
	end := bytes.IndexAny(rest, "<&")
	if !found || end < 0 || !bytes.HasPrefix(rest[end:], []byte("</")) {
		return "", false
	}
	return string(rest[:end]), true
}

func (x *xmlPackage) pkg() (Package, error) {
	p := Package{
		NEVRA:     rpmfile.NEVRA{Name: x.Name, Epoch: x.Version.Epoch, Version: x.Version.Ver, Release: x.Version.Rel, Arch: x.Arch},
		Checksum:  x.Checksum.checksum(),
		Size:      x.Size.Package,
		BuildTime: time.Unix(x.Time.Build, 0).UTC(),
	}
	if err := p.NEVRA.Validate(); err != nil {
		return p, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if err := p.Checksum.valid(); err != nil {
		return p, err
	}
	if p.Size <= 0 || p.Size > maxRPM {
		return p, fmt.Errorf("%w: size %d", ErrFormat, p.Size)
	}
	var err error
	p.Location, err = x.Location.path()
	return p, err
}
