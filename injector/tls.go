package injector

import (
	"debug/elf"
	"encoding/binary"
	"fmt"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// Bounds on what is believed of thread-local storage.
const (
	maxStaticTLS  = 1 << 32 // bytes between a TLS block and the thread pointer
	maxTLSModules = 1 << 20
	maxLinkMap    = 8192 // bytes of glibc's private struct link_map
)

// staticTLS finds how far below the thread pointer an object's TLS block lies
// (psABI variant II: a variable at offset v is at TP - result + v). It is the
// same in every thread. The sources are slots that ld.so has filled, and what
// it tells debuggers; where both speak they must agree.
func (s *scope) staticTLS(o *object) (uint64, error) {
	told, known, err := s.linkField(o, "_thread_db_link_map_l_tls_offset")
	if err != nil {
		return 0, err
	}
	for _, from := range s.order {
		filled, ok, err := s.offsetFrom(from, o)
		if err != nil {
			return 0, err
		}
		if ok && known && filled != told {
			return 0, blockedf("it contradicts itself about the thread-local storage of %s", o.path)
		}
		if ok {
			told, known = filled, true
		}
	}
	if !known || !plausibleOffset(o, told) {
		return 0, blockedf("the place of %s's thread-local storage cannot be known", o.path)
	}
	return told, nil
}

// plausibleOffset: 0 and -1 are how glibc marks a block outside static TLS.
func plausibleOffset(o *object, off uint64) bool {
	tls, ok := o.segment(elf.PT_TLS)
	return ok && off >= tls.Memsz && off != 0 && off < maxStaticTLS
}

// offsetFrom works the answer of staticTLS out from a slot of an object.
func (s *scope) offsetFrom(from, o *object) (uint64, bool, error) {
	facts, err := from.cached.symbols()
	if err != nil {
		return 0, false, err
	}
	for _, r := range facts.offsets {
		value, ok := s.tlsTarget(from, facts.table[r.Symbol], r.Symbol, o)
		if !ok {
			continue
		}
		slot, err := s.p.readWord(from.addr(r.Offset))
		if err != nil {
			return 0, false, err
		}
		// Not filled yet, the slot holds a small number: what is filled is negative.
		if off := value + uint64(r.Addend) - slot; int64(slot) < 0 && plausibleOffset(o, off) {
			return off, true, nil
		}
	}
	return 0, false, nil
}

// tlsTarget says whether a TLS relocation of one object is about another's
// storage, and at which offset in it. Without a symbol it is about its own.
func (s *scope) tlsTarget(from *object, sym elfinfo.Symbol, index int, o *object) (uint64, bool) {
	if index == 0 || sym.Binding == "local" {
		return sym.Address, from == o
	}
	d, err := s.bind(reference{name: sym.Name, version: sym.Version, call: true})
	if err != nil {
		return 0, false
	}
	return d.sym.Address, d.owner == o && d.sym.Kind == "tls"
}

// tlsModule finds the id of an object in the dynamic thread vectors.
func (s *scope) tlsModule(o *object) (uint64, error) {
	if _, ok := o.segment(elf.PT_TLS); !ok {
		return 0, blockedf("%s has no thread-local storage", o.path)
	}
	for _, from := range s.order {
		id, ok, err := s.moduleFrom(from, o)
		if err != nil || ok {
			return id, err
		}
	}
	id, ok, err := s.linkField(o, "_thread_db_link_map_l_tls_modid")
	if err != nil {
		return 0, err
	}
	if !ok || id == 0 || id > maxTLSModules {
		return 0, blockedf("the TLS module id of %s cannot be known", o.path)
	}
	return id, nil
}

// moduleFrom reads a slot that ld.so has filled with an object's module id.
func (s *scope) moduleFrom(from, o *object) (uint64, bool, error) {
	facts, err := from.cached.symbols()
	if err != nil {
		return 0, false, err
	}
	for _, r := range facts.modules {
		if _, ok := s.tlsTarget(from, facts.table[r.Symbol], r.Symbol, o); !ok {
			continue
		}
		id, err := s.p.readWord(from.addr(r.Offset))
		if err != nil {
			return 0, false, err
		}
		if id > 0 && id <= maxTLSModules {
			return id, true, nil
		}
	}
	return 0, false, nil
}

// linkField reads a field of an object's link_map that <link.h> does not
// declare. Where it is, glibc tells debuggers: libc.so (before 2.34
// libpthread.so) defines an array of three 32-bit numbers for it: bits, number
// of elements, offset (nptl_db/db_info.c).
func (s *scope) linkField(o *object, descriptor string) (uint64, bool, error) {
	for _, lib := range s.order {
		facts, err := lib.cached.symbols()
		if err != nil {
			return 0, false, fmt.Errorf("%s: %w", lib.path, err)
		}
		indexes := facts.defined[descriptor]
		if len(indexes) == 0 || o.link == 0 {
			continue
		}
		b, err := lib.file.ReadAt(facts.table[indexes[0]].Address, 12)
		if err != nil {
			return 0, false, err
		}
		le := binary.LittleEndian
		bits, elements, offset := le.Uint32(b), le.Uint32(b[4:]), le.Uint32(b[8:])
		if bits != 64 || elements != 1 || offset > maxLinkMap {
			return 0, false, nil
		}
		v, err := s.p.readWord(o.link + uint64(offset))
		return v, err == nil, err
	}
	return 0, false, nil
}
