package elfinfo

import (
	"debug/elf"
	"fmt"
	"path"
	"slices"
	"strings"
)

// definition is a symbol as a static or dynamic symbol table defines it.
type definition struct {
	Symbol
	source string // of a local symbol: STT_FILE
}

// compat says that the symbol is an old version of its name, which no
// unversioned reference binds to.
func (d definition) compat() bool { return d.Version != "" && !d.Default }

// FunctionSize is the size in bytes of the function at addr, as .symtab says: that
// of a private one, too. ok is false if the file is stripped, or has no function
// with a size there.
func (f *File) FunctionSize(addr uint64) (size uint64, ok bool) {
	err := f.staticSymbols(func(d definition) {
		if d.Kind == "func" && d.Address == addr {
			size = max(size, d.Size)
		}
	})
	return size, err == nil && size > 0
}

// staticSymbols visits the defined symbols of .symtab in file order; a file
// without one has none. ld writes the local symbols of an object file behind
// its STT_FILE symbol, and appends the version to names: name@V, name@@V.
func (f *File) staticSymbols(visit func(definition)) error {
	i := slices.IndexFunc(f.sections, func(s elf.SectionHeader) bool { return s.Type == elf.SHT_SYMTAB })
	if i < 0 {
		return f.sectionErr
	}
	table := f.sections[i]
	if table.Entsize != symbolSize || int(table.Link) >= len(f.sections) {
		return f.bad("section %q: entries of %d bytes, strings in section %d", table.Name, table.Entsize, table.Link)
	}
	symbols, err := f.sectionBytes(table)
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	strings, err := f.sectionBytes(f.sections[table.Link])
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	source := ""
	for ; len(symbols) >= symbolSize; symbols = symbols[symbolSize:] {
		raw := decodeSymbol(symbols)
		name := stringAt(strings, uint64(raw.name))
		if elf.ST_TYPE(raw.info) == elf.STT_FILE {
			source = baseName(name)
			continue
		}
		if name == "" || raw.section == elf.SHN_UNDEF {
			continue
		}
		d := definition{Symbol: raw.symbol(name)}
		d.Name, d.Version, d.Default = splitVersion(name)
		if d.Binding == bindingLocal {
			d.source = source
		}
		visit(d)
	}
	return nil
}

// splitVersion splits name@VERSION and name@@VERSION (the default).
func splitVersion(s string) (name, version string, isDefault bool) {
	name, version, ok := strings.Cut(s, "@")
	if !ok || name == "" {
		return s, "", true
	}
	if v, ok := strings.CutPrefix(version, "@"); ok {
		return name, v, true
	}
	return name, version, false
}

// baseName is the last element of a source path, "" if it names no file
// (link-time optimisation leaves "<artificial>").
func baseName(s string) string {
	if s == "" || strings.HasPrefix(s, "<") {
		return ""
	}
	if s = path.Base(s); !isFileName(s) {
		return ""
	}
	return s
}
