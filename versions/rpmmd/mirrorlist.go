package rpmmd

import (
	"bytes"
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	maxMirrorlist = 4 << 20 // bytes of a mirror list or metalink
	maxMirrors    = 1000
	maxRevisions  = 100 // of repomd.xml that a metalink may name
	maxHashes     = 20  // of one revision
)

// A Mirrorlist says where the same repository is, the preferred place first.
type Mirrorlist struct {
	// Mirrors are the URLs of the folders above repodata/.
	Mirrors []string
	// Revisions are the files repomd.xml that a mirror may have, newest first;
	// none if the list does not say.
	Revisions []Revision
}

// A Revision is one file repomd.xml.
type Revision struct {
	// Time is when the list's author saw it, 1970-01-01 if it is not given.
	Time time.Time
	// Size is in bytes, -1 if it is not given.
	Size int64
	// Checksums are those of the types that are strong enough.
	Checksums []Checksum
}

// matches says whether data is the file: it has the size and each digest, of
// which there is at least one.
func (v Revision) matches(data []byte) bool {
	if v.Size >= 0 && v.Size != int64(len(data)) || len(v.Checksums) == 0 {
		return false
	}
	for _, c := range v.Checksums {
		if checkReader(bytes.NewReader(data), int64(len(data)), c) != nil {
			return false
		}
	}
	return true
}

// ParseMirrorlist reads a list as yum, dnf and zypp know it: one URL a line,
// "#" before a comment. A URL may go on to repodata/repomd.xml. What is not a
// URL of http, https or file (rsync and ftp are usual) is left out, and so are
// URLs with a password or with variables. A list that is a metalink after all
// is read as one. The error wraps ErrFormat.
func ParseMirrorlist(data []byte) (*Mirrorlist, error) {
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("<")) {
		return ParseMetalink(data)
	}
	if len(data) > maxMirrorlist {
		return nil, fmt.Errorf("%w: a mirror list of more than %d bytes", ErrFormat, maxMirrorlist)
	}
	list := new(Mirrorlist)
	for line := range strings.Lines(string(data)) {
		list.add(strings.TrimSpace(line))
	}
	return list, list.check()
}

// add adds the mirror at a URL if it is one that can be used.
func (l *Mirrorlist) add(rawURL string) {
	u, err := url.Parse(rawURL)
	if err != nil || rawURL == "" || rawURL[0] == '#' || strings.Contains(rawURL, "$") || u.User != nil || u.Fragment != "" {
		return
	}
	if u.Scheme != "file" && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return
	}
	u.Path, _ = strings.CutSuffix(u.Path, "repodata/repomd.xml")
	u.RawPath = ""
	base := strings.TrimSuffix(u.String(), "/")
	if !slices.Contains(l.Mirrors, base) && len(l.Mirrors) < maxMirrors {
		l.Mirrors = append(l.Mirrors, base)
	}
}

func (l *Mirrorlist) check() error {
	if len(l.Mirrors) == 0 {
		return fmt.Errorf("%w: the list has no mirror that can be used", ErrFormat)
	}
	return nil
}

// A metalink of version 3.0 (as MirrorManager writes it) has
// files/file/resources/url with a preference that is better the higher, and
// verification/hash; version 4 (RFC 5854) has file/url with a priority that is
// better the lower, and file/hash.
type xmlMetalinkFile struct {
	Name string `xml:"name,attr"`
	xmlRevision
	URLs       []xmlMetalinkURL `xml:"url"`
	Resources  []xmlMetalinkURL `xml:"resources>url"`
	Alternates []xmlRevision    `xml:"alternates>alternate"`
}

type xmlRevision struct {
	Timestamp    int64         `xml:"timestamp"`
	Size         *int64        `xml:"size"`
	Hashes       []xmlChecksum `xml:"hash"`
	Verification []xmlChecksum `xml:"verification>hash"`
}

type xmlMetalinkURL struct {
	Preference int    `xml:"preference,attr"`
	Priority   int    `xml:"priority,attr"`
	URL        string `xml:",chardata"`
}

// rank is lower the better the mirror.
func (u xmlMetalinkURL) rank() int {
	if u.Priority > 0 {
		return u.Priority
	}
	return -u.Preference
}

// ParseMetalink reads a metalink of a repository's repomd.xml: RFC 5854, or
// version 3.0 with MirrorManager's alternates. URLs that cannot be used, or do
// not lead to repodata/repomd.xml, are left out. Digests too weak to vouch are
// left out as well; a metalink that then says of no revision what it is, is an
// error, as one that means to say it must. The error wraps ErrFormat.
func ParseMetalink(data []byte) (*Mirrorlist, error) {
	if len(data) > maxMirrorlist {
		return nil, fmt.Errorf("%w: a metalink of more than %d bytes", ErrFormat, maxMirrorlist)
	}
	var file *xmlMetalinkFile
	err := eachElement(bytes.NewReader(data), "metalink", func(name string, raw []byte) error {
		var files struct {
			List []xmlMetalinkFile `xml:"file"`
		}
		switch name {
		case "files":
			if err := decode(raw, &files); err != nil {
				return err
			}
		case "file":
			files.List = make([]xmlMetalinkFile, 1)
			if err := decode(raw, &files.List[0]); err != nil {
				return err
			}
		}
		for i := range files.List {
			if files.List[i].Name != "repomd.xml" {
				continue
			}
			if file != nil {
				return fmt.Errorf("%w: repomd.xml twice", ErrFormat)
			}
			file = &files.List[i]
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("metalink: %w", err)
	}
	if file == nil {
		return nil, fmt.Errorf("metalink: %w: no file repomd.xml", ErrFormat)
	}
	list, err := file.list()
	if err != nil {
		return nil, fmt.Errorf("metalink: %w", err)
	}
	return list, nil
}

func (f *xmlMetalinkFile) list() (*Mirrorlist, error) {
	list := new(Mirrorlist)
	newest, err := f.revision()
	if err != nil {
		return nil, err
	}
	list.Revisions = []Revision{newest}
	if len(f.Alternates) > maxRevisions {
		return nil, fmt.Errorf("%w: more than %d alternates", ErrFormat, maxRevisions)
	}
	for _, alternate := range f.Alternates {
		older, err := alternate.revision()
		if err != nil {
			return nil, err
		}
		list.Revisions = append(list.Revisions, older)
	}
	// The author's first is the current one, whatever the times say.
	slices.SortStableFunc(list.Revisions[1:], func(a, b Revision) int { return b.Time.Compare(a.Time) })
	urls := slices.Concat(f.URLs, f.Resources)
	slices.SortStableFunc(urls, func(a, b xmlMetalinkURL) int { return cmp.Compare(a.rank(), b.rank()) })
	for _, u := range urls {
		if text := strings.TrimSpace(u.URL); strings.HasSuffix(text, "/repodata/repomd.xml") {
			list.add(text)
		}
	}
	return list, list.check()
}

func (x *xmlRevision) revision() (Revision, error) {
	v := Revision{Time: time.Unix(x.Timestamp, 0).UTC(), Size: -1}
	if x.Size != nil {
		v.Size = *x.Size
	}
	if v.Size < -1 || v.Size > maxRepomd {
		return Revision{}, fmt.Errorf("%w: repomd.xml of %d bytes", ErrFormat, v.Size)
	}
	hashes := slices.Concat(x.Hashes, x.Verification)
	if len(hashes) > maxHashes {
		return Revision{}, fmt.Errorf("%w: more than %d digests of one file", ErrFormat, maxHashes)
	}
	for _, hash := range hashes {
		c := hash.checksum()
		c.Type = strings.Replace(c.Type, "sha-", "sha", 1) // RFC 5854 uses IANA's names
		if _, err := c.newHash(); err != nil {
			continue // MD5 and SHA-1 stand beside the others
		}
		if err := c.valid(); err != nil {
			return Revision{}, err
		}
		v.Checksums = append(v.Checksums, c)
	}
	if len(v.Checksums) == 0 {
		return Revision{}, fmt.Errorf("%w: no digest of repomd.xml that is strong enough (%d are given)", ErrFormat, len(hashes))
	}
	return v, nil
}
