package livepatch

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// symbol is one defined symbol of a container.
type symbol struct {
	kind    elf.SymType
	value   uint64
	size    uint64
	dynamic bool
}

// symbols returns the defined symbols by name, dynamic ones first.
func (f *image) symbols() (map[string][]symbol, error) {
	found := make(map[string][]symbol)
	for _, kind := range []elf.SectionType{elf.SHT_DYNSYM, elf.SHT_SYMTAB} {
		for i, s := range f.sections {
			if elf.SectionType(s.Type) != kind {
				continue
			}
			if err := f.addSymbols(found, i); err != nil {
				return nil, fmt.Errorf("section %s: %w", f.names[i], err)
			}
		}
	}
	return found, nil
}

func (f *image) addSymbols(found map[string][]symbol, section int) error {
	s := f.sections[section]
	if s.Entsize != symbolSize || s.Size/symbolSize > maxSymbols || s.Link >= uint32(len(f.sections)) {
		return fmt.Errorf("%d bytes of entries of %d bytes: %w", s.Size, s.Entsize, ErrCorrupt)
	}
	strtab := f.bytes(int(s.Link))
	le := binary.LittleEndian
	for b := f.bytes(section); len(b) >= symbolSize; b = b[symbolSize:] {
		kind := elf.ST_TYPE(b[4])
		if elf.SectionIndex(le.Uint16(b[6:])) == elf.SHN_UNDEF || kind == elf.STT_SECTION || kind == elf.STT_FILE {
			continue
		}
		name, ok := stringAt(strtab, le.Uint32(b))
		if !ok {
			return fmt.Errorf("symbol name at %#x: %w", le.Uint32(b), ErrCorrupt)
		}
		found[name] = append(found[name], symbol{
			kind: kind, value: le.Uint64(b[8:]), size: le.Uint64(b[16:]),
			dynamic: elf.SectionType(s.Type) == elf.SHT_DYNSYM,
		})
	}
	return nil
}

// writable says whether a writable segment holds [addr, addr+size).
func (f *image) writable(addr, size uint64) bool {
	for _, p := range f.segments {
		if elf.ProgType(p.Type) == elf.PT_LOAD && elf.ProgFlag(p.Flags)&elf.PF_W != 0 &&
			addr >= p.Vaddr && size <= p.Memsz && addr-p.Vaddr <= p.Memsz-size {
			return true
		}
	}
	return false
}
