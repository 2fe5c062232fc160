package elfinfo

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Limits on what is read from one file. They are several times what the
// largest libraries of a distribution hold.
const (
	maxSegments   = 1024
	maxSections   = 0xff00 // SHN_LORESERVE: more need the extended numbering, which no linked library has
	maxDynamic    = 1 << 12
	maxNotes      = 1 << 20  // bytes of one PT_NOTE
	maxSymbols    = 1 << 20  // dynamic symbols
	maxStrings    = 64 << 20 // bytes of a string table
	maxRelocs     = 4 << 20
	maxSectionLen = 512 << 20 // bytes of a section or segment that is read whole
	maxRead       = 64 << 20  // bytes of one ReadAt
	maxVersions   = 1 << 15   // a version index has 15 bits
)

// File is an ELF64 little-endian x86-64 file of type ET_EXEC, ET_DYN or
// ET_REL, opened for reading. It is not changed after it was made: its methods
// may be called from several goroutines at once if the underlying reader allows it.
type File struct {
	name   string
	src    source
	closer io.Closer

	header     elf.FileHeader
	segments   []elf.ProgHeader
	sections   []elf.SectionHeader
	sectionErr error // why sections is empty although the header promises some
	debugOnly  bool
	buildID    BuildID
	dynamic    *dynamic // nil if there is none
	alternate  *File    // set by WithAlternate
}

// Open opens the file at a path. The caller closes it.
func Open(name string) (*File, error) {
	r, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	st, err := r.Stat()
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	if !st.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s: %w: not a regular file", name, ErrFormat), r.Close())
	}
	f, err := NewFile(name, r, st.Size())
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	f.closer = r
	return f, nil
}

// NewFile reads an ELF file of size bytes from r; name is used in messages
// only. Damage to the section headers alone is not an error here, but in what
// needs them. Errors wrap [ErrFormat] or [ErrMachine], or come from r.
func NewFile(name string, r io.ReaderAt, size int64) (*File, error) {
	if size < 0 {
		return nil, fmt.Errorf("%s: %w: size %d", name, ErrFormat, size)
	}
	f := &File{name: name, src: source{r: r, size: uint64(size)}}
	if err := f.readHeaders(); err != nil {
		return nil, err
	}
	f.sections, f.sectionErr = f.readSections()
	f.debugOnly = slices.ContainsFunc(f.sections, func(s elf.SectionHeader) bool {
		return s.Type == elf.SHT_NOBITS && s.Flags&elf.SHF_EXECINSTR != 0
	})
	if !f.debugOnly {
		if err := f.checkSegments(); err != nil {
			return nil, err
		}
	}
	return f, f.readFacts()
}

// NewImage reads the ELF image that starts at address base of a process's
// memory, of which mem is a view by absolute address. It has no section
// headers. Pointers of the dynamic section are accepted as the dynamic linker
// leaves them, relocated or not.
func NewImage(name string, mem io.ReaderAt, base uint64) (*File, error) {
	f := &File{name: name, src: source{r: mem, image: true, base: base}}
	if err := f.readHeaders(); err != nil {
		return nil, err
	}
	if err := f.placeImage(); err != nil {
		return nil, err
	}
	return f, f.readFacts()
}

// readFacts reads what NewFile and NewImage promise: notes and the dynamic section.
func (f *File) readFacts() error {
	if err := f.readBuildID(); err != nil {
		return err
	}
	if f.debugOnly || f.header.Type == elf.ET_REL {
		return nil
	}
	return f.readDynamic()
}

// Close closes the file if [Open] opened it.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// Name is the name that the file was opened with.
func (f *File) Name() string { return f.name }

// Header is the ELF header.
func (f *File) Header() elf.FileHeader { return f.header }

// Segments are the program headers in file order.
func (f *File) Segments() []elf.ProgHeader { return slices.Clone(f.segments) }

// BuildID is the first GNU build-id note, "" if there is none.
func (f *File) BuildID() BuildID { return f.buildID }

// DebugOnly says that the file is a separate debug file: its code and data
// have no contents, so that only sections with contents can be read.
func (f *File) DebugOnly() bool { return f.debugOnly }

// HasSection says whether there is a section of that name. It is false for
// files without section headers and for memory images.
func (f *File) HasSection(name string) bool {
	_, ok := f.section(name)
	return ok
}

// ReadAt returns n bytes at a virtual address (before relocation) from the
// contents of a PT_LOAD segment; bytes that only exist in memory (.bss) are
// not readable. All n bytes must be in one segment; n is at most 64 MiB.
func (f *File) ReadAt(vaddr uint64, n int) ([]byte, error) {
	if n < 0 || n > maxRead {
		return nil, fmt.Errorf("%s: address %#x: cannot read %d bytes at once", f.name, vaddr, n)
	}
	return f.read(vaddr, uint64(n))
}

// read is ReadAt for callers that have bounded n themselves.
func (f *File) read(vaddr, n uint64) ([]byte, error) {
	left, off, ok := f.locate(vaddr)
	if !ok || n > left {
		return nil, f.bad("address %#x: %d bytes are not in the file", vaddr, n)
	}
	b, err := f.src.bytes(off, n)
	if err != nil {
		return nil, fmt.Errorf("%s: address %#x: %w", f.name, vaddr, err)
	}
	return b, nil
}

// locate finds a virtual address: its place in the source, and how many bytes
// of contents the segment has from there on.
func (f *File) locate(vaddr uint64) (left, off uint64, ok bool) {
	if f.debugOnly {
		return 0, 0, false
	}
	for _, s := range f.segments {
		if s.Type != elf.PT_LOAD || vaddr < s.Vaddr || vaddr-s.Vaddr >= s.Filesz {
			continue
		}
		delta := vaddr - s.Vaddr
		return s.Filesz - delta, f.place(s) + delta, true
	}
	return 0, 0, false
}

// place is where the contents of a segment start in the source.
func (f *File) place(s elf.ProgHeader) uint64 {
	if f.src.image {
		return f.src.bias + s.Vaddr
	}
	return s.Off
}

// TextTail returns the zero bytes between the end of the executable segment's
// contents and the end of its page: a process maps them executable, and
// nothing executes there. It returns 0, 0 if there are none, if the file does
// not have them, or if one of them is not zero. Of several executable
// segments, the one with the longest tail counts.
func (f *File) TextTail() (vaddr uint64, n int) {
	for _, s := range f.segments {
		if s.Type != elf.PT_LOAD || s.Flags&elf.PF_X == 0 || s.Flags&elf.PF_W != 0 || s.Memsz > s.Filesz {
			continue
		}
		end := s.Vaddr + s.Filesz
		size := -end % pageSize
		if f.debugOnly || int(size) <= n || f.overlaps(end, size) {
			continue
		}
		b, err := f.src.bytes(f.place(s)+s.Filesz, size)
		if err != nil || slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) {
			continue
		}
		vaddr, n = end, int(size)
	}
	return vaddr, n
}

// overlaps says whether a PT_LOAD segment claims part of [vaddr, vaddr+n).
func (f *File) overlaps(vaddr, n uint64) bool {
	return slices.ContainsFunc(f.segments, func(s elf.ProgHeader) bool {
		return s.Type == elf.PT_LOAD && s.Vaddr < vaddr+n && vaddr < s.Vaddr+s.Memsz
	})
}

// bad makes an error about the file's contents.
func (f *File) bad(format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", f.name, ErrFormat, fmt.Sprintf(format, args...))
}
