package elfinfo

import (
	"fmt"
	"io"
	"math"
	"slices"
)

// pageSize is the granularity at which x86-64 Linux maps files.
const pageSize = 4096

// source is where the bytes of a File come from: a file of known size, or a
// process's memory (image), of which base is the address of the ELF header and
// bias what is added to a virtual address.
type source struct {
	r     io.ReaderAt
	size  uint64
	image bool
	base  uint64
	bias  uint64
}

// bytes reads exactly n bytes at off. Memory is allocated as the bytes come
// in, so that a false size costs no more than what there is to read.
func (s source) bytes(off, n uint64) ([]byte, error) {
	const chunk = 1 << 20
	if !s.image && (n > s.size || off > s.size-n) {
		return nil, fmt.Errorf("%w: %d bytes at offset %#x are beyond the end of the file (%d bytes)", ErrFormat, n, off, s.size)
	}
	if off > math.MaxInt64-n {
		return nil, fmt.Errorf("%w: offset %#x", ErrFormat, off)
	}
	var buf []byte
	for uint64(len(buf)) < n {
		have := len(buf)
		want := min(n-uint64(have), chunk)
		buf = slices.Grow(buf, int(want))[:have+int(want)]
		got, err := s.r.ReadAt(buf[have:], int64(off)+int64(have))
		if uint64(got) < want {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("%w: offset %#x: %w", ErrFormat, off, err)
		}
	}
	return buf, nil
}
