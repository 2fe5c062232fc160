package elfinfo

import (
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode"
)

// Limits on what a record holds.
const (
	maxName      = 4 << 10  // bytes of a symbol name
	maxFunction  = 1 << 20  // bytes of a recorded function
	maxSameName  = 1 << 10  // definitions of one name
	maxCodeTotal = 64 << 20 // bytes of all recorded functions
)

// NewBuild makes the record of a library for the given names, each "name" or
// "name@source.c", of functions and variables. debug is the separate debug
// file with the same build-id, or nil: then the library's own .symtab and
// debug information are used, if it has any. What concerns the package (NEVRA,
// Package, Arch, the digests of RPMs, Library, BuildTime, EndOfSupport) is left
// to the caller. A library without build-id, or a debug file with another one,
// is [ErrBuildID]; a name that the library lacks is no error but recorded as absent.
func NewBuild(lib, debug *File, names []string) (*Build, error) {
	return NewRecord(lib, debug, Wanted{Names: names})
}

// Wanted is what a record is to hold of a library.
type Wanted struct {
	// Names are functions and variables, "name" or "name@source.c".
	Names []string
	// Types are names of types, "struct NAME", "union NAME", "enum NAME", or the
	// NAME of a typedef or of a C++ class.
	Types []string
}

// NewRecord is [NewBuild] for types, too.
func NewRecord(lib, debug *File, w Wanted) (*Build, error) {
	if err := checkPair(lib, debug); err != nil {
		return nil, err
	}
	bare, err := bareNames(w.Names)
	if err != nil {
		return nil, err
	}
	if err := checkTypeNames(w.Types); err != nil {
		return nil, err
	}
	r := recorder{lib: lib, symbols: lib, wanted: bare, wantedTypes: w.Types}
	if debug != nil {
		r.symbols = debug
	}
	b := &Build{Format: RecordFormat, Facts: RecordFacts, Soname: lib.Soname(), BuildID: lib.BuildID(), Needed: append([]string{}, lib.Needed()...)}
	if b.Soname == "" {
		b.Soname = path.Base(lib.Name())
	}
	if b.LibrarySHA256, err = lib.digest(); err != nil {
		return nil, err
	}
	if err := r.collect(b); err != nil {
		return nil, err
	}
	if len(bare)+len(w.Types) > 0 {
		err = r.record(b)
	}
	return b, err
}

// checkPair refuses what is no library and no program, and a debug file of another build.
func checkPair(lib, debug *File) error {
	switch {
	case lib.header.Type != elf.ET_DYN && lib.header.Type != elf.ET_EXEC || lib.dynamic == nil || lib.debugOnly:
		return lib.bad("neither a shared library nor a dynamically linked program")
	case lib.sectionErr != nil:
		return lib.sectionErr
	case lib.buildID == "":
		return fmt.Errorf("%s: %w: the library has no build-id", lib.name, ErrBuildID)
	case debug == nil:
		return nil
	case debug.sectionErr != nil:
		return debug.sectionErr
	case debug.buildID != lib.buildID:
		return fmt.Errorf("%s: %w: build-id %q, that of %s is %q", debug.name, ErrBuildID, debug.buildID, lib.name, lib.buildID)
	}
	return nil
}

// bareNames strips the sources from names, sorted and without duplicates.
func bareNames(names []string) ([]string, error) {
	var bare []string
	for _, n := range names {
		name, source, qualified := strings.Cut(n, "@")
		if !validName(name) || qualified && !validName(source) {
			return nil, fmt.Errorf("%w: symbol name %q: want NAME or NAME@SOURCE", ErrFormat, n)
		}
		bare = append(bare, name)
	}
	slices.Sort(bare)
	return slices.Compact(bare), nil
}

func validName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(c rune) bool {
		return c == '@' || unicode.IsControl(c) || unicode.IsSpace(c)
	})
}

// digest is the SHA-256 of the whole file in hexadecimal.
func (f *File) digest() (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f.src.r, 0, int64(f.src.size))); err != nil {
		return "", fmt.Errorf("%s: %w", f.name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// dynamicSymbols fills Symbols and Imports. The absolute symbols that ld
// defines to name versions are left out: they define nothing.
func (b *Build) dynamicSymbols(symbols []Symbol) {
	b.Symbols, b.Imports = []Symbol{}, []Symbol{}
	for _, s := range symbols {
		switch {
		case s.Undefined:
			b.Imports = append(b.Imports, s)
		case s.Absolute && s.Name == s.Version:
		default:
			b.Symbols = append(b.Symbols, s)
		}
	}
}
