package livepatch

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Section is a section to write into a container.
type Section struct {
	Name string
	Data []byte
	// Remove takes the section away, if there is one, instead of writing it.
	Remove bool
}

// Embed returns elfFile, an x86-64 ET_DYN file, with sections added, replaced
// or removed. A written section is PROGBITS, not loaded, of alignment 1. A new
// one comes before .symtab in the section table (where objcopy puts it too), a
// replaced one stays where it is. The input is not changed.
//
// Every byte up to the end of the last segment is kept, apart from e_shoff,
// e_shnum and e_shstrndx. What lies behind it is laid out anew in the order of
// the section table, and the table itself comes last; bytes there that belong
// to no section are dropped. Embedding the same sections again therefore gives
// the identical file.
//
// Errors wrap ErrNoMetadata (not ELF), ErrUnsupported or ErrCorrupt where
// elfFile is the cause.
func Embed(elfFile []byte, sections []Section) ([]byte, error) {
	img, err := parseImage(elfFile)
	if err != nil {
		return nil, err
	}
	if len(img.sections) == 0 {
		return nil, fmt.Errorf("no section table: %w", ErrUnsupported)
	}
	e := &embedder{img: img}
	if err := e.load(); err != nil {
		return nil, err
	}
	if err := e.edit(sections); err != nil {
		return nil, err
	}
	if err := e.name(sections); err != nil {
		return nil, err
	}
	if err := e.renumber(); err != nil {
		return nil, err
	}
	return e.write()
}

// embedder turns one section table into another.
type embedder struct {
	img *image
	// table is the new section table.
	table []entry
	// strings is the new content of the section name table.
	strings []byte
	end     uint64
}

// entry is one section of the new table.
type entry struct {
	elf.Section64
	name string
	// old is the index in the old table, -1 for a new section.
	old int
	// data replaces the section's bytes if changed is true.
	data    []byte
	changed bool
}

// maxAlign bounds the alignment of a section that is not loaded, in bytes.
const maxAlign = 4096

// load copies the table and finds the end of what must not move.
func (e *embedder) load() error {
	h := &e.img.header
	e.end = headerSize
	if n := len(e.img.segments); n > 0 {
		e.end = max(e.end, h.Phoff+uint64(n)*segmentSize)
	}
	for _, p := range e.img.segments {
		e.end = max(e.end, p.Off+p.Filesz)
	}
	for i, s := range e.img.sections {
		switch t := elf.SectionType(s.Type); {
		case i == 0 && t != elf.SHT_NULL:
			return fmt.Errorf("section 0: %v: %w", t, ErrCorrupt)
		case i == int(h.Shstrndx) && isLoaded(s):
			return fmt.Errorf("section name table is loaded: %w", ErrUnsupported)
		case t == elf.SHT_GROUP || t == elf.SHT_SYMTAB_SHNDX:
			return fmt.Errorf("section %d: %v: %w", i, t, ErrUnsupported)
		case s.Link >= uint32(len(e.img.sections)):
			return fmt.Errorf("section %d: link to section %d: %w", i, s.Link, ErrCorrupt)
		case infoIsSection(s) && s.Info >= uint32(len(e.img.sections)):
			return fmt.Errorf("section %d: info names section %d: %w", i, s.Info, ErrCorrupt)
		case s.Addralign&(s.Addralign-1) != 0, !isLoaded(s) && s.Addralign > maxAlign:
			return fmt.Errorf("section %d: alignment %d: %w", i, s.Addralign, ErrCorrupt)
		}
		if isLoaded(s) && hasBytes(s) {
			e.end = max(e.end, s.Off+s.Size)
		}
		e.table = append(e.table, entry{Section64: s, name: e.img.names[i], old: i})
	}
	e.strings = bytes.Clone(e.img.bytes(int(h.Shstrndx)))
	return nil
}

// infoIsSection says whether sh_info is a section index (gABI, figure 4-14).
func infoIsSection(s elf.Section64) bool {
	t := elf.SectionType(s.Type)
	return t == elf.SHT_REL || t == elf.SHT_RELA || elf.SectionFlag(s.Flags)&elf.SHF_INFO_LINK != 0
}

// edit applies the request to the table; names and numbers come later.
func (e *embedder) edit(sections []Section) error {
	var added []entry
	for i, s := range sections {
		if _, problem := checkName(s.Name); problem != "" {
			return fmt.Errorf("section %q: %s", s.Name, problem)
		}
		if slices.ContainsFunc(sections[:i], func(other Section) bool { return other.Name == s.Name }) {
			return fmt.Errorf("section %s is given twice", s.Name)
		}
		old, err := e.img.section(s.Name)
		if err != nil {
			return err
		}
		if old >= 0 && (isLoaded(e.img.sections[old]) || old == int(e.img.header.Shstrndx)) {
			return fmt.Errorf("section %s is part of the program", s.Name)
		}
		switch n := slices.IndexFunc(e.table, func(t entry) bool { return t.old == old }); {
		case s.Remove && old >= 0:
			e.table = slices.Delete(e.table, n, n+1)
		case s.Remove:
		case old >= 0:
			e.table[n] = newEntry(s, old)
		default:
			added = append(added, newEntry(s, -1))
		}
	}
	e.table = slices.Insert(e.table, e.insertionPoint(), added...)
	if len(e.table) > maxSections {
		return fmt.Errorf("%d sections, at most %d", len(e.table), maxSections)
	}
	return nil
}

func newEntry(s Section, old int) entry {
	hdr := elf.Section64{Type: uint32(elf.SHT_PROGBITS), Size: uint64(len(s.Data)), Addralign: 1}
	return entry{Section64: hdr, name: s.Name, old: old, data: s.Data, changed: true}
}

// insertionPoint returns the index of .symtab, or of the section name table if
// that comes first or there is no .symtab; but never before a loaded section,
// whose number the loaded dynamic symbols hold.
func (e *embedder) insertionPoint() int {
	at := slices.IndexFunc(e.table, func(t entry) bool {
		return elf.SectionType(t.Type) == elf.SHT_SYMTAB || t.old == int(e.img.header.Shstrndx)
	})
	for i, t := range e.table {
		if isLoaded(t.Section64) {
			at = max(at, i+1)
		}
	}
	return at
}

// name gives each written section an offset into the section name table.
func (e *embedder) name(sections []Section) error {
	for i := range e.table {
		t := &e.table[i]
		if !t.changed {
			continue
		}
		if t.old >= 0 {
			t.Name = e.img.sections[t.old].Name
			continue
		}
		// The tail of a longer name serves as well.
		at := bytes.Index(e.strings, append([]byte(t.name), 0))
		if at < 0 {
			at = len(e.strings)
			e.strings = append(append(e.strings, t.name...), 0)
		}
		t.Name = uint32(at)
	}
	e.dropNames(sections)
	return nil
}

// dropNames cuts the names of removed sections off the end of the name table,
// so that removing and adding leaves no trace.
func (e *embedder) dropNames(sections []Section) {
	if e.sharedStrings() {
		return
	}
	for {
		body := bytes.TrimSuffix(e.strings, []byte{0})
		start := bytes.LastIndexByte(body, 0) + 1
		last := string(body[start:])
		removed := slices.ContainsFunc(sections, func(s Section) bool { return s.Remove && s.Name == last })
		used := slices.ContainsFunc(e.table, func(t entry) bool { return int(t.Name) >= start })
		if !removed || used || start == 0 {
			return
		}
		e.strings = e.strings[:start]
	}
}

// sharedStrings says whether the section name table also holds other strings.
func (e *embedder) sharedStrings() bool {
	return slices.ContainsFunc(e.table, func(t entry) bool { return t.Link == uint32(e.img.header.Shstrndx) })
}

// renumber translates every section number in the file.
func (e *embedder) renumber() error {
	number := make([]int, len(e.img.sections))
	for i := range number {
		number[i] = -1
	}
	for i, t := range e.table {
		if t.old >= 0 {
			number[t.old] = i
		}
	}
	for i := range e.table {
		t := &e.table[i]
		if t.changed {
			continue
		}
		if number[t.Link] < 0 || infoIsSection(t.Section64) && number[t.Info] < 0 {
			return fmt.Errorf("section %s refers to a removed section", t.name)
		}
		t.Link = uint32(number[t.Link])
		if infoIsSection(t.Section64) {
			t.Info = uint32(number[t.Info])
		}
		if elf.SectionType(t.Type) == elf.SHT_SYMTAB {
			if err := e.renumberSymbols(t, number); err != nil {
				return fmt.Errorf("section %s: %w", t.name, err)
			}
		}
		if t.old == int(e.img.header.Shstrndx) && len(e.strings) != int(t.Size) {
			t.data, t.changed, t.Size = e.strings, true, uint64(len(e.strings))
		}
	}
	e.img.header.Shstrndx = uint16(number[e.img.header.Shstrndx])
	return nil
}

// renumberSymbols translates st_shndx. The dynamic symbols need none: they lie
// in loaded sections, which keep their numbers.
func (e *embedder) renumberSymbols(t *entry, number []int) error {
	if t.Entsize != symbolSize || t.Size%symbolSize != 0 {
		return fmt.Errorf("entries of %d bytes: %w", t.Entsize, ErrCorrupt)
	}
	data := bytes.Clone(e.img.bytes(t.old))
	for off := 0; off < len(data); off += symbolSize {
		field := data[off+6 : off+8]
		old := binary.LittleEndian.Uint16(field)
		if old >= uint16(elf.SHN_LORESERVE) {
			continue
		}
		if int(old) >= len(number) || number[old] < 0 {
			return fmt.Errorf("symbol %d lies in section %d: %w", off/symbolSize, old, ErrCorrupt)
		}
		if now := uint16(number[old]); now != old {
			binary.LittleEndian.PutUint16(field, now)
			t.changed = true
		}
	}
	if t.changed && isLoaded(t.Section64) {
		return errors.New("loaded symbol table names a section that moves")
	}
	t.data = data
	return nil
}

// write lays the file out.
func (e *embedder) write() ([]byte, error) {
	pos := e.end
	for i := range e.table {
		t := &e.table[i]
		if !hasBytes(t.Section64) || isLoaded(t.Section64) || !t.changed && t.Off+t.Size <= e.end {
			continue
		}
		if !t.changed {
			t.data = e.img.bytes(t.old)
		}
		pos = alignUp(pos, max(1, t.Addralign))
		t.Off, t.changed = pos, true
		pos += t.Size
	}
	pos = alignUp(pos, 8)
	// Sections that overlapped have come apart, so the sum may be anything.
	size := pos + uint64(len(e.table))*sectionSize
	if size > MaxContainer {
		return nil, fmt.Errorf("larger than %d bytes", MaxContainer)
	}
	out := make([]byte, pos, size)
	copy(out, e.img.data[:e.end])
	var err error
	for _, t := range e.table {
		if t.changed {
			copy(out[t.Off:], t.data)
		}
		if out, err = binary.Append(out, binary.LittleEndian, t.Section64); err != nil {
			return nil, err
		}
	}
	h := &e.img.header
	h.Shoff, h.Shnum = pos, uint16(len(e.table))
	_, err = binary.Encode(out, binary.LittleEndian, h)
	return out, err
}
