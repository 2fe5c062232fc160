package elfinfo

import (
	"debug/dwarf"
	"debug/elf"
	"io"
	"math/bits"
	"slices"
	"strings"
)

// maxDebugLen bounds the debug sections of one file after decompression. See inAlternate.
const maxDebugLen = 2<<30 - 1

// maxRatio is a little more than deflate can compress.
const maxRatio = 1100

// maxRangesLen bounds .debug_ranges and .debug_rnglists: unpacked by debug/dwarf,
// a range takes five times the memory.
const maxRangesLen = 128 << 20

// debugSections are the sections that are read. Half of the time of a walk
// goes into decompressing them, so that line tables and location lists, which
// are not needed, are left alone.
var debugSections = []string{"abbrev", "info", "ranges", "str", "addr", "line_str", "rnglists", "str_offsets"}

// readDWARF opens the debug information of a file with that of its
// supplementary file; nil if there is none. A file that needs a supplementary
// file and was not given it ([File.WithAlternate]) has none: half of it would
// say that functions were not inlined and structs have no members.
func (f *File) readDWARF() (*dwarfData, error) {
	_, needs, err := f.AltLink()
	if err != nil || needs && f.alternate == nil {
		return nil, err
	}
	main, _, err := f.openDWARF()
	if err != nil || main == nil {
		return nil, err
	}
	d := &dwarfData{main: main}
	if f.alternate != nil {
		d.alternate, d.strings, err = f.alternate.openDWARF()
	}
	return d, err
}

// openDWARF opens the debug information of one file, and returns its strings
// as well; nil if there is none. Compressed sections (SHF_COMPRESSED) are left
// to debug/elf, which is known to panic on hostile input.
func (f *File) openDWARF() (data *dwarf.Data, strings []byte, err error) {
	if !f.HasSection(".debug_info") {
		return nil, nil, nil
	}
	defer f.recoverTo(&err, "debug information")
	e, err := elf.NewFile(io.NewSectionReader(f.src.r, 0, int64(f.src.size)))
	if err != nil {
		return nil, nil, f.bad("debug information: %v", err)
	}
	contents := make(map[string][]byte)
	total := uint64(0)
	for _, name := range debugSections {
		s := e.Section(".debug_" + name)
		if s == nil || s.Type == elf.SHT_NOBITS {
			continue
		}
		if (name == "ranges" || name == "rnglists") && s.Size > maxRangesLen {
			return nil, nil, f.bad("section %q: %d bytes", s.Name, s.Size)
		}
		var carry uint64
		if total, carry = bits.Add64(total, s.Size, 0); carry != 0 || total > maxDebugLen || s.Size/maxRatio > s.FileSize {
			return nil, nil, f.bad("section %q: %d bytes, %d of them in the file", s.Name, s.Size, s.FileSize)
		}
		if contents[name], err = s.Data(); err != nil {
			return nil, nil, f.bad("section %q: %v", s.Name, err)
		}
	}
	c := contents
	if data, err = dwarf.New(c["abbrev"], nil, nil, c["info"], nil, nil, c["ranges"], c["str"]); err != nil {
		return nil, nil, f.bad("debug information: %v", err)
	}
	for _, name := range debugSections[4:] {
		if err := data.AddSection(".debug_"+name, c[name]); err != nil {
			return nil, nil, f.bad("section .debug_%s: %v", name, err)
		}
	}
	return data, c["str"], nil
}

// recoverTo turns a panic of debug/elf or debug/dwarf into an error.
func (f *File) recoverTo(err *error, what string) {
	if p := recover(); p != nil {
		*err = f.bad("%s: %v", what, p)
	}
}

// root follows abstract origins to the abstract instance that all copies of a
// function share; a function that was never inlined is its own.
func (d *debugInfo) root(at dwarf.Offset) dwarf.Offset {
	for range 16 {
		s, ok := d.subprograms[at]
		if !ok || !s.abstract {
			break
		}
		at = s.origin
	}
	return at
}

// name is the name of a function, perhaps given by its origin or declaration.
func (d *debugInfo) name(at dwarf.Offset) string {
	for range 16 {
		s, ok := d.subprograms[at]
		if !ok || s.name != "" {
			return s.name
		}
		at = s.origin
	}
	return ""
}

// function finds the function that starts at an address. Where identical
// functions were folded or aliased, one with the name wanted is preferred.
func (d *debugInfo) function(addr uint64, name string) (dwarf.Offset, bool) {
	found := d.entries[addr]
	if len(found) == 0 {
		return 0, false
	}
	if i := slices.IndexFunc(found, func(at dwarf.Offset) bool { return d.name(at) == name }); i >= 0 {
		return found[i], true
	}
	return found[0], true
}

// source is the source file of the function at an address, "" if unknown.
func (d *debugInfo) source(addr uint64, name string) string {
	if at, ok := d.function(addr, name); ok {
		return d.units[d.subprograms[at].unit]
	}
	for _, r := range d.ranges {
		if addr >= r.low && addr < r.high {
			return d.units[r.unit]
		}
	}
	return ""
}

// index resolves the references between entries after the walk.
func (d *debugInfo) index() {
	d.holders = make(map[dwarf.Offset][]dwarf.Offset)
	d.externals = make(map[string][]dwarf.Offset)
	d.clones = make(map[dwarf.Offset][]uint64)
	for _, call := range d.inlined {
		root := d.root(call.origin)
		if d.holders[root] == nil && d.subprograms[root].external {
			name := d.name(root)
			d.externals[name] = append(d.externals[name], root)
		}
		d.holders[root] = append(d.holders[root], call.at)
	}
	d.inlined = nil
	for addr, copies := range d.entries {
		for _, at := range copies {
			root := d.root(at)
			d.clones[root] = append(d.clones[root], addr)
		}
	}
}

// maxHolders bounds how many functions are looked at for the copies of one.
const maxHolders = 1 << 16

// copies are the starts of all code of the function at an address.
func (d *debugInfo) copies(addr uint64, names []string) []uint64 {
	for _, name := range append(names, "") {
		if at, ok := d.function(addr, name); ok && (name == "" || d.name(at) == name) {
			return d.clones[d.root(at)]
		}
	}
	return nil
}

// roots are the abstract instances of a function: its own and, if other units
// have it from a header (extern inline), those of the same name.
func (d *debugInfo) roots(self dwarf.Offset) []dwarf.Offset {
	root := d.root(self)
	if !d.subprograms[root].external {
		return []dwarf.Offset{root}
	}
	return append([]dwarf.Offset{root}, d.externals[d.name(root)]...)
}

// inlinedInto names, sorted, the functions that hold a copy of the function at
// addr, as NAME@SOURCE: functions with code of their own. What was inlined into
// a function that has none is where that one was inlined. symbolAt is the name
// of the ELF symbol at an address.
func (d *debugInfo) inlinedInto(addr uint64, name string, symbolAt func(uint64) string) []string {
	self, ok := d.function(addr, name)
	if !ok {
		return nil
	}
	own := d.roots(self)
	mine, seen := make(map[dwarf.Offset]bool), make(map[dwarf.Offset]bool)
	for _, root := range own {
		mine[root] = true
	}
	var names []string
	for todo := slices.Clone(own); len(todo) > 0 && len(seen) < maxHolders; todo = todo[1:] {
		for _, at := range d.holders[todo[0]] {
			root := d.root(at)
			switch {
			case mine[root] || seen[at]:
			case d.subprograms[at].code == 0:
				if !seen[root] {
					seen[root] = true
					todo = append(todo, root)
				}
			default:
				seen[at] = true
				names = append(names, d.holderName(at, symbolAt))
			}
		}
	}
	names = slices.DeleteFunc(names, func(s string) bool { return s == "" || hasControl(s) })
	slices.Sort(names)
	return slices.Compact(names)
}

// holderName is NAME@SOURCE of a function with code; a clone has the name of
// its symbol.
func (d *debugInfo) holderName(at dwarf.Offset, symbolAt func(uint64) string) string {
	s := d.subprograms[at]
	name := d.name(at)
	if symbol := symbolAt(s.code); cloneKind([]string{name}, symbol) != "" {
		name = strings.TrimSuffix(symbol, ".cold")
	}
	if source := d.units[s.unit]; source != "" && name != "" {
		name += "@" + source
	}
	return name
}

// prototype is the C prototype of the function at an address under a name, ""
// if it is not known or not expressible.
func (d *debugInfo) prototype(addr uint64, name string) (text string) {
	at, ok := d.function(addr, name)
	if !ok {
		return ""
	}
	defer func() {
		if recover() != nil {
			text = ""
		}
	}()
	root := d.root(at)
	if d.name(root) == "" {
		return "" // origins that lead nowhere: what it has of types is not all
	}
	p := prototyper{dwarfTree{data: d.data, budget: maxPrototypeEntries}}
	text, err := p.prototype(root, name)
	if err != nil || len(text) > maxPrototype || hasControl(text) {
		return ""
	}
	return text
}
