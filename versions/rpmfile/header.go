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
	typeChar        = 1
	typeInt8        = 2
	typeInt16       = 3
	typeInt32       = 4
	typeInt64       = 5
	typeString      = 6
	typeBinary      = 7
	typeStringArray = 8
	typeI18NString  = 9
)

// The intro's magic, version 1, and four reserved bytes, which rpm compares too.
var headerMagic = []byte{0x8e, 0xad, 0xe8, 0x01, 0, 0, 0, 0}

// A header is one tag store. All numbers in it are big-endian.
type header struct {
	raw     []byte // the whole header, from its magic on: what is signed
	entries map[uint32]entry
}

type entry struct {
	kind  uint32
	count uint32
	data  []byte // the value's bytes, no more
}

// readHeader reads the header at off of a file of size bytes. region is the tag
// of the region that the header may begin with.
func readHeader(r io.ReaderAt, off, size int64, region uint32) (*header, error) {
	var intro [introSize]byte
	if err := readFull(r, intro[:], off, size); err != nil {
		return nil, fmt.Errorf("header at %#x: %w", off, err)
	}
	if !bytes.Equal(intro[:8], headerMagic) {
		return nil, fmt.Errorf("header at %#x: %w: bad magic %x", off, ErrFormat, intro[:8])
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
	if err := h.index(int(count), region); err != nil {
		return nil, fmt.Errorf("header at %#x: %w", off, err)
	}
	return h, nil
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

func (h *header) has(tag uint32) bool {
	_, ok := h.entries[tag]
	return ok
}

// bytes returns a binary value, nil if the tag is absent.
func (h *header) bytes(tag uint32) ([]byte, error) {
	e, ok := h.entries[tag]
	if !ok {
		return nil, nil
	}
	if e.kind != typeBinary {
		return nil, fmt.Errorf("%w: tag %d has type %d, not binary", ErrFormat, tag, e.kind)
	}
	return e.data, nil
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
		end := bytes.IndexByte(rest, 0) // index has seen that there is one
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
