package injector

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// An image is a container whose every import is resolved for one process, so
// that the only thing still missing is the address where it will lie.
//
// Its pages [0, writable) hold code, constants and what is constant once
// relocated (PT_GNU_RELRO): they need not be writable in the process. A
// container without variables needs one mapping only.
type image struct {
	// size is a multiple of the page size, writable the offset of the first
	// page that must be writable, size if there is none.
	size     uint64
	writable uint64

	layout *layout
	words  []word
	owners []*object
	// pending are words that wait for an IFUNC resolver to be called.
	pending []pendingWord
}

// A word is 8 bytes of an image that depend on the process.
type word struct {
	offset uint64
	value  uint64
	// moves: the image's own load bias is added to value.
	moves bool
}

// newImage resolves the imports of a container for lib, its target in the
// process that sc was made for. It is blocked if one cannot be resolved; those
// that an IFUNC resolver must be called for are left pending (see runResolvers).
func newImage(p *process, c *livepatch.Container, lib *object, sc *scope) (*image, error) {
	l, err := p.files.layout(c)
	if err != nil {
		return nil, err
	}
	im := &image{size: l.size, writable: l.writable, layout: l}
	for _, r := range l.relocations {
		if err := im.relocate(sc, r); err != nil {
			return nil, importError(c, err)
		}
	}
	if c.Apply == nil {
		return im, nil
	}
	for _, ref := range c.Apply.References {
		if err := im.refer(sc, lib, ref); err != nil {
			return nil, importError(c, err)
		}
	}
	return im, nil
}

func importError(c *livepatch.Container, err error) error {
	if errors.Is(err, errNoSymbol) {
		return blockedf("live patch %s: no library in scope has symbol %v", c.Name, err)
	}
	return fmt.Errorf("%s: %w", c.Name, err)
}

// add notes the value of a word.
func (im *image) add(vaddr, value uint64, moves bool) {
	im.words = append(im.words, word{offset: vaddr - im.layout.low, value: value, moves: moves})
}

// owner remembers an object whose addresses the image holds.
func (im *image) owner(o *object) {
	if !slices.Contains(im.owners, o) {
		im.owners = append(im.owners, o)
	}
}

// relocateSymbol computes S + A for a relocation with a symbol.
func (im *image) relocateSymbol(sc *scope, r elfinfo.Relocation) error {
	sym := im.layout.facts.table[r.Symbol]
	if r.Symbol == 0 {
		im.add(r.Offset, uint64(r.Addend), false)
		return nil
	}
	if sym.Binding == "local" {
		im.add(r.Offset, sym.Address+uint64(r.Addend), !sym.Absolute)
		return nil
	}
	d, err := im.bind(sc, r, sym)
	switch {
	case errors.Is(err, errNoSymbol) && sym.Binding == "weak":
		im.add(r.Offset, uint64(r.Addend), false)
		return nil
	case err != nil:
		return err
	case d.sym.Kind == "tls":
		return blockedf("symbol %s is thread-local in %s, unlike in the live patch", d.sym.Name, im.describe(d))
	case d.owner == nil && d.sym.Kind == "ifunc":
		return blockedf("symbol %s: the live patch has an IFUNC of its own", d.sym.Name)
	case d.owner == nil:
		im.add(r.Offset, d.sym.Address+uint64(r.Addend), !d.sym.Absolute)
		return nil
	}
	im.owner(d.owner)
	if err := sc.unwindable(d); err != nil {
		return err
	}
	addr, err := sc.address(d)
	var u *unresolved
	switch {
	case errors.As(err, &u):
		im.pending = append(im.pending, pendingWord{offset: r.Offset - im.layout.low, addend: uint64(r.Addend), of: d})
		return nil
	case err != nil:
		return err
	}
	im.add(r.Offset, addr+uint64(r.Addend), false)
	return nil
}

func (im *image) describe(d definition) string {
	if d.owner == nil {
		return im.layout.file.Name()
	}
	return d.owner.path
}

// bind finds what a symbol of the container is bound to; a definition without
// an owner is the container's own.
func (im *image) bind(sc *scope, r elfinfo.Relocation, sym elfinfo.Symbol) (definition, error) {
	ref := reference{name: sym.Name, version: sym.Version, call: callRelocation(r.Type)}
	d, err := bind(sc.global, ref)
	if errors.Is(err, errNoSymbol) {
		if own, ok := im.layout.facts.find(ref); ok {
			return definition{sym: own}, nil
		}
		d, err = bind(sc.local, ref)
	}
	if err != nil {
		return definition{}, err
	}
	return d, sc.checkUnique(d)
}

// bindTLS finds the thread-local variable of another object that a relocation
// is about.
func (im *image) bindTLS(sc *scope, r elfinfo.Relocation) (definition, error) {
	sym := im.layout.facts.table[r.Symbol]
	if r.Symbol == 0 || sym.Binding == "local" {
		return definition{}, blockedf("the live patch has thread-local variables of its own")
	}
	d, err := im.bind(sc, r, sym)
	if err != nil {
		return definition{}, err
	}
	if d.owner == nil || d.sym.Kind != "tls" {
		return definition{}, blockedf("symbol %s is not thread-local in %s", sym.Name, im.describe(d))
	}
	im.owner(d.owner)
	return d, nil
}

// refer fills in a variable of the container that stands for a private symbol
// of the target: its address, or for a thread-local one the module id and the
// offset that __tls_get_addr takes.
func (im *image) refer(sc *scope, lib *object, ref livepatch.MetadataReference) error {
	at, err := ref.PatchOffset, error(nil)
	if at == 0 {
		if at, err = im.layout.variable(ref.Reference); err != nil {
			return err
		}
	}
	size := uint64(8)
	if ref.TLS {
		size = 16
	}
	if !im.layout.inData(at, size) {
		return blockedf("reference %s at %#x is outside the live patch's data", ref.Reference, at)
	}
	im.owner(lib)
	if ref.TLS {
		tls, _ := lib.segment(elf.PT_TLS)
		if ref.TargetOffset >= tls.Memsz {
			return blockedf("%s has no thread-local variable at %#x (%s)", lib.path, ref.TargetOffset, ref.Target)
		}
		module, err := sc.tlsModule(lib)
		if err != nil {
			return err
		}
		im.add(at, module, false)
		im.add(at+8, ref.TargetOffset, false)
		return nil
	}
	start, end := lib.span()
	if addr := lib.addr(ref.TargetOffset); addr < start || addr >= end {
		return blockedf("%s has nothing at %#x (%s)", lib.path, ref.TargetOffset, ref.Target)
	}
	im.add(at, lib.addr(ref.TargetOffset), false)
	return nil
}

// place returns the whole image, size bytes, relocated for its start address.
func (im *image) place(base uint64) ([]byte, error) {
	if base%pageSize != 0 || base+im.size < base {
		return nil, fmt.Errorf("%s: cannot lie at %#x", im.layout.file.Name(), base)
	}
	out := slices.Clone(im.layout.bytes)
	bias := base - im.layout.low
	for _, w := range im.words {
		value := w.value
		if w.moves {
			value += bias
		}
		binary.LittleEndian.PutUint64(out[w.offset:], value)
	}
	return out, nil
}

// symbol is the offset of an exported replacement function in the image.
func (im *image) symbol(name string) (uint64, bool) { return im.layout.symbol(name) }

// symbolSize is its size in bytes, 0 if the container does not say.
func (im *image) symbolSize(name string) uint64 {
	s, ok := im.layout.facts.find(reference{name: name, call: true})
	if !ok || s.Address+s.Size < s.Address || s.Address+s.Size > im.layout.low+im.size {
		return 0
	}
	return s.Size
}

// imports are the objects whose addresses the image holds: it is worth nothing
// once one of them is not where it was.
func (im *image) imports() []recordObject {
	out := make([]recordObject, 0, len(im.owners))
	for _, o := range im.owners {
		out = append(out, recordObject{BuildID: o.buildID, Bias: o.bias})
	}
	return out
}
