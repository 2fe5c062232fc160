package builder

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// object is the compiled source of a live patch.
type object struct {
	data []byte
	// sum is the SHA-256 of data in hexadecimal.
	sum string
	// undefined are the symbols that something else must define, sorted by name.
	undefined []undefinedSymbol
	// exported are the functions and variables that the container will export.
	exported map[string]elf.SymType
	// hidden are names that are defined but not exported (static, or hidden).
	hidden map[string]bool
	// global are names that another object of the same link shares, exported or
	// hidden, with whether their definition is weak.
	global map[string]bool
	// findings are what the checks of a compiled source found.
	findings []Finding
}

// undefinedSymbol is one reference to another library.
type undefinedSymbol struct {
	// Name is the symbol; Version what ".symver" asks for, or "".
	Name, Version string
	// Weak: nothing need define it.
	Weak bool
}

// String is the name as it stands in the object's symbol table.
func (u undefinedSymbol) String() string {
	if u.Version == "" {
		return u.Name
	}
	return u.Name + "@" + u.Version
}

// linkerNames are symbols that the link editor itself defines.
var linkerNames = map[string]bool{
	"_GLOBAL_OFFSET_TABLE_": true, "_DYNAMIC": true, "__ehdr_start": true,
	"__executable_start": true, "_etext": true, "etext": true, "_edata": true,
	"edata": true, "_end": true, "end": true, "__bss_start": true,
	"__GNU_EH_FRAME_HDR": true,
}

// readObject reads the symbols of a relocatable file.
func readObject(data []byte) (*object, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("compiled object: %w", err)
	}
	if f.Type != elf.ET_REL || f.Machine != elf.EM_X86_64 {
		return nil, fmt.Errorf("compiled object: %v for %v, want a relocatable file for x86-64", f.Type, f.Machine)
	}
	symbols, err := f.Symbols()
	if err != nil {
		return nil, fmt.Errorf("compiled object: %w", err)
	}
	o := &object{data: data, sum: digest(data), exported: map[string]elf.SymType{}, hidden: map[string]bool{}, global: map[string]bool{}}
	undefined := map[string]undefinedSymbol{}
	for _, s := range symbols {
		o.sort(s, undefined)
	}
	for _, name := range slices.Sorted(maps.Keys(undefined)) {
		o.undefined = append(o.undefined, undefined[name])
	}
	o.findings = checkObject(f, symbols)
	return o, nil
}

// sort puts one symbol where it belongs.
func (o *object) sort(s elf.Symbol, undefined map[string]undefinedSymbol) {
	bind, typ := elf.ST_BIND(s.Info), elf.ST_TYPE(s.Info)
	if s.Section != elf.SHN_UNDEF && bind != elf.STB_LOCAL {
		o.global[s.Name] = bind != elf.STB_GLOBAL
	}
	switch {
	case s.Name == "" || typ == elf.STT_FILE || typ == elf.STT_SECTION:
	case s.Section == elf.SHN_UNDEF:
		if linkerNames[s.Name] || isSectionBound(s.Name) {
			return
		}
		name, version, _ := strings.Cut(s.Name, "@")
		undefined[s.Name] = undefinedSymbol{
			Name: name, Version: strings.TrimLeft(version, "@"), Weak: bind == elf.STB_WEAK,
		}
	case bind == elf.STB_LOCAL || elf.ST_VISIBILITY(s.Other) != elf.STV_DEFAULT && elf.ST_VISIBILITY(s.Other) != elf.STV_PROTECTED:
		o.hidden[s.Name] = true
	default:
		o.exported[s.Name] = typ
	}
}

// isSectionBound reports whether the link editor defines name as the start or
// end of a section (__start_SECTION, __stop_SECTION).
func isSectionBound(name string) bool {
	return strings.HasPrefix(name, "__start_") || strings.HasPrefix(name, "__stop_")
}

// renameSymbols returns a copy of the relocatable file data in which the
// symbols that are keys of names bear the other name. The new string table
// goes to the end of the file; nothing else moves.
func renameSymbols(data []byte, names map[string]string) ([]byte, error) {
	if len(names) == 0 {
		return data, nil
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("compiled object: %w", err)
	}
	index := slices.IndexFunc(f.Sections, func(s *elf.Section) bool { return s.Type == elf.SHT_SYMTAB })
	if index < 0 || int(f.Sections[index].Link) >= len(f.Sections) {
		return nil, fmt.Errorf("compiled object: no symbol table")
	}
	symtab := f.Sections[index]
	strtab := f.Sections[symtab.Link]
	table, err := strtab.Data()
	if err != nil {
		return nil, fmt.Errorf("compiled object: %s: %w", strtab.Name, err)
	}
	out := bytes.Clone(data)
	for off := symtab.Offset; off+elf.Sym64Size <= symtab.Offset+symtab.FileSize; off += elf.Sym64Size {
		at := binary.LittleEndian.Uint32(out[off:])
		if to, ok := names[cString(table, at)]; ok {
			binary.LittleEndian.PutUint32(out[off:], uint32(len(table)))
			table = append(append(table, to...), 0)
		}
	}
	// sh_offset and sh_size of Elf64_Shdr.
	const shdrLen, shOffset, shSize = 64, 24, 32
	header := binary.LittleEndian.Uint64(out[40:]) + shdrLen*uint64(symtab.Link)
	binary.LittleEndian.PutUint64(out[header+shOffset:], uint64(len(out)))
	binary.LittleEndian.PutUint64(out[header+shSize:], uint64(len(table)))
	return append(out, table...), nil
}

// cString returns the string that begins at offset at of table.
func cString(table []byte, at uint32) string {
	if uint64(at) >= uint64(len(table)) {
		return ""
	}
	s, _, _ := bytes.Cut(table[at:], []byte{0})
	return string(s)
}
