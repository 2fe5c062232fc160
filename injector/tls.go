package injector

import (
	"bytes"
	"debug/elf"
	"encoding/binary"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// Bounds on what is believed of thread-local storage.
const (
	maxStaticTLS  = 1 << 32 // bytes between a TLS block and the thread pointer
	maxTLSModules = 1 << 20
	maxLinkMap    = 2048 // bytes of glibc's struct link_map: 1,136 to 1,200 in 2.31 to 2.44
)

// staticTLS finds how far below the thread pointer an object's TLS block lies
// (psABI variant II: a variable at offset v is at TP - result + v). It is the
// same in every thread. The sources are slots that ld.so has filled and its own
// notes; where both speak they must agree.
func (s *scope) staticTLS(o *object) (uint64, error) {
	told, _, known, err := s.privateTLS(o)
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
	_, id, ok, err := s.privateTLS(o)
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

// privateTLS reads offset below the thread pointer and module id from the part
// of an object's struct link_map that <link.h> does not declare. Where they are
// differs between releases of glibc, but not what stands before them (struct
// link_map in its include/link.h, unchanged from 2.31 to 2.44): l_tls_initimage,
// l_tls_initimage_size, l_tls_blocksize, l_tls_align and
// l_tls_firstbyte_offset, which the program header tells, then l_tls_offset and
// l_tls_modid.
func (s *scope) privateTLS(o *object) (offset, module uint64, ok bool, err error) {
	tls, has := o.segment(elf.PT_TLS)
	m, mapped := findMapping(s.p.maps, o.link)
	if !has || !mapped {
		return 0, 0, false, nil
	}
	b := make([]byte, min(maxLinkMap, m.end-o.link)&^7)
	if err := s.p.readAt(b, o.link); err != nil {
		return 0, 0, false, err
	}
	var known []byte
	for _, v := range []uint64{o.addr(tls.Vaddr), tls.Filesz, tls.Memsz, tls.Align, tls.Vaddr & (max(tls.Align, 1) - 1)} {
		known = binary.LittleEndian.AppendUint64(known, v)
	}
	i := bytes.Index(b, known)
	if i < 0 || i%8 != 0 || len(b)-i < len(known)+16 {
		return 0, 0, false, nil
	}
	b = b[i+len(known):]
	return binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), true, nil
}
