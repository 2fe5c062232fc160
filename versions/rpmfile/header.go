package rpmfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

const (
	leadSize  = 96 // the lead, of which only magic and type still mean something
	introSize = 16 // magic, reserved, number of index entries, bytes of data
	entrySize = 16 // tag, type, offset, count

	// The limits that rpm itself sets (lib/header.cc): 64 Ki entries, 256 MiB.
	maxEntries    = 0xffff
	maxHeaderData = 256 << 20
	// maxValues bounds one array: four million files are more than any package has.
	maxValues = 4 << 20
)

// Types of header data (rpmTagType).
const (
	typeInt16       = 3
	typeInt32       = 4
	typeInt64       = 5
	typeString      = 6
	typeBinary      = 7
	typeStringArray = 8
	typeI18NString  = 9
)

var headerMagic = []byte{0x8e, 0xad, 0xe8, 0x01}

// A header is one tag store. All numbers in it are big-endian.
type header struct {
	raw     []byte // the whole header, from its magic on: what is signed
	entries map[uint32]entry
}

type entry struct {
	kind  uint32
	count uint32
	data  []byte // from the value's first byte to the end of the header
}

// readHeader reads the header at off of a file of size bytes.
func readHeader(r io.ReaderAt, off, size int64) (*header, error) {
	var intro [introSize]byte
	if err := readFull(r, intro[:], off, size); err != nil {
		return nil, fmt.Errorf("header at %#x: %w", off, err)
	}
	if !bytes.Equal(intro[:4], headerMagic) {
		return nil, fmt.Errorf("header at %#x: %w: bad magic %x", off, ErrFormat, intro[:4])
	}
	count := int64(binary.BigEndian.Uint32(intro[8:]))
	data := int64(binary.BigEndian.Uint32(intro[12:]))
	if count == 0 || count > maxEntries || data > maxHeaderData {
		return nil, fmt.Errorf("header at %#x: %w: %d entries, %d bytes of data", off, ErrFormat, count, data)
	}
	total := introSize + count*entrySize + data
	if off+total > size {
		return nil, fmt.Errorf("header at %#x: %w: needs %d bytes, the file has %d", off, ErrTruncated, total, size-off)
	}
	h := &header{raw: make([]byte, total)}
	if err := readFull(r, h.raw, off, size); err != nil {
		return nil, fmt.Errorf("header at %#x: %w", off, err)
	}
	return h, h.index(int(count))
}

// readFull fills b from off, or says ErrTruncated.
func readFull(r io.ReaderAt, b []byte, off, size int64) error {
	if off < 0 || off > size || int64(len(b)) > size-off {
		return fmt.Errorf("%w at %#x of %d bytes", ErrTruncated, size, off+int64(len(b)))
	}
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		return fmt.Errorf("%w at %#x", ErrTruncated, off+int64(n))
	}
	return err
}

// index fills h.entries from the index of n entries. Of a tag that stands
// there twice the first counts.
func (h *header) index(n int) error {
	h.entries = make(map[uint32]entry, n)
	data := h.raw[introSize+n*entrySize:]
	for i := range n {
		b := h.raw[introSize+i*entrySize:]
		tag := binary.BigEndian.Uint32(b)
		e := entry{kind: binary.BigEndian.Uint32(b[4:]), count: binary.BigEndian.Uint32(b[12:])}
		off := int64(int32(binary.BigEndian.Uint32(b[8:])))
		if off < 0 || off > int64(len(data)) || e.kind > typeI18NString {
			return fmt.Errorf("%w: tag %d: type %d at offset %d", ErrFormat, tag, e.kind, off)
		}
		e.data = data[off:]
		if int64(e.count)*width(e.kind) > int64(len(e.data)) || e.count > maxValues && e.kind != typeBinary {
			return fmt.Errorf("%w: tag %d: %d values do not fit", ErrFormat, tag, e.count)
		}
		if _, twice := h.entries[tag]; !twice {
			h.entries[tag] = e
		}
	}
	return nil
}

// width is the smallest number of bytes that a value of the type takes.
func width(kind uint32) int64 {
	switch kind {
	case typeInt16:
		return 2
	case typeInt32:
		return 4
	case typeInt64:
		return 8
	}
	return 1
}

func (h *header) has(tag uint32) bool {
	_, ok := h.entries[tag]
	return ok
}

// bytes returns a binary value, nil if the tag is absent or of another type.
func (h *header) bytes(tag uint32) []byte {
	e, ok := h.entries[tag]
	if !ok || e.kind != typeBinary {
		return nil
	}
	return e.data[:e.count]
}

// strings returns a string or an array of strings, nil if the tag is absent.
func (h *header) strings(tag uint32) ([]string, error) {
	e, ok := h.entries[tag]
	if !ok {
		return nil, nil
	}
	switch e.kind {
	case typeString, typeStringArray, typeI18NString:
	default:
		return nil, fmt.Errorf("%w: tag %d has type %d, not a string", ErrFormat, tag, e.kind)
	}
	out := make([]string, 0, e.count)
	rest := e.data
	for range e.count {
		end := bytes.IndexByte(rest, 0)
		if end < 0 {
			return nil, fmt.Errorf("%w: tag %d: string without an end", ErrFormat, tag)
		}
		out = append(out, string(rest[:end]))
		rest = rest[end+1:]
	}
	return out, nil
}

// str returns a single string, "" if the tag is absent.
func (h *header) str(tag uint32) (string, error) {
	v, err := h.strings(tag)
	if err != nil || len(v) == 0 {
		return "", err
	}
	return v[0], nil
}

// numbers returns integers of any width, nil if the tag is absent.
func (h *header) numbers(tag uint32) ([]uint64, error) {
	e, ok := h.entries[tag]
	if !ok {
		return nil, nil
	}
	out := make([]uint64, e.count)
	for i := range out {
		switch e.kind {
		case typeInt16:
			out[i] = uint64(binary.BigEndian.Uint16(e.data[2*i:]))
		case typeInt32:
			out[i] = uint64(binary.BigEndian.Uint32(e.data[4*i:]))
		case typeInt64:
			out[i] = binary.BigEndian.Uint64(e.data[8*i:])
		default:
			return nil, fmt.Errorf("%w: tag %d has type %d, not a number", ErrFormat, tag, e.kind)
		}
	}
	return out, nil
}

// number returns the first integer of a tag, 0 if it is absent.
func (h *header) number(tag uint32) (uint64, error) {
	v, err := h.numbers(tag)
	if err != nil || len(v) == 0 {
		return 0, err
	}
	return v[0], nil
}
