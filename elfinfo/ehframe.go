package elfinfo

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"slices"
	"sort"
	"strings"
)

// Pointer encodings of .eh_frame (LSB 5.0 chapter 10.5.1): the low four bits
// are the format, the next three what the value is relative to.
const (
	encodingAbsolute = 0x00
	encodingULEB     = 0x01
	encodingUData2   = 0x02
	encodingUData4   = 0x03
	encodingUData8   = 0x04
	encodingSLEB     = 0x09
	encodingSData2   = 0x0a
	encodingSData4   = 0x0b
	encodingSData8   = 0x0c
	encodingPCRel    = 0x10
	encodingDataRel  = 0x30
	encodingOmit     = 0xff
)

var errFrame = errors.New("frame information")

// frameTable is the binary search table of .eh_frame_hdr, which every linked
// library has: the start of each function that has frame information, and its FDE.
type frameTable struct {
	file  *File
	start []uint64 // ascending
	fde   []uint64
	// unknown says that there is a table, but not one that is understood:
	// then every function may have a personality routine.
	unknown bool
}

// readFrames reads the table through PT_GNU_EH_FRAME. A file without one
// has no frame information that an unwinder would find.
func (f *File) readFrames() *frameTable {
	t := &frameTable{file: f}
	i := slices.IndexFunc(f.segments, func(s elf.ProgHeader) bool { return s.Type == elf.PT_GNU_EH_FRAME })
	if i < 0 {
		return t
	}
	t.unknown = !t.read(f.segments[i])
	return t
}

// read reads the table of a PT_GNU_EH_FRAME segment.
func (t *frameTable) read(s elf.ProgHeader) bool {
	if s.Filesz > maxRead {
		return false
	}
	addr := s.Vaddr
	b, err := t.file.read(addr, s.Filesz)
	if err != nil || len(b) < 4 || b[0] != 1 || b[3] != encodingDataRel|encodingSData4 {
		return false
	}
	r := frameReader{b: b, pos: 4, addr: addr}
	r.pointer(b[1]) // start of .eh_frame: the table has the addresses
	count := r.pointer(b[2])
	if r.bad || count > uint64(len(b)-r.pos)/8 {
		return false
	}
	for p := b[r.pos:]; count > 0; count, p = count-1, p[8:] {
		t.start = append(t.start, addr+uint64(int64(int32(le.Uint32(p)))))
		t.fde = append(t.fde, addr+uint64(int64(int32(le.Uint32(p[4:])))))
	}
	return slices.IsSorted(t.start)
}

// personality says whether the function at addr has a personality routine,
// which an exception or a cancellation passing through it would call. It has
// one if its frame information cannot be read.
func (t *frameTable) personality(addr uint64) bool {
	if t.unknown {
		return true
	}
	i := sort.Search(len(t.start), func(i int) bool { return t.start[i] > addr }) - 1
	if i < 0 {
		return false
	}
	start, size, cie, err := t.readFDE(t.fde[i])
	if err != nil {
		return true
	}
	return addr >= start && addr-start < size && cie.personality
}

// FrameSize is how many bytes of code, from addr on, belong to the function
// that starts there, as its frame information says (LSB 5.0 chapter 10.6): also
// for a function that a stripped file has no symbol of. ok is false if no
// function with frame information starts at addr, or it cannot be read.
func (f *File) FrameSize(addr uint64) (size uint64, ok bool) {
	t := f.readFrames()
	i, found := slices.BinarySearch(t.start, addr)
	if t.unknown || !found {
		return 0, false
	}
	start, size, _, err := t.readFDE(t.fde[i])
	return size, err == nil && start == addr && size > 0
}

// readFDE reads the frame description entry at addr: the code that it covers, and its CIE.
func (t *frameTable) readFDE(addr uint64) (start, size uint64, cie frameCIE, err error) {
	head, err := t.file.read(addr, 8)
	if err != nil {
		return 0, 0, cie, err
	}
	length := uint64(le.Uint32(head))
	if length < 4 || length > 1<<16 {
		return 0, 0, cie, errFrame
	}
	if cie, err = t.readCIE(addr + 4 - uint64(le.Uint32(head[4:]))); err != nil {
		return 0, 0, cie, err
	}
	b, err := t.file.read(addr+8, length-4)
	if err != nil {
		return 0, 0, cie, err
	}
	r := frameReader{b: b, addr: addr + 8}
	start, size = r.pointer(cie.encoding), r.pointer(cie.encoding&0x0f)
	if r.bad {
		err = errFrame
	}
	return start, size, cie, err
}

// frameCIE is what matters of a common information entry.
type frameCIE struct {
	personality bool
	encoding    byte // of the pointers in its FDEs
}

// readCIE reads the CIE at addr.
func (t *frameTable) readCIE(addr uint64) (frameCIE, error) {
	head, err := t.file.read(addr, 9)
	if err != nil {
		return frameCIE{}, err
	}
	size := uint64(le.Uint32(head))
	if size < 5 || size > 1<<16 || le.Uint32(head[4:]) != 0 || head[8] != 1 && head[8] != 3 {
		return frameCIE{}, errFrame
	}
	b, err := t.file.read(addr+9, size-5)
	if err != nil {
		return frameCIE{}, err
	}
	augmentation := stringAt(b, 0)
	r := frameReader{b: b, pos: len(augmentation) + 1, addr: addr + 9}
	r.uleb() // code alignment
	r.uleb() // data alignment (signed, the length is the same)
	if head[8] == 1 {
		r.bytes(1)
	} else {
		r.uleb()
	}
	return r.augmentation(augmentation)
}

// augmentation reads the augmentation data of a CIE.
func (r *frameReader) augmentation(letters string) (frameCIE, error) {
	cie := frameCIE{personality: strings.Contains(letters, "P")}
	for i, letter := range letters {
		switch {
		case letter == 'z' && i == 0:
			r.uleb() // length of what follows
		case letter == 'R':
			cie.encoding = r.byte()
		case letter == 'P':
			r.pointer(r.byte())
		case letter == 'L':
			r.byte()
		case letter == 'S' || letter == 'B':
		default:
			return cie, errFrame
		}
	}
	if r.bad {
		return cie, errFrame
	}
	return cie, nil
}

// frameReader reads the values of .eh_frame; addr is the address of b. Reading
// beyond the end sets bad and yields zeros.
type frameReader struct {
	b    []byte
	pos  int
	addr uint64
	bad  bool
}

func (r *frameReader) bytes(n int) []byte {
	if r.bad || r.pos > len(r.b) || n > len(r.b)-r.pos {
		r.bad = true
		return make([]byte, n)
	}
	r.pos += n
	return r.b[r.pos-n : r.pos]
}

func (r *frameReader) byte() byte { return r.bytes(1)[0] }

func (r *frameReader) uleb() uint64 {
	v, n := binary.Uvarint(r.b[min(r.pos, len(r.b)):])
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.pos += n
	return v
}

// pointer reads an encoded pointer. What it is relative to other than its own
// address does not matter here; an indirect pointer is not followed.
func (r *frameReader) pointer(encoding byte) uint64 {
	if encoding == encodingOmit {
		return 0
	}
	at := r.addr + uint64(r.pos)
	var v uint64
	switch encoding & 0x0f {
	case encodingAbsolute, encodingUData8, encodingSData8:
		v = le.Uint64(r.bytes(8))
	case encodingUData4:
		v = uint64(le.Uint32(r.bytes(4)))
	case encodingSData4:
		v = uint64(int64(int32(le.Uint32(r.bytes(4)))))
	case encodingUData2:
		v = uint64(le.Uint16(r.bytes(2)))
	case encodingSData2:
		v = uint64(int64(int16(le.Uint16(r.bytes(2)))))
	case encodingULEB, encodingSLEB:
		v = r.uleb()
	default:
		r.bad = true
	}
	if encoding&0x70 == encodingPCRel {
		v += at
	}
	return v
}
