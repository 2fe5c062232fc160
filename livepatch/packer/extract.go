package packer

import (
	"debug/elf"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// Extract lists the symbols of a library and, if debug is not "", of the file
// with its debug symbols, which must have the same build-id. The order is
// libpulp's: .dynsym backwards, .symtab backwards, then the debug file's.
func Extract(library, debug string) (*SymbolList, error) {
	f, err := elfinfo.Open(library)
	if err != nil {
		return nil, err
	}
	id := f.BuildID()
	if err := f.Close(); err != nil {
		return nil, err
	}
	if id == "" {
		return nil, fmt.Errorf("%s: no build-id: %w", library, elfinfo.ErrBuildID)
	}
	list := &SymbolList{ListedLibrary{Name: filepath.Base(library), BuildID: id}}
	if list.Library.Symbols, err = readSymbols(library, elf.SHT_DYNSYM, elf.SHT_SYMTAB); err != nil {
		return nil, err
	}
	if debug == "" {
		return list, nil
	}
	d, err := elfinfo.Open(debug)
	if err != nil {
		return nil, err
	}
	other := d.BuildID()
	if err := d.Close(); err != nil {
		return nil, err
	}
	if other != id {
		return nil, fmt.Errorf("%s: build-id %s, %s has %s: %w", debug, other, library, id, elfinfo.ErrBuildID)
	}
	more, err := readSymbols(debug, elf.SHT_SYMTAB)
	list.Library.Symbols = append(list.Library.Symbols, more...)
	return list, err
}

// readSymbols lists the named symbols of the tables of those types, each
// backwards. A table that is missing is empty.
func readSymbols(name string, tables ...elf.SectionType) (list []ListedSymbol, err error) {
	// debug/elf may panic on a damaged file, as its documentation says.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: %v: %w", name, r, elfinfo.ErrFormat)
		}
	}()
	f, err := elf.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for _, table := range tables {
		read := f.Symbols
		if table == elf.SHT_DYNSYM {
			read = f.DynamicSymbols
		}
		symbols, err := read()
		if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, s := range slices.Backward(symbols) {
			if s.Name != "" {
				list = append(list, ListedSymbol{s.Name, s.Value, s.Size, s.Info, s.Other})
			}
		}
	}
	return list, nil
}
