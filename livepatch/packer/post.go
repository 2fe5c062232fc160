package packer

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// ErrNoEntries means that the library was built without -fpatchable-function-entry.
var ErrNoEntries = errors.New("missing section " + PatchableEntries)

// PatchableEntries is the section that lists where the NOPs of
// -fpatchable-function-entry begin, 8 bytes each (GCC manual, Instrumentation Options).
const PatchableEntries = "__patchable_function_entries"

// Merged is what MergeNops found: how many entries have one 2-byte NOP now, and
// how many do not look as -fpatchable-function-entry=16,14 makes them.
type Merged struct{ Merged, Other int }

// MergeNops makes one instruction of the two NOPs at the entry of every function
// that was built with -fpatchable-function-entry=16,14, in place: 90 90 becomes
// 66 90, so that no thread can ever stand between them. Entries of another shape
// stay as they are and are counted. Errors wrap ErrNoEntries or elfinfo.ErrFormat.
func MergeNops(name string) (m Merged, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return m, err
	}
	// debug/elf may panic on a damaged file, as its documentation says.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: %v: %w", name, r, elfinfo.ErrFormat)
		}
	}()
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return m, fmt.Errorf("%s: %w: %w", name, err, elfinfo.ErrFormat)
	}
	if f.Machine != elf.EM_X86_64 || f.Class != elf.ELFCLASS64 {
		return m, fmt.Errorf("%s: %w", name, elfinfo.ErrMachine)
	}
	section := f.Section(PatchableEntries)
	if section == nil {
		return m, fmt.Errorf("%s: %w", name, ErrNoEntries)
	}
	entries, err := section.Data()
	if err != nil {
		return m, fmt.Errorf("%s: %w: %w", name, err, elfinfo.ErrFormat)
	}
	known, err := symbolValues(f)
	if err != nil {
		return m, fmt.Errorf("%s: %w: %w", name, err, elfinfo.ErrFormat)
	}
	before := bytes.Clone(data)
	for ; len(entries) >= 8; entries = entries[8:] {
		entry := binary.LittleEndian.Uint64(entries) + elfinfo.PadBefore
		if known[entry] && mergeNop(f, data, entry) {
			m.Merged++
		} else {
			m.Other++
		}
	}
	if bytes.Equal(before, data) {
		return m, nil
	}
	return m, replaceFile(name, data)
}

// symbolValues are the addresses of all symbols: those of .symtab or, if it is
// stripped, of .dynsym.
func symbolValues(f *elf.File) (map[uint64]bool, error) {
	symbols, err := f.Symbols()
	if errors.Is(err, elf.ErrNoSymbols) {
		symbols, err = f.DynamicSymbols()
	}
	if err != nil {
		return nil, err
	}
	known := make(map[uint64]bool, len(symbols))
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF {
			known[s.Value] = true
		}
	}
	return known, nil
}

// mergeNop changes the NOPs of the function at an address, in the file's bytes.
// false: they are not what they should be.
func mergeNop(f *elf.File, data []byte, address uint64) bool {
	endbr64 := []byte{0xf3, 0x0f, 0x1e, 0xfa}
	i := slices.IndexFunc(f.Progs, func(p *elf.Prog) bool {
		return p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && address >= p.Vaddr && address-p.Vaddr < p.Filesz
	})
	if i < 0 {
		return false
	}
	p := f.Progs[i]
	at := address - p.Vaddr + p.Off
	end := p.Off + p.Filesz
	if end > uint64(len(data)) || end < p.Off || at >= end {
		return false
	}
	code := data[at:end]
	code = bytes.TrimPrefix(code, endbr64)
	if len(code) < 2 || code[0] != 0x90 && code[0] != 0x66 || code[1] != 0x90 {
		return false
	}
	code[0] = 0x66
	return true
}
