package elfinfo

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// Sizes of the ELF64 structures (gABI chapters 4 and 5).
const (
	headerSize  = 64
	segmentSize = 56
	sectionSize = 64
)

var le = binary.LittleEndian

// readHeaders reads the ELF header and the program headers.
func (f *File) readHeaders() error {
	b, err := f.src.bytes(f.src.base, headerSize)
	if err != nil {
		return fmt.Errorf("%s: ELF header: %w", f.name, err)
	}
	if string(b[:4]) != elf.ELFMAG {
		return f.bad("no ELF magic number")
	}
	if elf.Class(b[elf.EI_CLASS]) != elf.ELFCLASS64 || elf.Data(b[elf.EI_DATA]) != elf.ELFDATA2LSB ||
		elf.Machine(le.Uint16(b[18:])) != elf.EM_X86_64 {
		return fmt.Errorf("%s: %w (%v, %v, %v)", f.name, ErrMachine,
			elf.Class(b[elf.EI_CLASS]), elf.Data(b[elf.EI_DATA]), elf.Machine(le.Uint16(b[18:])))
	}
	f.header = elf.FileHeader{
		Class: elf.ELFCLASS64, Data: elf.ELFDATA2LSB, ByteOrder: le,
		Version: elf.Version(b[elf.EI_VERSION]), OSABI: elf.OSABI(b[elf.EI_OSABI]), ABIVersion: b[elf.EI_ABIVERSION],
		Type: elf.Type(le.Uint16(b[16:])), Machine: elf.EM_X86_64, Entry: le.Uint64(b[24:]),
	}
	switch {
	case f.header.Version != elf.EV_CURRENT:
		return f.bad("ELF version %d", f.header.Version)
	case f.header.Type != elf.ET_DYN && f.header.Type != elf.ET_EXEC && f.header.Type != elf.ET_REL:
		return f.bad("%v is neither a library, a program nor an object file", f.header.Type)
	}
	return f.readSegments(le.Uint64(b[32:]), le.Uint16(b[54:]), le.Uint16(b[56:]))
}

// readSegments reads the program header table.
func (f *File) readSegments(off uint64, entsize, count uint16) error {
	if count == 0 {
		if f.header.Type != elf.ET_REL {
			return f.bad("no program headers")
		}
		return nil
	}
	if entsize != segmentSize || count > maxSegments {
		return f.bad("%d program headers of %d bytes", count, entsize)
	}
	b, err := f.src.bytes(f.src.base+off, uint64(count)*segmentSize)
	if err != nil {
		return fmt.Errorf("%s: program headers: %w", f.name, err)
	}
	f.segments = make([]elf.ProgHeader, count)
	for i := range f.segments {
		p := b[i*segmentSize:]
		f.segments[i] = elf.ProgHeader{
			Type: elf.ProgType(le.Uint32(p)), Flags: elf.ProgFlag(le.Uint32(p[4:])), Off: le.Uint64(p[8:]),
			Vaddr: le.Uint64(p[16:]), Paddr: le.Uint64(p[24:]), Filesz: le.Uint64(p[32:]),
			Memsz: le.Uint64(p[40:]), Align: le.Uint64(p[48:]),
		}
	}
	return nil
}

// checkSegments holds the PT_LOAD segments against the file's size, so that
// address arithmetic within a segment cannot overflow later.
func (f *File) checkSegments() error {
	const maxAddress = 1 << 56
	for i, s := range f.segments {
		if s.Type != elf.PT_LOAD {
			continue
		}
		switch {
		case s.Vaddr >= maxAddress || s.Memsz >= maxAddress:
			return f.bad("program header %d: %d bytes at address %#x", i, s.Memsz, s.Vaddr)
		case s.Filesz > s.Memsz:
			return f.bad("program header %d: %d bytes of contents for %d bytes of memory", i, s.Filesz, s.Memsz)
		case !f.src.image && (s.Filesz > f.src.size || s.Off > f.src.size-s.Filesz):
			return f.bad("program header %d: %d bytes at offset %#x are beyond the end of the file (%d bytes)",
				i, s.Filesz, s.Off, f.src.size)
		}
	}
	return nil
}

// placeImage finds the bias of a memory image: its header is the first byte
// of the segment that maps offset 0.
func (f *File) placeImage() error {
	if err := f.checkSegments(); err != nil {
		return err
	}
	for _, s := range f.segments {
		if s.Type == elf.PT_LOAD && s.Off == 0 && s.Vaddr <= f.src.base {
			f.src.bias = f.src.base - s.Vaddr
			return nil
		}
	}
	return f.bad("no segment holds the ELF header")
}

// readSections reads the section header table with its names; none is not an error.
func (f *File) readSections() ([]elf.SectionHeader, error) {
	b, err := f.src.bytes(0, headerSize)
	if err != nil {
		return nil, err
	}
	off, entsize, count, names := le.Uint64(b[40:]), le.Uint16(b[58:]), le.Uint16(b[60:]), le.Uint16(b[62:])
	if off == 0 && count == 0 {
		return nil, nil
	}
	if entsize != sectionSize || count == 0 || count >= maxSections || names >= count {
		return nil, f.bad("%d section headers of %d bytes, names in section %d", count, entsize, names)
	}
	if b, err = f.src.bytes(off, uint64(count)*sectionSize); err != nil {
		return nil, fmt.Errorf("%s: section headers: %w", f.name, err)
	}
	sections := make([]elf.SectionHeader, count)
	for i := range sections {
		sections[i] = decodeSection(b[i*sectionSize:])
	}
	table, err := f.sectionBytes(sections[names])
	if err != nil {
		return nil, fmt.Errorf("%s: section names: %w", f.name, err)
	}
	for i := range sections {
		sections[i].Name = stringAt(table, uint64(le.Uint32(b[i*sectionSize:])))
	}
	return sections, nil
}

// decodeSection decodes one section header, without its name.
func decodeSection(b []byte) elf.SectionHeader {
	return elf.SectionHeader{
		Type: elf.SectionType(le.Uint32(b[4:])), Flags: elf.SectionFlag(le.Uint64(b[8:])),
		Addr: le.Uint64(b[16:]), Offset: le.Uint64(b[24:]), FileSize: le.Uint64(b[32:]), Size: le.Uint64(b[32:]),
		Link: le.Uint32(b[40:]), Info: le.Uint32(b[44:]), Addralign: le.Uint64(b[48:]), Entsize: le.Uint64(b[56:]),
	}
}

// section finds a section by name.
func (f *File) section(name string) (elf.SectionHeader, bool) {
	for _, s := range f.sections {
		if s.Name == name && s.Type != elf.SHT_NULL {
			return s, true
		}
	}
	return elf.SectionHeader{}, false
}

// sectionBytes reads the contents of a section as they are in the file.
func (f *File) sectionBytes(s elf.SectionHeader) ([]byte, error) {
	if s.Type == elf.SHT_NOBITS {
		return nil, fmt.Errorf("%w: section %q has no contents", ErrFormat, s.Name)
	}
	if s.FileSize > maxSectionLen {
		return nil, fmt.Errorf("%w: section %q has %d bytes", ErrFormat, s.Name, s.FileSize)
	}
	return f.src.bytes(s.Offset, s.FileSize)
}

// stringAt is the NUL-terminated string at an offset of a string table, "" if
// the offset is outside or the string has no end.
func stringAt(table []byte, off uint64) string {
	if off >= uint64(len(table)) {
		return ""
	}
	n := bytes.IndexByte(table[off:], 0)
	if n < 0 {
		return ""
	}
	return string(table[off : off+uint64(n)])
}
