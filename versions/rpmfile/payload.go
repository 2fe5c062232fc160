package rpmfile

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	cpioHeaderSize = 110          // "070701" or "070702" and 13 fields of 8 hex digits
	strippedSize   = 14           // "07070X" and the index into the file list
	trailer        = "TRAILER!!!" // the name of the entry behind the last
	maxNameSize    = 4096
)

// A Payload iterates over the files of a package in archive order.
type Payload struct {
	name      string
	src       io.ReadCloser
	files     []File
	index     map[string]int
	seen      []bool
	remaining int64 // bytes of the current entry not yet read
	pad       int64
	offset    int64
}

// An Entry is one file of a payload.
type Entry struct {
	*File
	// Linked says that the data of this hard link comes with a later entry of
	// the same Group: cpio stores it with the last name only.
	Linked bool
	// Group is the same for all hard links to a file, and not 0 for those only.
	Group uint64
}

// Payload opens the payload. Precondition: Verify has succeeded; without that
// the content is anybody's. The caller must Close it.
func (p *Package) Payload() (*Payload, error) {
	files, err := p.Files()
	if err != nil {
		return nil, err
	}
	format, err := p.hdr.str(tagPayloadFormat)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	if format != "" && format != "cpio" {
		return nil, fmt.Errorf("%s: %w: payload format %.20q", p.name, ErrFormat, format)
	}
	compressor, err := p.hdr.str(tagPayloadCompressor)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	src, err := Decompress(compressor, p.payloadReader())
	if err != nil {
		return nil, fmt.Errorf("%s: payload: %w", p.name, err)
	}
	pl := &Payload{name: p.name, src: src, files: files, seen: make([]bool, len(files))}
	pl.index = make(map[string]int, len(files))
	for i := range files {
		pl.index[files[i].Path] = i
	}
	return pl, nil
}

// Close releases the decompressor.
func (pl *Payload) Close() error { return pl.src.Close() }

// Next goes to the next file; io.EOF says that there is none. Any other error
// wraps ErrTruncated, ErrFormat or ErrUnsafePath.
func (pl *Payload) Next() (Entry, error) {
	e, err := pl.next()
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: payload at %#x: %w", pl.name, pl.offset, err)
	}
	return e, err
}

func (pl *Payload) next() (Entry, error) {
	if _, err := io.CopyN(io.Discard, rawReader{pl}, pl.remaining+pl.pad); err != nil {
		return Entry{}, early(err)
	}
	pl.remaining, pl.pad = 0, 0
	magic := make([]byte, 6)
	if err := pl.full(magic); err != nil {
		return Entry{}, err
	}
	switch string(magic) {
	case "07070X":
		return pl.nextStripped()
	case "070701", "070702":
		return pl.nextNewc()
	}
	return Entry{}, fmt.Errorf("%w: bad cpio magic %q", ErrFormat, magic)
}

// nextNewc reads the rest of a "new ASCII" entry: the fields ino, mode, uid,
// gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor,
// namesize, check, then the name, padded to 4 from the entry's start.
func (pl *Payload) nextNewc() (Entry, error) {
	b := make([]byte, cpioHeaderSize-6)
	if err := pl.full(b); err != nil {
		return Entry{}, err
	}
	var field [13]uint64
	for i := range field {
		v, err := strconv.ParseUint(string(b[8*i:8*i+8]), 16, 32)
		if err != nil {
			return Entry{}, fmt.Errorf("%w: cpio field %q", ErrFormat, b[8*i:8*i+8])
		}
		field[i] = v
	}
	ino, mode, nlink, size, nameSize := field[0], uint32(field[1]), field[4], int64(field[6]), field[11]
	if nameSize == 0 || nameSize > maxNameSize {
		return Entry{}, fmt.Errorf("%w: cpio name of %d bytes", ErrFormat, nameSize)
	}
	name := make([]byte, nameSize+padding(cpioHeaderSize+nameSize))
	if err := pl.full(name); err != nil {
		return Entry{}, err
	}
	text := strings.TrimRight(string(name[:nameSize]), "\x00")
	if text == trailer {
		return Entry{}, pl.finish()
	}
	path, err := safePath(text)
	if err != nil {
		return Entry{}, err
	}
	i, ok := pl.index[path]
	if !ok {
		return Entry{}, fmt.Errorf("%w: %s is not in the header's file list", ErrFormat, path)
	}
	return pl.enter(i, cpioEntry{ino: ino, mode: mode, nlink: nlink, size: size})
}

// nextStripped reads the rest of an entry as rpm writes it for files of 4 GiB
// and more, and always since version 6: everything else stands in the header.
func (pl *Payload) nextStripped() (Entry, error) {
	b := make([]byte, strippedSize-6+2) // padded to 4
	if err := pl.full(b); err != nil {
		return Entry{}, err
	}
	i, err := strconv.ParseUint(string(b[:8]), 16, 32)
	if err != nil || i >= uint64(len(pl.files)) {
		return Entry{}, fmt.Errorf("%w: file index %q of %d", ErrFormat, b[:8], len(pl.files))
	}
	f := &pl.files[i]
	c := cpioEntry{mode: f.Mode, nlink: 1}
	if f.Regular() {
		c.ino, c.nlink = f.link.inode, pl.linkCount(f)
		if c.nlink == 1 || pl.lastLink(int(i)) {
			c.size = f.Size
		}
	}
	if f.Symlink() {
		c.size = int64(len(f.Link))
	}
	return pl.enter(int(i), c)
}

// cpioEntry is what the archive says of a file.
type cpioEntry struct {
	ino   uint64
	mode  uint32
	nlink uint64
	size  int64
}

// enter makes file i the current one, if archive and header agree about it.
func (pl *Payload) enter(i int, c cpioEntry) (Entry, error) {
	f := &pl.files[i]
	if pl.seen[i] || f.Ghost {
		return Entry{}, fmt.Errorf("%w: %s is there twice, or a ghost", ErrFormat, f.Path)
	}
	pl.seen[i] = true
	e := Entry{File: f}
	if c.nlink > 1 && f.Regular() {
		e.Group = c.ino + 1
		e.Linked = c.size == 0 && f.Size > 0
	}
	switch {
	case c.mode&modeType != f.Mode&modeType:
		return Entry{}, fmt.Errorf("%w: %s: mode %o in the archive, %o in the header", ErrFormat, f.Path, c.mode, f.Mode)
	case f.Regular() && c.size != f.Size && !e.Linked:
		return Entry{}, fmt.Errorf("%w: %s: size %d in the archive, %d in the header", ErrFormat, f.Path, c.size, f.Size)
	case !f.Regular() && !f.Symlink() && c.size != 0:
		return Entry{}, fmt.Errorf("%w: %s: %d bytes of data in a file of mode %o", ErrFormat, f.Path, c.size, f.Mode)
	case f.Symlink() && c.size > maxNameSize:
		return Entry{}, fmt.Errorf("%w: %s: symlink of %d bytes", ErrFormat, f.Path, c.size)
	}
	pl.remaining, pl.pad = c.size, int64(padding(uint64(c.size)))
	if !f.Symlink() {
		return e, nil
	}
	target := make([]byte, c.size)
	if _, err := io.ReadFull(pl, target); err != nil {
		return Entry{}, early(err)
	}
	if string(target) != f.Link {
		return Entry{}, fmt.Errorf("%w: %s: symlink to %.80q in the archive, to %.80q in the header", ErrFormat, f.Path, target, f.Link)
	}
	return e, nil
}

// finish checks at the trailer that every file was there.
func (pl *Payload) finish() error {
	for i, seen := range pl.seen {
		if !seen && !pl.files[i].Ghost {
			return fmt.Errorf("%w: %s is not in the archive", ErrFormat, pl.files[i].Path)
		}
	}
	return io.EOF
}

// linkCount counts the names of a regular file.
func (pl *Payload) linkCount(f *File) (n uint64) {
	if f.link.inode == 0 {
		return 1
	}
	for i := range pl.files {
		if g := &pl.files[i]; g.Regular() && !g.Ghost && g.link == f.link {
			n++
		}
	}
	return n
}

// lastLink says that no later file of the list is a link to file i.
func (pl *Payload) lastLink(i int) bool {
	for j := i + 1; j < len(pl.files); j++ {
		if g := &pl.files[j]; g.Regular() && !g.Ghost && g.link == pl.files[i].link {
			return false
		}
	}
	return true
}

// Read reads the data of the current file; io.EOF is its end.
func (pl *Payload) Read(p []byte) (int, error) {
	if pl.remaining == 0 {
		return 0, io.EOF
	}
	if int64(len(p)) > pl.remaining {
		p = p[:pl.remaining]
	}
	n, err := rawReader{pl}.Read(p)
	pl.remaining -= int64(n)
	if err == io.EOF && pl.remaining > 0 {
		err = early(err)
	}
	return n, err
}

// full reads all of b from the archive.
func (pl *Payload) full(b []byte) error {
	_, err := io.ReadFull(rawReader{pl}, b)
	return early(err)
}

func early(err error) error {
	if err == nil || errors.Is(err, ErrTruncated) || errors.Is(err, ErrFormat) {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", ErrTruncated, err)
	}
	return err
}

// rawReader reads the archive's bytes and counts them. There is no end to what
// a few compressed bytes can become, but what is read of it has one: every file
// of the header's list once, with the size that the list gives it.
type rawReader struct{ pl *Payload }

func (r rawReader) Read(p []byte) (int, error) {
	n, err := r.pl.src.Read(p)
	r.pl.offset += int64(n)
	return n, err
}

// padding is the number of bytes that pad n to a multiple of 4.
func padding(n uint64) uint64 { return -n & 3 }
