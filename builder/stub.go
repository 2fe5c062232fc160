package builder

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"slices"
)

// stubSymbol is one symbol that a stub library offers.
type stubSymbol struct {
	Name string `json:"name"`
	// Version is "" if the library defines the symbol without one.
	Version string `json:"version,omitempty"`
	// Explicit says that the source asks for this version by name (.symver):
	// the stub then hides it from references without a version.
	Explicit bool `json:"explicit,omitempty"`
	// Kind is func, object or tls.
	Kind string `json:"kind"`
}

// The sections of a stub library, in file order.
const (
	stubNull = iota
	stubDynsym
	stubDynstr
	stubVersym
	stubVerdef
	stubDynamic
	stubText
	stubTLS
	stubShstrtab
	stubSections
)

// stubBase is where the first symbol of a stub lies. Nothing is ever loaded
// there: the link editor only wants defined symbols.
const stubBase = 0x1000

// versionHidden marks an entry of .gnu.version that no reference without a
// version binds to (gABI symbol versioning, VERSYM_HIDDEN).
const versionHidden = 0x8000

// stubLibrary writes a shared library that is good for one thing, to be linked
// against: it has the soname, and defines the symbols with exactly the versions
// given, for x86-64. There is no code in it. The bytes depend on nothing else.
func stubLibrary(soname string, symbols []stubSymbol) []byte {
	dynstr := newStrings()
	sonameOff := dynstr.add(soname)
	versions := stubVersions(symbols)

	var dynsym, versym []byte
	dynsym = appendLE(dynsym, elf.Sym64{})
	versym = binary.LittleEndian.AppendUint16(versym, 0)
	for i, s := range symbols {
		dynsym = appendLE(dynsym, stubSym(dynstr.add(s.Name), s.Kind, i))
		versym = binary.LittleEndian.AppendUint16(versym, versionIndex(versions, s))
	}
	verdef := stubVerdefs(soname, versions, dynstr)
	dynamic := appendLE(nil, []elf.Dyn64{{Tag: int64(elf.DT_SONAME), Val: uint64(sonameOff)}, {}})

	w := stubWriter{}
	w.add(stubDynsym, ".dynsym", dynsym, elf.Section64{Type: uint32(elf.SHT_DYNSYM), Link: stubDynstr, Info: 1, Entsize: elf.Sym64Size, Addralign: 8})
	w.add(stubDynstr, ".dynstr", dynstr.buf, elf.Section64{Type: uint32(elf.SHT_STRTAB)})
	w.add(stubVersym, ".gnu.version", versym, elf.Section64{Type: uint32(elf.SHT_GNU_VERSYM), Link: stubDynsym, Entsize: 2, Addralign: 2})
	w.add(stubVerdef, ".gnu.version_d", verdef, elf.Section64{Type: uint32(elf.SHT_GNU_VERDEF), Link: stubDynstr, Info: uint32(len(versions) + 1), Addralign: 8})
	w.add(stubDynamic, ".dynamic", dynamic, elf.Section64{Type: uint32(elf.SHT_DYNAMIC), Link: stubDynstr, Entsize: 16, Addralign: 8})
	w.reserve(stubText, ".text", uint64(16*len(symbols)), elf.SHF_ALLOC|elf.SHF_EXECINSTR)
	w.reserve(stubTLS, ".tbss", uint64(16*len(symbols)), elf.SHF_ALLOC|elf.SHF_WRITE|elf.SHF_TLS)
	return w.finish()
}

// stubSym is the symbol table entry of the i-th symbol.
func stubSym(name uint32, kind string, i int) elf.Sym64 {
	sym := elf.Sym64{Name: name, Shndx: stubText, Value: stubBase + uint64(16*i)}
	typ := elf.STT_FUNC
	switch kind {
	case "object":
		typ = elf.STT_OBJECT
	case "tls":
		typ, sym.Shndx = elf.STT_TLS, stubTLS
		sym.Value = uint64(16 * i)
	}
	sym.Info = elf.ST_INFO(elf.STB_GLOBAL, typ)
	return sym
}

// stubVersions are the distinct versions of symbols, sorted.
func stubVersions(symbols []stubSymbol) []string {
	var versions []string
	for _, s := range symbols {
		if s.Version != "" && !slices.Contains(versions, s.Version) {
			versions = append(versions, s.Version)
		}
	}
	slices.Sort(versions)
	return versions
}

// versionIndex is the entry of .gnu.version for s: 1 is "global, no version",
// the definitions of .gnu.version_d follow from 2.
func versionIndex(versions []string, s stubSymbol) uint16 {
	if s.Version == "" {
		return 1
	}
	index := uint16(2 + slices.Index(versions, s.Version))
	if s.Explicit {
		index |= versionHidden
	}
	return index
}

// verdef and verdaux are Elf64_Verdef and Elf64_Verdaux.
type verdef struct {
	Version, Flags, Index, Count uint16
	Hash, Aux, Next              uint32
}

type verdaux struct{ Name, Next uint32 }

// stubVerdefs writes .gnu.version_d: the library itself, then each version.
func stubVerdefs(soname string, versions []string, dynstr *stringTable) []byte {
	const defLen, auxLen, base = 20, 8, 1
	var out []byte
	for i, name := range append([]string{soname}, versions...) {
		def := verdef{Version: 1, Index: uint16(i + 1), Count: 1, Hash: elfHash(name), Aux: defLen}
		if i == 0 {
			def.Flags = base
		}
		if i < len(versions) {
			def.Next = defLen + auxLen
		}
		out = appendLE(out, def)
		out = appendLE(out, verdaux{Name: dynstr.add(name)})
	}
	return out
}

// elfHash is the hash function of the System V ABI.
func elfHash(name string) uint32 {
	var h uint32
	for i := range len(name) {
		h = h<<4 + uint32(name[i])
		g := h & 0xf0000000
		h ^= g >> 24
		h &^= g
	}
	return h
}

// stubWriter collects sections behind an ELF header.
type stubWriter struct {
	body     []byte
	names    *stringTable
	sections [stubSections]elf.Section64
}

func (w *stubWriter) add(index int, name string, data []byte, s elf.Section64) {
	if w.names == nil {
		w.names = newStrings()
	}
	w.body = append(w.body, make([]byte, -len(w.body)&7)...)
	s.Name = w.names.add(name)
	s.Off = elfHeaderLen + uint64(len(w.body))
	s.Size = uint64(len(data))
	s.Addralign = max(s.Addralign, 1)
	if index != stubShstrtab {
		s.Flags = uint64(elf.SHF_ALLOC)
	}
	w.sections[index] = s
	w.body = append(w.body, data...)
}

// reserve adds a section that has a size and no bytes.
func (w *stubWriter) reserve(index int, name string, size uint64, flags elf.SectionFlag) {
	w.add(index, name, nil, elf.Section64{Type: uint32(elf.SHT_NOBITS), Addr: stubBase, Addralign: 16})
	w.sections[index].Size = size
	w.sections[index].Flags = uint64(flags)
}

// elfHeaderLen is the size of Elf64_Ehdr in bytes.
const elfHeaderLen = 64

func (w *stubWriter) finish() []byte {
	name := ".shstrtab"
	w.names.add(name)
	w.add(stubShstrtab, name, w.names.buf, elf.Section64{Type: uint32(elf.SHT_STRTAB)})
	w.body = append(w.body, make([]byte, -len(w.body)&7)...)
	header := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1,
		Shoff: elfHeaderLen + uint64(len(w.body)), Ehsize: elfHeaderLen,
		Shentsize: 64, Shnum: stubSections, Shstrndx: stubShstrtab,
	}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS] = byte(elf.ELFCLASS64)
	header.Ident[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	header.Ident[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	out := appendLE(nil, header)
	out = append(out, w.body...)
	return appendLE(out, w.sections)
}

// appendLE appends the little-endian bytes of a fixed-size value.
func appendLE(b []byte, v any) []byte {
	var buf bytes.Buffer
	// Writing a fixed-size value to memory cannot fail.
	_ = binary.Write(&buf, binary.LittleEndian, v)
	return append(b, buf.Bytes()...)
}

// stringTable is an ELF string table under construction.
type stringTable struct {
	buf []byte
	at  map[string]uint32
}

func newStrings() *stringTable {
	return &stringTable{buf: []byte{0}, at: map[string]uint32{"": 0}}
}

// add returns the offset of name, adding it if it is new.
func (t *stringTable) add(name string) uint32 {
	if off, ok := t.at[name]; ok {
		return off
	}
	off := uint32(len(t.buf))
	t.at[name] = off
	t.buf = append(append(t.buf, name...), 0)
	return off
}
