package pipeline

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// A SymbolList is the JSON that "ulp extract" writes and that a description
// may name as its target in place of the library.
type SymbolList struct {
	Library ListedLibrary `json:"library"`
}

// ListedLibrary is the library of a SymbolList.
type ListedLibrary struct {
	Name    string          `json:"name"`
	BuildID elfinfo.BuildID `json:"buildid"`
	Symbols []ListedSymbol  `json:"symbols"`
}

// ListedSymbol is one symbol of a SymbolList. Offset is st_value, Size is in
// bytes; Info and Other are st_info and st_other.
type ListedSymbol struct {
	Name   string `json:"name"`
	Offset uint64 `json:"offset"`
	Size   uint64 `json:"size"`
	Info   byte   `json:"st_info"`
	Other  byte   `json:"st_other"`
}

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

// Encode is the list as "ulp extract" lays it out, but with a final newline.
func (l *SymbolList) Encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(l)
	return b.Bytes(), err
}

// maxSymbolList bounds a symbol list, in bytes: ten times that of a libc.
const maxSymbolList = 16 << 20

// readSymbolList reads a file that Extract or "ulp extract" wrote. It returns
// nil if the file is not JSON.
func readSymbolList(name string) (*SymbolList, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	start := make([]byte, 1)
	if _, err := io.ReadFull(f, start); err != nil || start[0] != '{' {
		return nil, nil // opening it as a library will say what is wrong
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSymbolList))
	if err != nil {
		return nil, err
	}
	if len(data) == maxSymbolList {
		return nil, fmt.Errorf("%s: larger than %d bytes: %w", name, maxSymbolList, elfinfo.ErrFormat)
	}
	list := new(SymbolList)
	if err := json.Unmarshal(append(start, data...), list); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, elfinfo.ErrFormat, err)
	}
	return list, nil
}

// find returns st_value of the first symbol of that name which is defined, as
// libpulp's packer does.
func (l *SymbolList) find(name string) (uint64, error) {
	for _, s := range l.Library.Symbols {
		if s.Name == name && s.Offset != 0 {
			return s.Offset, nil
		}
	}
	return 0, fmt.Errorf("%s: %w", name, elfinfo.ErrMissing)
}

// WriteSymbolList writes a list to a file, whole or not at all.
func WriteSymbolList(name string, l *SymbolList) error {
	data, err := l.Encode()
	if err != nil {
		return err
	}
	return writeFile(name, data)
}
