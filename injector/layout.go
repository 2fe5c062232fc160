package injector

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// maxImage bounds the memory of one container, in bytes.
const maxImage = 64 << 20

// A layout is a container as it will lie in memory, before relocation: what is
// the same for every process. Offsets count from the start of the image, which
// is the page of the lowest virtual address (low).
type layout struct {
	file *elfinfo.File
	low  uint64
	size uint64
	// writable is where the pages start that must stay writable; == size if none.
	writable uint64
	// bytes are the contents of the segments, size bytes.
	bytes       []byte
	segments    []elf.ProgHeader
	facts       *symbolFacts
	relocations []elfinfo.Relocation
	// initialises: its constructors are called when it is loaded. constructors
	// are their offsets, in the order of the calls.
	initialises  bool
	constructors []uint64
}

// layout returns the layout of a container, which is made once. A container
// that cannot be placed in any process is blocked.
func (c *fileCache) layout(container *livepatch.Container) (*layout, error) {
	c.mu.Lock()
	l := c.layouts[container.ID]
	c.mu.Unlock()
	if l != nil && container.ID != "" {
		return l, nil
	}
	l, err := newLayout(container)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.layouts[container.ID] = l
	return l, nil
}

func newLayout(c *livepatch.Container) (*layout, error) {
	f, err := elfinfo.NewFile(c.Name, bytes.NewReader(c.Data), int64(len(c.Data)))
	if err != nil {
		return nil, err
	}
	l := &layout{file: f, segments: f.Segments(), initialises: c.Info == nil || c.Info.Constructors}
	for _, step := range []func() error{l.refuse, l.arrange, l.readSymbols, l.checkRelocations, l.readConstructors} {
		if err := step(); err != nil {
			if errors.As(err, new(blocked)) {
				return nil, blockedf("live patch %s %v", c.Name, err)
			}
			return nil, err
		}
	}
	return l, nil
}

// refuse names what a container must not have.
func (l *layout) refuse() error {
	if l.file.Header().Type != elf.ET_DYN {
		return blockedf("is not a shared library")
	}
	for _, s := range l.segments {
		switch {
		case s.Type == elf.PT_TLS:
			return blockedf("has thread-local variables of its own")
		case s.Type == elf.PT_GNU_STACK && s.Flags&elf.PF_X != 0:
			return blockedf("asks for executable stacks")
		}
	}
	flags, _ := l.file.DynamicValue(elf.DT_FLAGS)
	if _, ok := l.file.DynamicValue(elf.DT_TEXTREL); ok || elf.DynFlag(flags)&elf.DF_TEXTREL != 0 {
		return blockedf("has relocations in its code (DT_TEXTREL)")
	}
	return nil
}

// arrange computes size and writable and copies the segments' contents.
func (l *layout) arrange() error {
	low, high := loadSpan(l.segments)
	if low == high || high-low > maxImage {
		return blockedf("has %d bytes of memory", high-low)
	}
	l.low, l.size, l.writable = low, high-low, high-low
	for _, s := range l.segments {
		if s.Type != elf.PT_LOAD || s.Flags&elf.PF_W == 0 {
			continue
		}
		if s.Flags&elf.PF_X != 0 {
			return blockedf("has memory that is writable and executable")
		}
		l.writable = min(l.writable, l.afterRelro(pageDown(s.Vaddr))-l.low, l.size)
	}
	l.bytes = make([]byte, l.size)
	for _, s := range l.segments {
		if s.Type != elf.PT_LOAD {
			continue
		}
		if s.Flags&elf.PF_X != 0 && roundUp(s.Vaddr+s.Memsz)-l.low > l.writable {
			return blockedf("has code behind its data")
		}
		b, err := l.file.ReadAt(s.Vaddr, int(s.Filesz))
		if err != nil && s.Filesz > 0 {
			return err
		}
		copy(l.bytes[s.Vaddr-l.low:], b)
	}
	return nil
}

// afterRelro is the first page from a page on that is written to after
// relocation: ld.so protects whole pages of PT_GNU_RELRO only, and so do we.
func (l *layout) afterRelro(page uint64) uint64 {
	for _, s := range l.segments {
		if s.Type == elf.PT_GNU_RELRO && pageDown(s.Vaddr) <= page {
			page = max(page, pageDown(s.Vaddr+s.Memsz))
		}
	}
	return page
}

func (l *layout) readSymbols() error {
	var err error
	if l.facts, err = readSymbolFacts(l.file); err != nil {
		return err
	}
	l.relocations, err = l.file.Relocations()
	return err
}

// inData says whether n bytes at a virtual address are in a segment that may be
// written, at least while it is relocated.
func (l *layout) inData(vaddr, n uint64) bool {
	return l.inSegment(vaddr, n, elf.PF_W)
}

func (l *layout) inSegment(vaddr, n uint64, flag elf.ProgFlag) bool {
	for _, s := range l.segments {
		if s.Type == elf.PT_LOAD && s.Flags&flag != 0 && vaddr >= s.Vaddr && n <= s.Memsz && vaddr-s.Vaddr <= s.Memsz-n {
			return true
		}
	}
	return false
}

// checkRelocations refuses what cannot be done in any process.
func (l *layout) checkRelocations() error {
	for _, r := range l.relocations {
		if err := checkRelocationType(r.Type); err != nil {
			return err
		}
		if !l.inData(r.Offset, 8) {
			return blockedf("has a relocation outside its data, at %#x", r.Offset)
		}
	}
	return nil
}

// symbol is the offset of an exported function.
func (l *layout) symbol(name string) (uint64, bool) {
	s, ok := l.facts.find(reference{name: name, call: true})
	if !ok || s.Absolute || s.Kind != "func" || !l.inSegment(s.Address, 1, elf.PF_X) {
		return 0, false
	}
	return s.Address - l.low, true
}

// variable is the virtual address of an exported variable.
func (l *layout) variable(name string) (uint64, error) {
	s, ok := l.facts.find(reference{name: name, call: true})
	if !ok || s.Absolute {
		return 0, fmt.Errorf("%s: variable %s: %w", l.file.Name(), name, errNoSymbol)
	}
	return s.Address, nil
}
