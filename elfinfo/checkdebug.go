package elfinfo

import (
	"debug/elf"
	"fmt"
	"slices"
)

// CheckDebug checks that debug is the debug file of the library f: it has the
// same build-id, its code sections have the library's addresses and sizes, and
// the functions that both name are at the same addresses. The last two notice a
// file that was only given the build-id. Errors wrap [ErrBuildID] or [ErrFormat].
func (f *File) CheckDebug(debug *File) error {
	if err := checkPair(f, debug); err != nil {
		return err
	}
	if err := f.checkCode(debug); err != nil {
		return err
	}
	return f.checkSymbols(debug)
}

// checkCode compares the executable sections; a file without section headers has none.
func (f *File) checkCode(debug *File) error {
	for _, s := range f.sections {
		if s.Flags&elf.SHF_EXECINSTR == 0 || s.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		i := slices.IndexFunc(debug.sections, func(d elf.SectionHeader) bool { return d.Name == s.Name })
		if i < 0 {
			return debug.otherBuild("it has no section %q", s.Name)
		}
		if d := debug.sections[i]; d.Addr != s.Addr || d.Size != s.Size {
			return debug.otherBuild("section %q has %d bytes at %#x, that of %s %d at %#x", s.Name, d.Size, d.Addr, f.name, s.Size, s.Addr)
		}
	}
	return nil
}

// checkSymbols compares global functions. A name may have several addresses:
// one for each of its versions.
func (f *File) checkSymbols(debug *File) error {
	dynamic, err := f.DynamicSymbols()
	if err != nil {
		return err
	}
	known := make(map[string][]uint64)
	for _, s := range dynamic {
		if !s.Undefined && (s.Kind == kindFunc || s.Kind == kindIFunc) {
			known[s.Name] = append(known[s.Name], s.Address)
		}
	}
	var other error
	err = debug.staticSymbols(func(d definition) {
		if d.Binding == bindingLocal || d.Kind != kindFunc && d.Kind != kindIFunc {
			return
		}
		if at := known[d.Name]; at != nil && !slices.Contains(at, d.Address) && other == nil {
			other = debug.otherBuild("%s is at %#x, in %s at %#x", d.Name, d.Address, f.name, at)
		}
	})
	if err != nil {
		return err
	}
	return other
}

func (f *File) otherBuild(format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", f.name, ErrBuildID, fmt.Sprintf(format, args...))
}
