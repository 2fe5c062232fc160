package livepatch

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// Sizes of the structures of a 64-bit ELF file (gABI chapters 4 and 5), in bytes.
const (
	headerSize  = 64
	segmentSize = 56
	sectionSize = 64
	symbolSize  = 24
)

// Bounds far above what a linker writes for a shared object.
const (
	maxSegments = 256
	maxSections = 4096
	maxSymbols  = 1 << 20
)

// image is a little-endian 64-bit ELF file whose tables have been checked: every
// segment and every section with bytes lies inside data.
type image struct {
	data     []byte
	header   elf.Header64
	segments []elf.Prog64
	sections []elf.Section64
	// names are the sections' names.
	names []string
}

// parseImage reads the tables of an ELF file. Errors wrap ErrNoMetadata if it
// is not ELF, ErrUnsupported if it is of another class or type, else ErrCorrupt.
func parseImage(data []byte) (*image, error) {
	if !bytes.HasPrefix(data, []byte(elf.ELFMAG)) {
		return nil, fmt.Errorf("not an ELF file: %w", ErrNoMetadata)
	}
	if len(data) > MaxContainer {
		return nil, fmt.Errorf("larger than %d bytes: %w", MaxContainer, ErrCorrupt)
	}
	f := &image{data: data}
	if err := f.parseHeader(); err != nil {
		return nil, err
	}
	h := &f.header
	if err := table(data, h.Phoff, int(h.Phnum), segmentSize, &f.segments); err != nil {
		return nil, fmt.Errorf("program headers: %w", err)
	}
	if err := table(data, h.Shoff, int(h.Shnum), sectionSize, &f.sections); err != nil {
		return nil, fmt.Errorf("section headers: %w", err)
	}
	for i, p := range f.segments {
		if !inside(data, p.Off, p.Filesz) {
			return nil, fmt.Errorf("segment %d: %d bytes at %#x: outside the file: %w", i, p.Filesz, p.Off, ErrCorrupt)
		}
	}
	for i, s := range f.sections {
		if hasBytes(s) && !inside(data, s.Off, s.Size) {
			return nil, fmt.Errorf("section %d: %d bytes at %#x: outside the file: %w", i, s.Size, s.Off, ErrCorrupt)
		}
	}
	return f, f.parseNames()
}

func (f *image) parseHeader() error {
	if len(f.data) < headerSize {
		return fmt.Errorf("ELF header truncated: %w", ErrCorrupt)
	}
	h := &f.header
	if _, err := binary.Decode(f.data, binary.LittleEndian, h); err != nil {
		return fmt.Errorf("ELF header: %w: %w", err, ErrCorrupt)
	}
	class, order := elf.Class(h.Ident[elf.EI_CLASS]), elf.Data(h.Ident[elf.EI_DATA])
	switch {
	case class != elf.ELFCLASS64 || order != elf.ELFDATA2LSB:
		return fmt.Errorf("%v %v: %w", class, order, ErrUnsupported)
	case elf.Type(h.Type) != elf.ET_DYN:
		return fmt.Errorf("%v: %w", elf.Type(h.Type), ErrUnsupported)
	case elf.Machine(h.Machine) != elf.EM_X86_64:
		return fmt.Errorf("%v: %w", elf.Machine(h.Machine), ErrUnsupported)
	case h.Ehsize != headerSize, h.Phnum > 0 && h.Phentsize != segmentSize, h.Shnum > 0 && h.Shentsize != sectionSize:
		return fmt.Errorf("ELF header: sizes %d, %d, %d: %w", h.Ehsize, h.Phentsize, h.Shentsize, ErrCorrupt)
	case h.Phnum > maxSegments || h.Shnum > maxSections:
		return fmt.Errorf("%d segments, %d sections: %w", h.Phnum, h.Shnum, ErrCorrupt)
	}
	return nil
}

// table decodes n fixed-size records at an offset.
func table[T any](data []byte, off uint64, n, size int, out *[]T) error {
	if n == 0 {
		return nil
	}
	if !inside(data, off, uint64(n*size)) {
		return fmt.Errorf("%d entries at %#x: outside the file: %w", n, off, ErrCorrupt)
	}
	*out = make([]T, n)
	_, err := binary.Decode(data[off:], binary.LittleEndian, *out)
	return err
}

// parseNames reads the sections' names. Without a section table there are none.
func (f *image) parseNames() error {
	n := uint64(f.header.Shstrndx)
	if len(f.sections) == 0 {
		return nil
	}
	if n == 0 || n >= uint64(len(f.sections)) || elf.SectionType(f.sections[n].Type) != elf.SHT_STRTAB {
		return fmt.Errorf("section name table %d: %w", n, ErrCorrupt)
	}
	strtab := f.bytes(int(n))
	f.names = make([]string, len(f.sections))
	for i, s := range f.sections {
		name, ok := stringAt(strtab, s.Name)
		if !ok {
			return fmt.Errorf("section %d: name at %#x: %w", i, s.Name, ErrCorrupt)
		}
		f.names[i] = name
	}
	return nil
}

// bytes returns a section's bytes; they alias the file.
func (f *image) bytes(i int) []byte {
	s := f.sections[i]
	if !hasBytes(s) {
		return nil
	}
	return f.data[s.Off : s.Off+s.Size]
}

// section returns the only section of that name, -1 if there is none.
func (f *image) section(name string) (int, error) {
	found := -1
	for i, n := range f.names {
		if n != name {
			continue
		}
		if found >= 0 {
			return -1, fmt.Errorf("two sections %s: %w", name, ErrCorrupt)
		}
		found = i
	}
	return found, nil
}

// buildID returns the GNU build-id from the first PT_NOTE that has one, nil if
// there is none: sections may be stripped, and a file may have several notes.
func (f *image) buildID() []byte {
	for _, p := range f.segments {
		if elf.ProgType(p.Type) != elf.PT_NOTE {
			continue
		}
		// gABI says 4, but a segment aligned to 8 holds notes padded to 8.
		align := uint64(4)
		if p.Align == 8 {
			align = 8
		}
		if id := findBuildID(f.data[p.Off:p.Off+p.Filesz], align); id != nil {
			return id
		}
	}
	return nil
}

const ntGNUBuildID = 3

func findBuildID(notes []byte, align uint64) []byte {
	for len(notes) >= 12 {
		namesz := uint64(binary.LittleEndian.Uint32(notes))
		descsz := uint64(binary.LittleEndian.Uint32(notes[4:]))
		kind := binary.LittleEndian.Uint32(notes[8:])
		desc := alignUp(12+namesz, align)
		if desc+descsz > uint64(len(notes)) {
			return nil
		}
		if kind == ntGNUBuildID && string(notes[12:12+namesz]) == "GNU\x00" && descsz > 0 && descsz <= maxBuildID {
			return bytes.Clone(notes[desc : desc+descsz])
		}
		notes = notes[min(alignUp(desc+descsz, align), uint64(len(notes))):]
	}
	return nil
}

func hasBytes(s elf.Section64) bool {
	t := elf.SectionType(s.Type)
	return t != elf.SHT_NOBITS && t != elf.SHT_NULL
}

func isLoaded(s elf.Section64) bool {
	return elf.SectionFlag(s.Flags)&elf.SHF_ALLOC != 0
}

// inside says whether data[off:off+size] exists.
func inside(data []byte, off, size uint64) bool {
	n := uint64(len(data))
	return off <= n && size <= n-off
}

// stringAt returns the NUL-terminated string at an offset of a string table.
// Names longer than maxName are refused, so that many offsets into one huge
// string cost little.
func stringAt(strtab []byte, off uint32) (string, bool) {
	if uint64(off) >= uint64(len(strtab)) {
		return "", false
	}
	s := strtab[off:]
	s = s[:min(len(s), maxName+1)]
	n := bytes.IndexByte(s, 0)
	if n < 0 {
		return "", false
	}
	return string(s[:n]), true
}

// alignUp rounds up to a multiple of align, a power of two.
func alignUp(n, align uint64) uint64 { return (n + align - 1) &^ (align - 1) }
