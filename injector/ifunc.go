package injector

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// resolved finds out what the resolver of an IFUNC symbol has returned, from a
// slot that ld.so has filled, which runs nothing in the process. The first to
// ask are the slots of the very resolver (R_X86_64_IRELATIVE), then those that
// were bound to the symbol, or to another name of it. If none is filled, the
// error is an *unresolved.
func (s *scope) resolved(d definition) (uint64, error) {
	facts, err := d.owner.cached.symbols()
	if err != nil {
		return 0, err
	}
	for _, slot := range facts.resolvers[d.sym.Address] {
		if v, ok, err := s.filled(d.owner, slot, d.owner); ok || err != nil {
			return v, err
		}
	}
	for _, sym := range facts.table {
		if sym.Address != d.sym.Address || sym.Kind != "ifunc" || sym.Undefined {
			continue
		}
		for _, o := range s.order {
			if v, ok, err := s.boundSlot(o, definition{d.owner, sym}); ok || err != nil {
				return v, err
			}
		}
	}
	return 0, &unresolved{d}
}

// unresolved is the error of an IFUNC symbol whose resolver would have to be
// called: no slot tells what it returns.
type unresolved struct{ definition }

func (u *unresolved) Error() string {
	return fmt.Sprintf("%s in %s needs its IFUNC resolver run", u.sym.Name, u.owner.path)
}

// A pendingWord is a word of an image that receives what a resolver returns,
// and an addend.
type pendingWord struct {
	offset, addend uint64
	of             definition
}

// runResolvers has the target call the resolvers that its images wait for, and
// completes the images. So far nothing else has happened in the process.
func (j *job) runResolvers(t *tracer, images []*image) error {
	var wanted []definition
	for _, im := range images {
		for _, p := range im.pending {
			if !p.of.owner.executable(p.of.address()) {
				return blockedf("the IFUNC resolver of %s is not in the code of %s", p.of.sym.Name, p.of.owner.path)
			}
			if !slices.ContainsFunc(wanted, p.of.sameResolver) {
				wanted = append(wanted, p.of)
			}
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	var functions []remoteFunction
	for _, d := range wanted {
		name := fmt.Sprintf("the IFUNC resolver of %s in %s", d.sym.Name, d.owner.path)
		functions = append(functions, remoteFunction{name: name, address: d.address()})
	}
	results, err := j.callFunctions(t, functions, callRules{limit: callLimit})
	var failure *callFailure
	if errors.As(err, &failure) {
		return blockedf("%v", failure)
	}
	if err != nil {
		return err
	}
	for _, im := range images {
		if err := im.complete(j.p, wanted, results); err != nil {
			return err
		}
	}
	return nil
}

// address is where the definition's resolver is.
func (d definition) address() uint64 { return d.owner.addr(d.sym.Address) }

func (d definition) sameResolver(o definition) bool { return d.address() == o.address() }

// complete fills in what resolvers have returned.
func (im *image) complete(p *process, resolvers []definition, results []uint64) error {
	for _, w := range im.pending {
		i := slices.IndexFunc(resolvers, w.of.sameResolver)
		to := results[i]
		if !w.of.owner.executable(to) && !p.inVDSO(to) {
			return blockedf("the IFUNC resolver of %s in %s leads to %#x, where there is no code of it", w.of.sym.Name, w.of.owner.path, to)
		}
		im.words = append(im.words, word{offset: w.offset, value: to + w.addend})
	}
	im.pending = nil
	return nil
}

// boundSlot looks through the slots of one object that are bound by a symbol's
// name, and that bind to this definition of it.
func (s *scope) boundSlot(o *object, d definition) (uint64, bool, error) {
	facts, err := o.cached.symbols()
	if err != nil {
		return 0, false, err
	}
	for _, r := range facts.bound[d.sym.Name] {
		ref := reference{name: d.sym.Name, version: facts.table[r.Symbol].Version, call: r.Type == elf.R_X86_64_JMP_SLOT}
		if b, err := s.bind(ref); err != nil || b != d {
			continue
		}
		// Until its first call, such a slot may lead to the object's own PLT;
		// what it held at first is not known of an object read from memory.
		if o == d.owner && o.cached.image {
			continue
		}
		if v, ok, err := s.filled(o, r.Offset, d.owner); ok || err != nil {
			return v, ok, err
		}
	}
	return 0, false, nil
}

// filled reads a slot of an object. It counts as filled if it leads into code
// of owner, or of the vDSO, to which some resolvers of libc lead, and does not
// hold what it held when the object was loaded.
func (s *scope) filled(o *object, slot uint64, owner *object) (uint64, bool, error) {
	v, err := s.p.readWord(o.addr(slot))
	if err != nil {
		return 0, false, err
	}
	if !owner.executable(v) && !s.p.inVDSO(v) {
		return 0, false, nil
	}
	if o != owner || o.cached.image {
		return v, true, nil
	}
	b, err := o.file.ReadAt(slot, 8)
	if err != nil {
		return 0, false, err
	}
	return v, v != o.addr(binary.LittleEndian.Uint64(b)), nil
}

// inVDSO says whether an address is in the code that the kernel provides.
func (p *process) inVDSO(addr uint64) bool {
	m, ok := findMapping(p.maps, addr)
	return ok && m.exec && m.path == "[vdso]"
}

// readWord reads 8 bytes, little endian.
func (p *process) readWord(addr uint64) (uint64, error) {
	var b [8]byte
	if err := p.readAt(b[:], addr); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}
