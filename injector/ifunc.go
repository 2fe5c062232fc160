package injector

import (
	"debug/elf"
	"encoding/binary"
)

// resolved finds out what the resolver of an IFUNC symbol has returned, from a
// slot that ld.so has filled: calling it would run code in the process. The
// first to ask are the slots of the very resolver (R_X86_64_IRELATIVE), then
// those that were bound to the symbol, or to another name of it.
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
	return 0, blockedf("%s in %s needs its IFUNC resolver run", d.sym.Name, d.owner.path)
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
