package elfinfo

import (
	"cmp"
	"debug/elf"
	"slices"
	"sort"
	"strings"
)

// codeName is a symbol that code can refer to.
type codeName struct {
	name       string
	start, end uint64 // the same for a symbol without size
	kind       string
}

// maxCover bounds how many symbols are looked at for one address: hostile ones
// can all overlap.
const maxCover = 256

// maxAliases bounds the names of one function that are looked at.
const maxAliases = 64

// codeNames finds what code refers to by address: symbols, local ones too,
// thread-local symbols and the slots that relocations fill.
type codeNames struct {
	lib     *File
	all     []codeName // by start, then name
	tls     []codeName
	dynamic []Symbol              // for relocations
	slots   map[uint64]Relocation // by the place that is relocated

	textRelocations bool // some of these places are in the text
}

// newCodeNames reads all symbols of both files and the library's relocations.
func newCodeNames(lib, symbols *File) (*codeNames, error) {
	n := &codeNames{lib: lib, slots: make(map[uint64]Relocation)}
	var err error
	if n.dynamic, err = lib.DynamicSymbolTable(); err != nil {
		return nil, err
	}
	relocations, err := lib.Relocations()
	if err != nil {
		return nil, err
	}
	for _, r := range relocations {
		n.slots[r.Offset] = r
		n.textRelocations = n.textRelocations || n.executable(r.Offset)
	}
	if err := symbols.staticSymbols(func(d definition) { n.add(d.Symbol) }); err != nil {
		return nil, err
	}
	for _, s := range n.dynamic {
		if !s.Undefined && s.Binding != bindingLocal {
			n.add(s)
		}
	}
	for _, list := range [][]codeName{n.all, n.tls} {
		slices.SortFunc(list, func(a, b codeName) int {
			return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.name, b.name), cmp.Compare(b.end, a.end))
		})
	}
	return n, nil
}

func (n *codeNames) add(s Symbol) {
	if s.Absolute || s.Name == "" || s.Address+s.Size < s.Address {
		return
	}
	c := codeName{s.Name, s.Address, s.Address + s.Size, s.Kind}
	if s.Kind == kindTLS {
		n.tls = append(n.tls, c)
	} else {
		n.all = append(n.all, c)
	}
}

// at is the symbol that an address belongs to: the innermost one that covers
// it, else one without size that is exactly there. Of several names for the
// same the first in the alphabet counts, so that it is always the same one.
func at(list []codeName, addr uint64) (found codeName, ok bool) {
	i := sort.Search(len(list), func(i int) bool { return list[i].start > addr }) - 1
	for looked := 0; i >= 0 && looked < maxCover; i, looked = i-1, looked+1 {
		s := list[i]
		covers := addr < s.end || s.start == s.end && s.start == addr
		if !covers {
			continue
		}
		if ok && s.start != found.start {
			break
		}
		// A name with a size is preferred: others are marks, as __bss_start.
		if !ok || (s.end > s.start) == (found.end > found.start) || s.end > s.start {
			found, ok = s, true
		}
	}
	return found, ok
}

// next is the start of the first symbol behind an address.
func (n *codeNames) next(addr uint64) uint64 {
	i := sort.Search(len(n.all), func(i int) bool { return n.all[i].start > addr })
	if i == len(n.all) {
		return ^uint64(0)
	}
	return n.all[i].start
}

// aliases are the names of the functions that start at an address.
func (n *codeNames) aliases(addr uint64) (names []string) {
	i := sort.Search(len(n.all), func(i int) bool { return n.all[i].start >= addr })
	for ; i < len(n.all) && n.all[i].start == addr && len(names) < maxAliases; i++ {
		if k := n.all[i].kind; k == kindFunc || k == kindIFunc {
			names = append(names, n.all[i].name)
		}
	}
	return slices.Compact(names)
}

// executable says whether an address is in the text. Older linkers put
// constants in the same segment, which only sections tell.
func (n *codeNames) executable(addr uint64) bool {
	if len(n.lib.sections) > 0 {
		return slices.ContainsFunc(n.lib.sections, func(s elf.SectionHeader) bool {
			return s.Flags&elf.SHF_EXECINSTR != 0 && addr >= s.Addr && addr-s.Addr < s.Size
		})
	}
	return slices.ContainsFunc(n.lib.segments, func(s elf.ProgHeader) bool {
		return s.Type == elf.PT_LOAD && s.Flags&elf.PF_X != 0 && addr >= s.Vaddr && addr-s.Vaddr < s.Memsz
	})
}

// constant says whether the bytes at an address are in the file and never
// change once the library is relocated.
func (n *codeNames) constant(addr uint64) bool {
	constant := false
	for _, s := range n.lib.segments {
		switch {
		case s.Type == elf.PT_LOAD && addr >= s.Vaddr && addr-s.Vaddr < s.Filesz && s.Flags&elf.PF_W == 0,
			s.Type == elf.PT_GNU_RELRO && addr >= s.Vaddr && addr-s.Vaddr < s.Memsz:
			constant = true
		}
	}
	return constant
}

// plainName strips what the compiler numbers as it goes: buffer.12345 and
// buffer.9 are the same variable in two builds.
func plainName(name string) string {
	parts := strings.Split(name, ".")
	kept := slices.DeleteFunc(parts[1:], func(s string) bool {
		return s != "" && strings.Trim(s, "0123456789") == ""
	})
	return strings.Join(append(parts[:1], kept...), ".")
}
