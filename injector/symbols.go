package injector

import (
	"debug/elf"
	"fmt"
	"slices"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// symbolFacts is what symbol resolution needs to know about one file.
type symbolFacts struct {
	// table is the dynamic symbol table, entry 0 the null symbol.
	table []elfinfo.Symbol
	// defined are the indexes of what the dynamic linker can find by a name, in
	// table order.
	defined map[string][]int
	// throws: it refers to, or defines, one of the throwers.
	throws bool
	// cancels: it refers to pthread_cancel, and not just to see if it is there.
	cancels bool
	// base is the version that a reference without one may bind to although it
	// is not the default: the first that the file defines (index 2).
	base string
	// bound are the slots that the dynamic linker fills with the address of a
	// symbol, by the symbol's name.
	bound map[string][]elfinfo.Relocation
	// resolvers are the slots that it fills with what a resolver returns, by
	// the resolver's virtual address.
	resolvers map[uint64][]uint64
	// offsets and modules are the slots with offsets from the thread pointer
	// (TPOFF64) and TLS module ids (DTPMOD64).
	offsets, modules []elfinfo.Relocation
}

func readSymbolFacts(f *elfinfo.File) (*symbolFacts, error) {
	table, err := f.DynamicSymbolTable()
	if err != nil {
		return nil, err
	}
	base, err := f.BaseVersion()
	if err != nil {
		return nil, err
	}
	relocations, err := f.Relocations()
	if err != nil {
		return nil, err
	}
	facts := &symbolFacts{
		table: table, base: base,
		defined: make(map[string][]int, len(table)), bound: make(map[string][]elfinfo.Relocation),
		resolvers: make(map[uint64][]uint64),
	}
	indexes := make([]int, len(table))
	for i, s := range table {
		facts.throws = facts.throws || slices.Contains(throwers, s.Name)
		facts.cancels = facts.cancels || s.Name == "pthread_cancel" && s.Undefined && s.Binding == "global"
		if !findable(s) {
			continue
		}
		if indexes[i] = i; facts.defined[s.Name] == nil {
			facts.defined[s.Name] = indexes[i : i+1 : i+1] // few have more than one
		} else {
			facts.defined[s.Name] = append(facts.defined[s.Name], i)
		}
	}
	for _, r := range relocations {
		if r.Symbol < 0 || r.Symbol >= max(1, len(table)) {
			return nil, fmt.Errorf("%s: relocation at %#x: %w: symbol %d of %d",
				f.Name(), r.Offset, elfinfo.ErrFormat, r.Symbol, len(table))
		}
		facts.addSlot(r)
	}
	return facts, nil
}

// findable says whether the dynamic linker's hash tables lead to a symbol: an
// undefined one with an address stands for the PLT entry that a program not
// built as PIE uses as the function's address (psABI, "Function Addresses").
func findable(s elfinfo.Symbol) bool {
	switch {
	case s.Name == "" || s.Binding == "local":
		return false
	case s.Undefined:
		return s.Address != 0 && s.Kind != "tls"
	}
	return s.Address != 0 || s.Absolute || s.Kind == "tls"
}

func (f *symbolFacts) addSlot(r elfinfo.Relocation) {
	switch r.Type {
	case elf.R_X86_64_JMP_SLOT, elf.R_X86_64_GLOB_DAT:
		if r.Symbol != 0 {
			name := f.table[r.Symbol].Name
			f.bound[name] = append(f.bound[name], r)
		}
	case elf.R_X86_64_IRELATIVE:
		f.resolvers[uint64(r.Addend)] = append(f.resolvers[uint64(r.Addend)], r.Offset)
	case elf.R_X86_64_TPOFF64:
		f.offsets = append(f.offsets, r)
	case elf.R_X86_64_DTPMOD64:
		f.modules = append(f.modules, r)
	}
}

// A reference is what a relocation asks for.
type reference struct {
	name, version string
	// call: only where a function is defined counts, not the PLT entry of the
	// program that stands for its address (ELF_RTYPE_CLASS_PLT in glibc).
	call bool
}

// find looks for the definition that a reference binds to in this file
// (check_match and do_lookup_x in glibc's elf/dl-lookup.c).
func (f *symbolFacts) find(ref reference) (elfinfo.Symbol, bool) {
	var visible []int
	for _, i := range f.defined[ref.name] {
		s := f.table[i]
		if ref.call && s.Undefined {
			continue
		}
		shown := s.Default || s.Undefined
		switch {
		case ref.version != "":
			if s.Version == ref.version || s.Version == "" && shown {
				return s, true
			}
		case s.Version == "" || s.Version == f.base:
			return s, true
		case shown:
			visible = append(visible, i)
		}
	}
	if len(visible) != 1 {
		return elfinfo.Symbol{}, false
	}
	return f.table[visible[0]], true
}
