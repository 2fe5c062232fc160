package elfinfo

import (
	"debug/elf"
	"fmt"
)

// versionTable holds the symbol versions of a file (GNU symbol versioning,
// LSB 5.0 chapter 10.7): one index per dynamic symbol, and what the indexes mean.
type versionTable struct {
	indexes []byte // DT_VERSYM, 2 bytes a symbol; nil if the file has no versions
	names   map[uint16]version
}

type version struct{ name, library string }

// Special values of a version index.
const (
	versionLocal  = 0
	versionGlobal = 1
	versionHidden = 0x8000 // not the default version of the name
)

// readVersions reads the versions of count dynamic symbols.
func (f *File) readVersions(count uint64) (*versionTable, error) {
	t := &versionTable{names: make(map[uint16]version)}
	if f.dynamic.values[elf.DT_VERSYM] == 0 {
		return t, nil
	}
	var err error
	if t.indexes, err = f.read(f.address(elf.DT_VERSYM), 2*count); err != nil {
		return nil, fmt.Errorf("symbol versions: %w", err)
	}
	if err := f.readVersionDefinitions(t); err != nil {
		return nil, fmt.Errorf("version definitions: %w", err)
	}
	if err := f.readVersionNeeds(t); err != nil {
		return nil, fmt.Errorf("version requirements: %w", err)
	}
	return t, nil
}

// readVersionDefinitions follows the Elf64_Verdef chain. The first Verdaux of
// each is its name, further ones are its predecessors.
func (f *File) readVersionDefinitions(t *versionTable) error {
	addr, count := f.address(elf.DT_VERDEF), f.dynamic.values[elf.DT_VERDEFNUM]
	if addr == 0 {
		return nil
	}
	return f.chain(addr, count, 20, func(at uint64, b []byte) (uint32, error) {
		aux, err := f.read(at+uint64(le.Uint32(b[12:])), 8)
		if err != nil {
			return 0, err
		}
		if index := le.Uint16(b[4:]) &^ versionHidden; index > versionGlobal {
			t.names[index] = version{name: stringAt(f.dynamic.strings, uint64(le.Uint32(aux)))}
		}
		return le.Uint32(b[16:]), nil
	})
}

// readVersionNeeds follows the Elf64_Verneed chain, one entry per library,
// each with a chain of Elf64_Vernaux.
func (f *File) readVersionNeeds(t *versionTable) error {
	addr, count := f.address(elf.DT_VERNEED), f.dynamic.values[elf.DT_VERNEEDNUM]
	if addr == 0 {
		return nil
	}
	total := 0
	return f.chain(addr, count, 16, func(at uint64, b []byte) (uint32, error) {
		library := stringAt(f.dynamic.strings, uint64(le.Uint32(b[4:])))
		n := uint64(le.Uint16(b[2:]))
		if total += int(n); total > maxVersions {
			return 0, f.bad("more than %d versions", maxVersions)
		}
		err := f.chain(at+uint64(le.Uint32(b[8:])), n, 16, func(_ uint64, b []byte) (uint32, error) {
			index := le.Uint16(b[6:]) &^ versionHidden
			t.names[index] = version{name: stringAt(f.dynamic.strings, uint64(le.Uint32(b[8:]))), library: library}
			return le.Uint32(b[12:]), nil
		})
		return le.Uint32(b[12:]), err
	})
}

// chain visits count records of size bytes; visit returns the distance from a
// record to the next one, 0 at the end.
func (f *File) chain(addr, count, size uint64, visit func(at uint64, b []byte) (next uint32, err error)) error {
	if count > maxVersions {
		return f.bad("%d versions", count)
	}
	for range count {
		b, err := f.read(addr, size)
		if err != nil {
			return err
		}
		next, err := visit(addr, b)
		if err != nil || next == 0 {
			return err
		}
		addr += uint64(next)
	}
	return nil
}

// apply sets the version of the symbol with index i.
func (t *versionTable) apply(s *Symbol, i int) {
	index := uint16(versionGlobal)
	if t.indexes != nil {
		index = le.Uint16(t.indexes[2*i:])
	}
	s.Default = !s.Undefined && index&versionHidden == 0 && index != versionLocal
	v, ok := t.names[index&^versionHidden]
	if !ok {
		return
	}
	s.Version = v.name
	if s.Undefined {
		s.Library = v.library
	}
}
