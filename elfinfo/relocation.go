package elfinfo

import (
	"debug/elf"
	"fmt"
	"math/bits"
)

// relocationSize is the size of an Elf64_Rela.
const relocationSize = 24

// Relocation is one dynamic relocation.
type Relocation struct {
	// Offset is the virtual address of the place that is relocated.
	Offset uint64
	Type   elf.R_X86_64
	// Symbol is an index of [File.DynamicSymbolTable], 0 for none.
	Symbol int
	Addend int64
}

// Relocations returns the relocations of DT_RELA, DT_JMPREL and DT_RELR, in
// this order. Those of DT_RELR are R_X86_64_RELATIVE with the word in the
// file as addend; in a memory image this word is relocated already, so they
// are left out there.
func (f *File) Relocations() ([]Relocation, error) {
	if f.dynamic == nil {
		return nil, nil
	}
	all, err := f.symbolRelocations()
	if err != nil || f.src.image {
		return all, err
	}
	if all, err = f.relrTable(all, f.address(dtRelr), f.dynamic.values[dtRelrSize]); err != nil {
		return nil, fmt.Errorf("DT_RELR: %w", err)
	}
	return all, nil
}

// symbolRelocations reads the tables whose entries can name symbols.
func (f *File) symbolRelocations() ([]Relocation, error) {
	v := f.dynamic.values
	if v[elf.DT_REL] != 0 || v[elf.DT_PLTRELSZ] != 0 && elf.DynTag(v[elf.DT_PLTREL]) != elf.DT_RELA {
		return nil, f.bad("relocations without addend (DT_REL)")
	}
	if size, ok := v[elf.DT_RELAENT]; ok && size != relocationSize {
		return nil, f.bad("relocations of %d bytes", size)
	}
	rela, size := f.address(elf.DT_RELA), v[elf.DT_RELASZ]
	all, err := f.relaTable(nil, rela, size)
	if err != nil {
		return nil, fmt.Errorf("DT_RELA: %w", err)
	}
	// Some linkers count the PLT's relocations, which follow, into DT_RELASZ.
	if plt := f.address(elf.DT_JMPREL); plt < rela || plt-rela >= size {
		if all, err = f.relaTable(all, plt, v[elf.DT_PLTRELSZ]); err != nil {
			return nil, fmt.Errorf("DT_JMPREL: %w", err)
		}
	}
	return all, nil
}

// relaTable appends a table of Elf64_Rela of size bytes.
func (f *File) relaTable(all []Relocation, addr, size uint64) ([]Relocation, error) {
	if size == 0 {
		return all, nil
	}
	if size%relocationSize != 0 || size/relocationSize+uint64(len(all)) > maxRelocs {
		return nil, f.bad("%d bytes of relocations", size)
	}
	b, err := f.read(addr, size)
	if err != nil {
		return nil, err
	}
	for ; len(b) > 0; b = b[relocationSize:] {
		info := le.Uint64(b[8:])
		all = append(all, Relocation{
			Offset: le.Uint64(b), Type: elf.R_X86_64(info & 0xffffffff), Symbol: int(info >> 32),
			Addend: int64(le.Uint64(b[16:])),
		})
	}
	return all, nil
}

// relrTable appends the relative relocations of a DT_RELR table: an even word
// is the address of one, an odd word a bitmap of the 63 words after the last
// one covered (gABI, "SHT_RELR").
func (f *File) relrTable(all []Relocation, addr, size uint64) ([]Relocation, error) {
	if size == 0 {
		return all, nil
	}
	if entry, ok := f.dynamic.values[dtRelrEnt]; size%8 != 0 || size > 8*maxRelocs || ok && entry != 8 {
		return nil, f.bad("%d bytes of relocations", size)
	}
	b, err := f.read(addr, size)
	if err != nil {
		return nil, err
	}
	next := uint64(0)
	for ; len(b) > 0; b = b[8:] {
		word := le.Uint64(b)
		if word&1 == 0 {
			all, err = f.appendRelative(all, word, 1)
			next = word + 8
		} else {
			all, err = f.appendRelative(all, next, word>>1)
			next += 63 * 8
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// appendRelative appends the words from an address on whose bits are set in bitmap.
func (f *File) appendRelative(all []Relocation, at, bitmap uint64) ([]Relocation, error) {
	if len(all)+bits.OnesCount64(bitmap) > maxRelocs {
		return nil, f.bad("more than %d relocations", maxRelocs)
	}
	words, err := f.read(at, 8*uint64(bits.Len64(bitmap)))
	if err != nil {
		return nil, err
	}
	for ; bitmap != 0; bitmap &= bitmap - 1 {
		i := 8 * bits.TrailingZeros64(bitmap)
		all = append(all, Relocation{
			Offset: at + uint64(i), Type: elf.R_X86_64_RELATIVE, Addend: int64(le.Uint64(words[i:])),
		})
	}
	return all, nil
}
