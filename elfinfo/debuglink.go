package elfinfo

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"path"
)

// The sections that lead from a file to its debug information (GDB's manual, "Debugging Information in Separate
// Files" and "MiniDebugInfo"; DWARF 5 section 7.3.6).
const (
	sectionDebugLink = ".gnu_debuglink"
	sectionAltLink   = ".gnu_debugaltlink"
	sectionSup       = ".debug_sup"
	sectionMini      = ".gnu_debugdata"

	maxLink        = 4 << 10  // bytes of a section with a link
	maxDebugFile   = 2 << 30  // bytes of a debug file whose CRC is computed
	maxMiniSection = 32 << 20 // bytes of .gnu_debugdata
)

// A DebugLink names the separate debug file of a library, by .gnu_debuglink.
type DebugLink struct {
	// Name is the file's base name; the folder is a matter of convention.
	Name string
	// CRC32 is the IEEE CRC-32 of the whole debug file.
	CRC32 uint32
}

// DebugLink returns the file's .gnu_debuglink; ok is false if it has none.
// Errors wrap [ErrFormat].
func (f *File) DebugLink() (link DebugLink, ok bool, err error) {
	b, err := f.small(sectionDebugLink, maxLink)
	if b == nil || err != nil {
		return DebugLink{}, false, err
	}
	// The name, NUL, padding to 4 bytes, the CRC in the file's byte order.
	n := bytes.IndexByte(b, 0)
	at := (n + 4) &^ 3
	if n < 0 || at+4 > len(b) {
		return DebugLink{}, false, f.bad("%s of %d bytes", sectionDebugLink, len(b))
	}
	link = DebugLink{Name: string(b[:n]), CRC32: le.Uint32(b[at:])}
	if link.Name == "" || path.Base(link.Name) != link.Name || !isFileName(link.Name) {
		return DebugLink{}, false, f.bad("%s: %q is no file name", sectionDebugLink, link.Name)
	}
	return link, true, nil
}

// CRC32 is the IEEE CRC-32 of the whole file, as [DebugLink] has it.
func (f *File) CRC32() (uint32, error) {
	if f.src.image || f.src.size > maxDebugFile {
		return 0, f.bad("%d bytes are no debug file", f.src.size)
	}
	h := crc32.NewIEEE()
	if _, err := io.Copy(h, io.NewSectionReader(f.src.r, 0, int64(f.src.size))); err != nil {
		return 0, fmt.Errorf("%s: %w", f.name, err)
	}
	return h.Sum32(), nil
}

// An AltLink names the supplementary file that dwz moved shared debug
// information to, by .gnu_debugaltlink, or .debug_sup of DWARF 5.
type AltLink struct {
	// Name is a path, absolute or relative to the folder of the file that has the link.
	Name string
	// BuildID is the supplementary file's build-id.
	BuildID BuildID
}

// AltLink returns the file's link to a supplementary file; ok is false if it
// has none. Errors wrap [ErrFormat].
func (f *File) AltLink() (link AltLink, ok bool, err error) {
	b, err := f.small(sectionAltLink, maxLink)
	if err != nil {
		return AltLink{}, false, err
	}
	if b == nil {
		return f.supLink()
	}
	name, id, ok := bytes.Cut(b, []byte{0}) // the name, NUL, the build-id
	if !ok {
		return AltLink{}, false, f.bad("%s: the name has no end", sectionAltLink)
	}
	return f.altLink(sectionAltLink, name, id)
}

// supLink reads .debug_sup: version (2 bytes), is_supplementary (1 byte), name,
// NUL, length of the checksum (ULEB128; one byte for all that is sane), checksum.
func (f *File) supLink() (AltLink, bool, error) {
	b, err := f.small(sectionSup, maxLink)
	if b == nil || err != nil {
		return AltLink{}, false, err
	}
	if len(b) < 3 || le.Uint16(b) != 5 {
		return AltLink{}, false, f.bad("%s of %d bytes", sectionSup, len(b))
	}
	if b[2] != 0 {
		return AltLink{}, false, nil // it is one
	}
	name, sum, ok := bytes.Cut(b[3:], []byte{0})
	if !ok || len(sum) == 0 || int(sum[0]) != len(sum)-1 {
		return AltLink{}, false, f.bad("%s of %d bytes", sectionSup, len(b))
	}
	return f.altLink(sectionSup, name, sum[1:])
}

func (f *File) altLink(section string, name, id []byte) (AltLink, bool, error) {
	link := AltLink{Name: string(name), BuildID: BuildID(hex.EncodeToString(id))}
	if link.Name == "" || hasControl(link.Name) || len(id) == 0 || len(id) > maxBuildID {
		return AltLink{}, false, f.bad("%s: file %q, build-id of %d bytes", section, link.Name, len(id))
	}
	return link, true, nil
}

// alternateID is what an AltLink to this file must have: the build-id, or what
// .debug_sup says of a file made by dwz --dwarf-5, which has no note.
func (f *File) alternateID() (BuildID, error) {
	if f.buildID != "" {
		return f.buildID, nil
	}
	b, err := f.small(sectionSup, maxLink)
	if err != nil || len(b) < 5 || b[2] != 1 {
		return "", err
	}
	_, sum, ok := bytes.Cut(b[3:], []byte{0})
	if !ok || len(sum) == 0 || int(sum[0]) != len(sum)-1 || len(sum)-1 > maxBuildID {
		return "", f.bad("%s of %d bytes", sectionSup, len(b))
	}
	return BuildID(hex.EncodeToString(sum[1:])), nil
}

// WithAlternate returns the file with its supplementary file, which stays open
// as long as it is used: it is not closed with the file. The error wraps
// [ErrBuildID] if alt is not the file that [File.AltLink] names, and
// [ErrFormat] if it needs a supplementary file itself.
func (f *File) WithAlternate(alt *File) (*File, error) {
	link, ok, err := f.AltLink()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, f.bad("it needs no supplementary file")
	}
	id, err := alt.alternateID()
	if err != nil {
		return nil, err
	}
	if id != link.BuildID {
		return nil, fmt.Errorf("%s: %w: build-id %q, %s needs %q", alt.name, ErrBuildID, id, f.name, link.BuildID)
	}
	if _, chained, err := alt.AltLink(); err != nil || chained {
		return nil, fmt.Errorf("%s: %w: a supplementary file needs another one", alt.name, ErrFormat)
	}
	g := *f
	g.alternate = alt
	return &g, nil
}

// MiniDebugInfo returns the content of .gnu_debugdata: an ELF file with the
// symbols of private functions, compressed by xz. It is nil if there is none.
// Nothing vouches for what it unpacks to but that it is in this file.
func (f *File) MiniDebugInfo() ([]byte, error) { return f.small(sectionMini, maxMiniSection) }

// small reads a section of at most limit bytes; nil if there is none.
func (f *File) small(name string, limit uint64) ([]byte, error) {
	s, ok := f.section(name)
	if !ok {
		return nil, nil
	}
	if s.FileSize > limit {
		return nil, f.bad("section %q has %d bytes", name, s.FileSize)
	}
	b, err := f.sectionBytes(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	if b == nil {
		b = []byte{}
	}
	return b, nil
}
