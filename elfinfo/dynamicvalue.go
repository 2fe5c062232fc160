package elfinfo

import (
	"debug/elf"
	"fmt"
)

// DynamicValue is the value of a tag's first entry in the dynamic section: a
// virtual address for the tags that hold one, even in a memory image that the
// dynamic linker has relocated.
func (f *File) DynamicValue(tag elf.DynTag) (uint64, bool) {
	if f.dynamic == nil {
		return 0, false
	}
	v, ok := f.dynamic.values[tag]
	switch tag {
	case elf.DT_INIT, elf.DT_FINI, elf.DT_INIT_ARRAY, elf.DT_FINI_ARRAY:
		v = f.linkAddress(v)
	}
	return v, ok
}

// BaseVersion is the first symbol version that the file defines (index 2),
// "" if it defines none. A reference without a version may bind to it although
// the symbol has a newer default: it stems from before the library had versions
// (check_match in glibc's elf/dl-lookup.c).
func (f *File) BaseVersion() (string, error) {
	if f.dynamic == nil || f.dynamic.values[elf.DT_VERSYM] == 0 {
		return "", nil
	}
	t := &versionTable{names: make(map[uint16]version)}
	if err := f.readVersionDefinitions(t); err != nil {
		return "", fmt.Errorf("version definitions: %w", err)
	}
	return t.names[versionGlobal+1].name, nil
}
