package elfinfo

import (
	"debug/elf"
	"fmt"
	"slices"
)

// Dynamic tags that debug/elf does not name.
const (
	dtRelrSize = elf.DynTag(35)
	dtRelr     = elf.DynTag(36)
	dtRelrEnt  = elf.DynTag(37)
)

// dynamic is what PT_DYNAMIC says: the first value of each tag, except
// DT_NEEDED, which may occur several times.
type dynamic struct {
	values  map[elf.DynTag]uint64
	soname  string
	needed  []string
	strings []byte // DT_STRTAB
}

// readDynamic reads PT_DYNAMIC and its string table. A file without one
// (static, or without program headers) has no dynamic symbols.
func (f *File) readDynamic() error {
	i := slices.IndexFunc(f.segments, func(s elf.ProgHeader) bool { return s.Type == elf.PT_DYNAMIC })
	if i < 0 {
		return nil
	}
	s := f.segments[i]
	b, err := f.src.bytes(f.place(s), min(s.Filesz, maxDynamic*16))
	if err != nil {
		return fmt.Errorf("%s: dynamic section: %w", f.name, err)
	}
	d := &dynamic{values: make(map[elf.DynTag]uint64)}
	needed, err := f.dynamicEntries(d, b)
	if err != nil {
		return err
	}
	if d.strings, err = f.dynamicStrings(d); err != nil {
		return err
	}
	d.soname = stringAt(d.strings, d.values[elf.DT_SONAME])
	for _, off := range needed {
		name := stringAt(d.strings, off)
		if name == "" {
			return f.bad("dynamic section: DT_NEEDED names nothing")
		}
		d.needed = append(d.needed, name)
	}
	f.dynamic = d
	return nil
}

// dynamicEntries collects the entries up to DT_NULL.
func (f *File) dynamicEntries(d *dynamic, b []byte) (needed []uint64, err error) {
	for ; len(b) >= 16; b = b[16:] {
		tag, value := elf.DynTag(int64(le.Uint64(b))), le.Uint64(b[8:])
		switch _, seen := d.values[tag]; {
		case tag == elf.DT_NULL:
			return needed, nil
		case tag == elf.DT_NEEDED:
			needed = append(needed, value)
		case !seen:
			d.values[tag] = value
		}
	}
	return nil, f.bad("dynamic section: no end within %d entries", maxDynamic)
}

func (f *File) dynamicStrings(d *dynamic) ([]byte, error) {
	addr, size := d.values[elf.DT_STRTAB], d.values[elf.DT_STRSZ]
	if size == 0 {
		return nil, nil
	}
	if size > maxStrings {
		return nil, f.bad("dynamic strings: %d bytes", size)
	}
	b, err := f.read(f.linkAddress(addr), size)
	if err != nil {
		return nil, fmt.Errorf("dynamic strings: %w", err)
	}
	return b, nil
}

// linkAddress turns a pointer of the dynamic section into a virtual address:
// glibc's ld.so adds the load bias to some of them in memory, musl's does not.
func (f *File) linkAddress(p uint64) uint64 {
	if !f.src.image || f.src.bias == 0 {
		return p
	}
	if _, _, ok := f.locate(p); !ok && p >= f.src.bias {
		return p - f.src.bias
	}
	return p
}

// address is the virtual address that a tag points to, 0 if there is no such tag.
func (f *File) address(tag elf.DynTag) uint64 {
	return f.linkAddress(f.dynamic.values[tag])
}

// Soname is DT_SONAME, "" if there is none.
func (f *File) Soname() string {
	if f.dynamic == nil {
		return ""
	}
	return f.dynamic.soname
}

// Needed are the DT_NEEDED entries in file order.
func (f *File) Needed() []string {
	if f.dynamic == nil {
		return nil
	}
	return slices.Clone(f.dynamic.needed)
}
