package elfinfo

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"slices"
	"unicode/utf8"

	"golang.org/x/arch/x86/x86asm"
)

// Limits on what is read of the constants that code refers to.
const (
	maxText     = 4 << 10  // bytes of a string
	maxBlob     = 64       // bytes of a constant of unknown size
	maxTable    = 4 << 10  // entries of a jump table
	maxObject   = 64 << 10 // bytes of a named constant
	maxRefDepth = 3        // constants that refer to constants
)

// code says what a branch leads to.
func (h *codeHasher) code(addr uint64) (string, error) {
	if label, ok := h.label(addr); ok {
		return label, nil
	}
	if label, ok := h.within(addr); ok {
		return label, nil
	}
	if s, ok := at(h.names.all, addr); ok {
		return h.named(s, addr), nil
	}
	if slot, ok := h.names.stub(addr); ok {
		return h.slot(slot)
	}
	return "", unclear("branch to %#x, which has no name", addr)
}

// stub finds the slot through which the entry of a procedure linkage table at
// an address jumps (psABI, "Procedure Linkage Table").
func (n *codeNames) stub(addr uint64) (slot Relocation, ok bool) {
	left, _, _ := n.lib.locate(addr)
	code, err := n.lib.read(addr, min(left, 16))
	if err != nil || !n.executable(addr) {
		return slot, false
	}
	start := addr
	if bytes.HasPrefix(code, endbr64) {
		code, start = code[len(endbr64):], start+uint64(len(endbr64))
	}
	inst, ok := Decode(code)
	mem, isMem := inst.Args[0].(x86asm.Mem)
	if !ok || inst.Op != x86asm.JMP || !isMem || mem.Base != x86asm.RIP {
		return slot, false
	}
	slot, ok = n.slots[start+uint64(inst.Len)+uint64(int64(int32(mem.Disp)))]
	return slot, ok
}

// refer says what an address in an operand refers to; size is how many bytes
// are read there, 0 if that is not known.
func (h *codeHasher) refer(addr uint64, size int) (string, error) {
	if label, ok := h.label(addr); ok {
		return label, nil
	}
	h.depth++
	defer func() { h.depth-- }()
	if s, ok := at(h.names.all, addr); ok {
		text := h.named(s, addr)
		if s.kind == kindObject && h.names.constant(s.start) && s.end-s.start <= maxObject && h.depth < maxRefDepth {
			sum, err := h.contents(s.start, int(s.end-s.start))
			return text + " " + sum, err
		}
		return text, nil
	}
	if slot, ok := h.names.slots[addr]; ok {
		return h.slot(slot)
	}
	if h.names.executable(addr) && !h.inside(addr) {
		return h.code(addr)
	}
	if !h.names.constant(addr) {
		return "", unclear("%#x, which has no name", addr)
	}
	if h.depth > maxRefDepth {
		return "", unclear("constants at %#x refer to each other", addr)
	}
	if size > 0 {
		return h.contents(addr, size)
	}
	return h.unnamed(addr)
}

// named is a symbol and the offset in it. The compiler's numbers are replaced
// by the order in which the function first refers to them.
func (h *codeHasher) named(s codeName, addr uint64) string {
	plain := plainName(s.name)
	if plain != s.name {
		i := slices.Index(h.order[plain], s.start)
		if i < 0 {
			i = len(h.order[plain])
			h.order[plain] = append(h.order[plain], s.start)
		}
		plain = fmt.Sprintf("%s#%d", plain, i)
	}
	return fmt.Sprintf("symbol %s+%#x", plain, addr-s.start)
}

// slot says what a relocation puts in its place.
func (h *codeHasher) slot(r Relocation) (string, error) {
	if r.Symbol > 0 && r.Symbol < len(h.names.dynamic) {
		if s := h.names.dynamic[r.Symbol]; s.Name != "" {
			return fmt.Sprintf("slot %d of %s@%s%+d", r.Type, s.Name, s.Version, r.Addend), nil
		}
	}
	switch r.Type {
	case elf.R_X86_64_RELATIVE, elf.R_X86_64_IRELATIVE:
		ref, err := h.refer(uint64(r.Addend), 0)
		return fmt.Sprintf("slot %d of %s", r.Type, ref), err
	case elf.R_X86_64_TPOFF64, elf.R_X86_64_TLSDESC, elf.R_X86_64_DTPOFF64:
		if s, ok := at(h.names.tls, uint64(r.Addend)); ok {
			return fmt.Sprintf("slot %d of %s", r.Type, h.named(s, uint64(r.Addend))), nil
		}
	case elf.R_X86_64_DTPMOD64:
		return "slot of this module", nil
	}
	return "", unclear("relocation of type %d at %#x", r.Type, r.Offset)
}

// contents is the digest of constant bytes, in which words that are relocated
// are replaced by what they refer to.
func (h *codeHasher) contents(addr uint64, size int) (string, error) {
	key := constant{addr, size}
	if text, ok := h.constants[key]; ok {
		return text, nil
	}
	text, err := h.digest(addr, size)
	if err == nil {
		h.constants[key] = text
	}
	return text, err
}

// digest is contents that are not known yet.
func (h *codeHasher) digest(addr uint64, size int) (string, error) {
	if h.left -= size; h.left < 0 {
		return "", unclear("more than %d bytes of constants", maxConstants)
	}
	data, err := h.names.lib.read(addr, uint64(size))
	if err != nil {
		return "no contents", nil // what only exists in memory is zero at first
	}
	digest := sha256.New()
	for i := 0; i < size; {
		r, ok := h.names.slots[addr+uint64(i)]
		if !ok || i+8 > size {
			digest.Write(data[i : i+1])
			i++
			continue
		}
		ref, err := h.slot(r)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(digest, "%d:%s", len(ref), ref)
		i += 8
	}
	return fmt.Sprintf("bytes %x", digest.Sum(nil)[:16]), nil
}

// unnamed says what an address refers to of which neither name nor size is
// known: a jump table of the function, a string, or some other constant.
func (h *codeHasher) unnamed(addr uint64) (string, error) {
	if h.left -= maxBlob; h.left < 0 {
		return "", unclear("more than %d bytes of constants", maxConstants)
	}
	if table := h.jumpTable(addr); len(table) > 1 {
		return fmt.Sprintf("table %q", table), nil
	}
	left, _, _ := h.names.lib.locate(addr)
	data, err := h.names.lib.read(addr, min(left, maxText))
	if err != nil {
		return "", err
	}
	end := bytes.IndexByte(data, 0)
	if end >= 0 && isText(data[:end]) {
		if end <= 1 && len(data) >= 4 && addr%4 == 0 {
			end = wideEnd(data)
		}
		h.left -= end
		return fmt.Sprintf("text %x", data[:end]), nil
	}
	size := min(maxBlob, uint64(len(data)), h.names.next(addr)-addr)
	return h.contents(addr, int(size))
}

// isText says whether bytes look like a string of a program.
func isText(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && (r < '\a' || r > '\r') && r != 0x1b })
}

// wideEnd is where the 32-bit string at the start of data ends, or the end of
// the 8-bit one if it is none.
func wideEnd(data []byte) int {
	for i := 0; i+4 <= len(data); i += 4 {
		switch c := le.Uint32(data[i:]); {
		case c == 0:
			return i
		case c > utf8.MaxRune:
			return bytes.IndexByte(data, 0)
		}
	}
	return bytes.IndexByte(data, 0)
}

// jumpTable reads a table of 32-bit offsets, counted from the table, as far as
// they lead to instructions of the function.
func (h *codeHasher) jumpTable(addr uint64) (labels []string) {
	for at := addr; len(labels) < maxTable; at += 4 {
		data, err := h.names.lib.read(at, 4)
		if err != nil {
			break
		}
		label, ok := h.label(addr + uint64(int64(int32(le.Uint32(data)))))
		if !ok {
			break
		}
		labels = append(labels, label)
	}
	h.left -= 4 * len(labels)
	return labels
}
