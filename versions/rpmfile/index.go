package rpmfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Tags of regions, which cover a header as its maker left it (rpm's
// docs/manual/hregions.md), and the first tag of another kind.
const (
	regionImage      = 61
	regionSignatures = 62
	regionImmutable  = 63
	firstTag         = 100
)

// index fills h.entries from the index of n entries.
//
// The rules are those that rpm has (hdrblobVerifyInfo, hdrblobVerifyRegion):
// values lie one behind the other in the order of the index, aligned, whole,
// and do not overlap. Two rules are stricter. A tag that stands there twice is
// an error, as two readers could each see another value. And a region covers
// all of the main header: what stands outside is what somebody else added.
func (h *header) index(n int, region uint32) error {
	h.entries = make(map[uint32]entry, n)
	data := h.raw[introSize+n*entrySize:]
	first, limit := 0, int64(len(data))
	if binary.BigEndian.Uint32(h.raw[introSize:]) < firstTag {
		if err := h.region(n, region); err != nil {
			return err
		}
		first = 1
		if region == regionImmutable {
			limit -= entrySize // the trailer is behind the values
		}
	}
	var end int64
	for i := first; i < n; i++ {
		b := h.raw[introSize+i*entrySize:]
		tag := binary.BigEndian.Uint32(b)
		e := entry{kind: binary.BigEndian.Uint32(b[4:]), count: binary.BigEndian.Uint32(b[12:])}
		off := int64(binary.BigEndian.Uint32(b[8:]))
		switch {
		case tag < firstTag:
			return fmt.Errorf("%w: entry %d: tag %d", ErrFormat, i, tag)
		case off < end || off > limit || off%alignment(e.kind) != 0:
			return fmt.Errorf("%w: tag %d: value at %d, of %d bytes, the one before ends at %d", ErrFormat, tag, off, limit, end)
		}
		length, err := e.length(data[off:limit])
		if err != nil {
			return fmt.Errorf("tag %d: %w", tag, err)
		}
		if h.has(tag) {
			return fmt.Errorf("%w: tag %d is there twice", ErrFormat, tag)
		}
		end = off + length
		e.data = data[off:end]
		h.entries[tag] = e
	}
	return nil
}

// region checks the region that the header begins with. Its trailer, 16 bytes
// in the shape of an entry, says with a negative offset how many entries it
// covers; data behind the trailer is outside.
func (h *header) region(n int, want uint32) error {
	b := h.raw[introSize:]
	data := h.raw[introSize+n*entrySize:]
	tag, off := binary.BigEndian.Uint32(b), int64(binary.BigEndian.Uint32(b[8:]))
	bad := func(what string) error { return fmt.Errorf("%w: region with tag %d: %s", ErrFormat, tag, what) }
	if tag != want || !isRegion(b) {
		return bad("not the one that belongs here")
	}
	if off+entrySize > int64(len(data)) {
		return bad("its trailer is outside of the data")
	}
	trailer := data[off : off+entrySize]
	tail := binary.BigEndian.Uint32(trailer)
	// Old versions of rpm wrote the wrong tag here.
	if !isRegion(trailer) || tail != want && (want != regionSignatures || tail != regionImage) {
		return bad("bad trailer")
	}
	covered := -int64(int32(binary.BigEndian.Uint32(trailer[8:])))
	if covered%entrySize != 0 || covered < entrySize || covered > int64(n)*entrySize {
		return bad("its size is not that of entries")
	}
	if want == regionImmutable && (covered != int64(n)*entrySize || off+entrySize != int64(len(data))) {
		return bad("there are entries or data outside")
	}
	return nil
}

// isRegion says that an entry, or a trailer, has type and count of a region.
func isRegion(b []byte) bool {
	return binary.BigEndian.Uint32(b[4:]) == typeBinary && binary.BigEndian.Uint32(b[12:]) == entrySize
}

// alignment is the alignment in bytes of values of the type.
func alignment(kind uint32) int64 {
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

// length is the number of bytes of the value, which begins at data[0].
func (e entry) length(data []byte) (int64, error) {
	if e.count == 0 || e.count > maxValues && e.kind != typeBinary {
		return 0, fmt.Errorf("%w: %d values", ErrFormat, e.count)
	}
	n := int64(e.count)
	switch e.kind {
	case typeChar, typeInt8, typeInt16, typeInt32, typeInt64, typeBinary:
		n *= alignment(e.kind)
	case typeString, typeStringArray, typeI18NString:
		if e.kind == typeString && e.count != 1 {
			return 0, fmt.Errorf("%w: %d values of one string", ErrFormat, e.count)
		}
		rest := data
		for range e.count {
			end := bytes.IndexByte(rest, 0)
			if end < 0 {
				return 0, fmt.Errorf("%w: string without an end", ErrFormat)
			}
			rest = rest[end+1:]
		}
		return int64(len(data) - len(rest)), nil
	default:
		return 0, fmt.Errorf("%w: type %d", ErrFormat, e.kind)
	}
	if n > int64(len(data)) {
		return 0, fmt.Errorf("%w: %d values of type %d do not fit", ErrFormat, e.count, e.kind)
	}
	return n, nil
}
