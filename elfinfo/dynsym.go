package elfinfo

import (
	"debug/elf"
	"fmt"
)

// symbolSize is the size of an ELF64 symbol (gABI chapter 4).
const symbolSize = 24

// DynamicSymbols returns the dynamic symbols, defined and undefined, in file
// order: the table of [File.DynamicSymbolTable] without its null entry and
// without local (section) symbols. A file without a dynamic section has none.
func (f *File) DynamicSymbols() ([]Symbol, error) {
	table, err := f.DynamicSymbolTable()
	if err != nil {
		return nil, err
	}
	symbols := table[:0]
	for _, s := range table {
		if s.Name != "" && s.Binding != bindingLocal {
			symbols = append(symbols, s)
		}
	}
	return symbols, nil
}

// DynamicSymbolTable returns the whole dynamic symbol table, so that
// [Relocation.Symbol] is an index of it: entry 0 is the null symbol. It is
// found through PT_DYNAMIC alone; see dynamicCount for its length.
func (f *File) DynamicSymbolTable() ([]Symbol, error) {
	if f.dynamic == nil {
		return nil, nil
	}
	count, err := f.dynamicCount()
	if err != nil || count == 0 {
		return nil, err
	}
	b, err := f.read(f.address(elf.DT_SYMTAB), count*symbolSize)
	if err != nil {
		return nil, fmt.Errorf("dynamic symbols: %w", err)
	}
	versions, err := f.readVersions(count)
	if err != nil {
		return nil, err
	}
	symbols := make([]Symbol, count)
	for i := range symbols {
		raw := decodeSymbol(b[i*symbolSize:])
		symbols[i] = raw.symbol(stringAt(f.dynamic.strings, uint64(raw.name)))
		if i > 0 {
			versions.apply(&symbols[i], i)
		}
	}
	return symbols, nil
}

// dynamicCount is the number of dynamic symbols. The dynamic section does not
// hold it. DT_HASH does, as its number of chains. DT_GNU_HASH leads to the
// last symbol that it covers; those before it are not counted anywhere where
// it covers none (ld writes such a table for a library that only imports), so
// the highest index that a relocation uses and a SHT_DYNSYM section for the
// same table count too.
func (f *File) dynamicCount() (uint64, error) {
	if f.dynamic.values[elf.DT_SYMTAB] == 0 {
		return 0, nil
	}
	count, err := f.hashCount()
	if err != nil {
		return 0, err
	}
	relocations, err := f.symbolRelocations()
	if err != nil {
		return 0, err
	}
	for _, r := range relocations {
		count = max(count, uint64(r.Symbol)+1)
	}
	for _, s := range f.sections {
		if s.Type == elf.SHT_DYNSYM && s.Addr == f.address(elf.DT_SYMTAB) {
			count = max(count, s.Size/symbolSize)
		}
	}
	if count > maxSymbols {
		return 0, f.bad("%d dynamic symbols", count)
	}
	return count, nil
}

// hashCount is the number of symbols according to DT_HASH, else DT_GNU_HASH.
func (f *File) hashCount() (uint64, error) {
	if _, ok := f.dynamic.values[elf.DT_HASH]; ok {
		b, err := f.read(f.address(elf.DT_HASH), 8)
		if err != nil {
			return 0, fmt.Errorf("DT_HASH: %w", err)
		}
		return uint64(le.Uint32(b[4:])), nil
	}
	if _, ok := f.dynamic.values[elf.DT_GNU_HASH]; !ok {
		return 0, nil
	}
	count, err := f.gnuHashCount(f.address(elf.DT_GNU_HASH))
	if err != nil {
		return 0, fmt.Errorf("DT_GNU_HASH: %w", err)
	}
	return count, nil
}

// gnuHashCount finds the end of a DT_GNU_HASH table: header (buckets, first
// symbol covered, 8-byte Bloom words, shift), Bloom filter, buckets with the
// first symbol of each chain, one word per symbol covered. Chains lie in
// symbol order and the lowest bit of a word ends one, so the last chain is
// that of the highest bucket.
func (f *File) gnuHashCount(addr uint64) (uint64, error) {
	header, err := f.read(addr, 16)
	if err != nil {
		return 0, err
	}
	buckets, first, bloom := uint64(le.Uint32(header)), uint64(le.Uint32(header[4:])), uint64(le.Uint32(header[8:]))
	if buckets > maxSymbols || bloom > maxSymbols {
		return 0, f.bad("%d hash buckets, %d Bloom words", buckets, bloom)
	}
	addr += 16 + 8*bloom
	b, err := f.read(addr, 4*buckets)
	if err != nil {
		return 0, err
	}
	last := uint64(0)
	for ; len(b) > 0; b = b[4:] {
		last = max(last, uint64(le.Uint32(b)))
	}
	if last == 0 {
		return first, nil // covers nothing; lld still says where it would start, ld says 1
	}
	if last < first {
		return 0, f.bad("hash chain of symbol %d before the first one (%d)", last, first)
	}
	return f.chainEnd(addr+4*buckets-4*first, last)
}

// chainEnd follows the chain words from that of symbol i to the one that ends
// the chain; words is where the word of symbol 0 would be.
func (f *File) chainEnd(words, i uint64) (uint64, error) {
	const step = 64
	for i < maxSymbols {
		left, _, ok := f.locate(words + 4*i)
		if !ok || left < 4 {
			return 0, f.bad("hash chain has no end")
		}
		b, err := f.read(words+4*i, min(4*step, left&^3))
		if err != nil {
			return 0, err
		}
		for ; len(b) > 0; b = b[4:] {
			i++
			if b[0]&1 != 0 {
				return i, nil
			}
		}
	}
	return 0, f.bad("more than %d dynamic symbols", maxSymbols)
}

// The values of Symbol.Kind and Symbol.Binding, Function.Binding and so on.
const (
	kindFunc      = "func"
	kindIFunc     = "ifunc"
	kindObject    = "object"
	kindTLS       = "tls"
	kindNoType    = "notype"
	bindingLocal  = "local"
	bindingGlobal = "global"
	bindingWeak   = "weak"
	bindingUnique = "unique"
)

// rawSymbol is an Elf64_Sym.
type rawSymbol struct {
	name    uint32
	info    byte
	section elf.SectionIndex
	value   uint64
	size    uint64
}

func decodeSymbol(b []byte) rawSymbol {
	return rawSymbol{
		name: le.Uint32(b), info: b[4], section: elf.SectionIndex(le.Uint16(b[6:])),
		value: le.Uint64(b[8:]), size: le.Uint64(b[16:]),
	}
}

func (s rawSymbol) symbol(name string) Symbol {
	return Symbol{
		Name: name, Kind: s.kind(), Binding: s.binding(), Address: s.value, Size: s.size,
		Undefined: s.section == elf.SHN_UNDEF, Absolute: s.section == elf.SHN_ABS,
	}
}

func (s rawSymbol) kind() string {
	switch elf.ST_TYPE(s.info) {
	case elf.STT_FUNC:
		return kindFunc
	case elf.STT_GNU_IFUNC:
		return kindIFunc
	case elf.STT_OBJECT, elf.STT_COMMON:
		return kindObject
	case elf.STT_TLS:
		return kindTLS
	}
	return kindNoType
}

func (s rawSymbol) binding() string {
	switch elf.ST_BIND(s.info) {
	case elf.STB_LOCAL:
		return bindingLocal
	case elf.STB_WEAK:
		return bindingWeak
	case 10: // STB_GNU_UNIQUE
		return bindingUnique
	}
	return bindingGlobal
}
