package elfinfo

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// codePart is a piece of a function: its body, or what the compiler moved away.
type codePart struct {
	start uint64
	code  []byte
	insts []codeInst
	place map[uint64]int // instruction by address, and the one after each NOP
}

// codeInst is one instruction that does something.
type codeInst struct {
	x86asm.Inst
	addr  uint64
	bytes []byte
}

// codeHasher normalises the code of one function. Instructions are written
// one by one: their bytes without addresses, then what each address refers to.
// Branches within the function go to the number of an instruction, so that
// neither padding nor the length of another branch matters.
type codeHasher struct {
	names *codeNames
	parts []*codePart
	out   hash.Hash
	order map[string][]uint64 // names that the compiler numbered: their addresses, as they come
	depth int
	left  int // bytes of constants that may still be read

	constants map[constant]string // digests
}

// constant is a constant that code refers to.
type constant struct {
	addr uint64
	size int
}

// maxConstants bounds the constants that are read for one function, in bytes.
const maxConstants = 1 << 20

// maxParts bounds the parts that a function has.
const maxParts = 64

// codeError says why code cannot be normalised.
type codeError struct{ reason string }

func (e *codeError) Error() string { return e.reason }

func unclear(format string, args ...any) error {
	return &codeError{fmt.Sprintf(format, args...)}
}

// hash is [Function.Code] of a function, or why there is none.
func (n *codeNames) hash(f *Function) (string, error) {
	h := &codeHasher{names: n, out: sha256.New(), order: make(map[string][]uint64), left: maxConstants, constants: make(map[constant]string)}
	if err := h.add(f.Address, f.Bytes); err != nil {
		return "", err
	}
	if err := h.addParts(); err != nil {
		return "", err
	}
	for i, p := range h.parts {
		h.write("part %d", i)
		for _, inst := range p.insts {
			if err := h.inst(inst); err != nil {
				return "", fmt.Errorf("at %#x: %w", inst.addr, err)
			}
		}
	}
	return hex.EncodeToString(h.out.Sum(nil)), nil
}

// write adds one token; the length keeps tokens apart.
func (h *codeHasher) write(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	fmt.Fprintf(h.out, "%d:%s", len(s), s)
}

// add decodes a part. What follows the last instruction that ends a path is
// padding if it is int3.
func (h *codeHasher) add(start uint64, code []byte) error {
	p := &codePart{start: start, code: code, place: make(map[uint64]int)}
	var skipped []uint64
	for pos := 0; pos < len(code); {
		if bytes.Count(code[pos:], []byte{0xcc}) == len(code)-pos {
			break
		}
		inst, ok := Decode(code[pos:])
		if !ok {
			return unclear("+%#x is no known instruction (% x)", pos, code[pos:min(pos+4, len(code))])
		}
		at := start + uint64(pos)
		raw := code[pos : pos+inst.Len]
		pos += inst.Len
		if isNop(inst, raw) {
			skipped = append(skipped, at)
			continue
		}
		for _, a := range append(skipped, at) {
			p.place[a] = len(p.insts)
		}
		skipped = nil
		p.insts = append(p.insts, codeInst{inst, at, raw})
	}
	h.parts = append(h.parts, p)
	return nil
}

// isNop says whether an instruction does nothing. A landing pad (endbr64) does.
func isNop(inst x86asm.Inst, raw []byte) bool {
	if bytes.HasSuffix(raw, endbr64) {
		return false
	}
	return inst.Op == x86asm.NOP || inst.Op == x86asm.XCHG && inst.Args[0] == inst.Args[1] && inst.Args[0] == x86asm.AX
}

// addParts adds the functions NAME.cold and NAME.part.0 that the parts known
// so far branch to or call, in this order.
func (h *codeHasher) addParts() error {
	own := h.names.aliases(h.parts[0].start)
	for i := 0; i < len(h.parts); i++ {
		for _, inst := range h.parts[i].insts {
			target, ok := branchTarget(inst)
			if !ok || h.inside(target) {
				continue
			}
			s, found := at(h.names.all, target)
			if !found || !isPartOf(own, s.name) {
				continue
			}
			if len(h.parts) == maxParts || s.end-s.start > maxFunction {
				return unclear("more than %d parts", maxParts)
			}
			code, err := h.names.lib.read(s.start, s.end-s.start)
			if err != nil {
				return err
			}
			if err := h.add(s.start, code); err != nil {
				return err
			}
		}
	}
	return nil
}

// isPartOf says whether name is NAME.cold, NAME.part.0 and the like of one of the names.
func isPartOf(own []string, name string) bool {
	return slices.ContainsFunc(own, func(o string) bool {
		rest, ok := strings.CutPrefix(name, o+".")
		return ok && slices.ContainsFunc(strings.Split(rest, "."), func(word string) bool {
			return word == "cold" || word == "part"
		})
	})
}

// branchTarget is the address that a direct branch or call leads to.
func branchTarget(inst codeInst) (uint64, bool) {
	br, ok := directBranch(inst.Inst, 0)
	return inst.addr + uint64(br.to), ok
}

// label names an instruction of the function by its number.
func (h *codeHasher) label(addr uint64) (string, bool) {
	for i, p := range h.parts {
		if n, ok := p.place[addr]; ok {
			return fmt.Sprintf("inst %d.%d", i, n), true
		}
	}
	return "", false
}

// within names a place in an instruction: libc jumps over a LOCK prefix.
func (h *codeHasher) within(addr uint64) (string, bool) {
	for i, p := range h.parts {
		n, _ := slices.BinarySearchFunc(p.insts, addr, func(inst codeInst, addr uint64) int { return cmp.Compare(inst.addr, addr) })
		if n > 0 && addr-p.insts[n-1].addr < uint64(p.insts[n-1].Len) {
			return fmt.Sprintf("inst %d.%d+%d", i, n-1, addr-p.insts[n-1].addr), true
		}
	}
	return "", false
}

// inside says whether an address is in the function, whatever is there.
func (h *codeHasher) inside(addr uint64) bool {
	return slices.ContainsFunc(h.parts, func(p *codePart) bool {
		return addr >= p.start && addr-p.start < uint64(len(p.code))
	})
}

// inst writes one instruction.
func (h *codeHasher) inst(inst codeInst) error {
	if target, ok := branchTarget(inst); ok {
		ref, err := h.code(target)
		h.write("%v %s", inst.Op, ref)
		return err
	}
	if r, relocated := h.relocated(inst); relocated {
		return unclear("relocation of the code at %#x", r)
	}
	off := inst.PCRelOff
	if inst.Op == OpAVX {
		off = AVXDisplacement(inst.bytes)
	} else if inst.PCRel != 4 {
		off = 0
	}
	if off == 0 {
		return h.plain(inst)
	}
	target := inst.addr + uint64(inst.Len) + uint64(int64(int32(le.Uint32(inst.bytes[off:]))))
	h.write("%x____%x", inst.bytes[:off], inst.bytes[off+4:])
	ref, err := h.refer(target, accessSize(inst))
	h.write("%s", ref)
	return err
}

// relocated says whether a relocation changes the instruction.
func (h *codeHasher) relocated(inst codeInst) (uint64, bool) {
	if !h.names.textRelocations {
		return 0, false
	}
	for a := inst.addr - 7; a != inst.addr+uint64(inst.Len); a++ {
		if _, ok := h.names.slots[a]; ok {
			return a, true
		}
	}
	return 0, false
}

// plain writes an instruction without relative operand. In a program at a
// fixed address, immediates and displacements can be addresses as well.
func (h *codeHasher) plain(inst codeInst) error {
	if h.names.lib.header.Type != elf.ET_EXEC {
		h.write("%x", inst.bytes)
		return nil
	}
	raw := bytes.Clone(inst.bytes)
	var refs []string
	for _, arg := range inst.Args {
		var value uint64
		switch a := arg.(type) {
		case x86asm.Imm:
			value = uint64(a)
		case x86asm.Mem:
			value = uint64(a.Disp)
		default:
			continue
		}
		i := bytes.LastIndex(raw, le.AppendUint32(nil, uint32(value)))
		if _, _, ok := h.names.lib.locate(value); !ok || i < 1 {
			continue
		}
		ref, err := h.refer(value, 0)
		if err != nil {
			return err
		}
		copy(raw[i:], "____")
		refs = append(refs, ref)
	}
	h.write("%x %s", raw, strings.Join(refs, " "))
	return nil
}

// accessSize is how many bytes an instruction reads at its memory operand; 0
// if it only takes the address, or the size is not known.
func accessSize(inst codeInst) int {
	if inst.Op != OpAVX {
		if inst.Op == x86asm.LEA {
			return 0
		}
		return cmp.Or(inst.MemBytes, 8)
	}
	opAt, opcodeMap := avxOpcode(inst.bytes)
	op, width, pp := inst.bytes[opAt], 16, byte(0)
	switch b := inst.bytes; b[0] {
	case vex2:
		width, pp = 16<<(b[1]>>2&1), b[1]&3
	case vex3:
		width, pp = 16<<(b[2]>>2&1), b[2]&3
	case evex:
		width, pp = 16<<(b[3]>>5&3), b[2]&3
	}
	scalar := op == 0x10 || op == 0x2a || op == 0x2c || op == 0x2d || op == 0x51 || op >= 0x58 && op <= 0x5f
	switch {
	case opcodeMap == 1 && scalar && pp == 2:
		return 4
	case opcodeMap == 1 && scalar && pp == 3, opcodeMap == 1 && (op == 0x2e || op == 0x2f):
		return 8
	}
	return min(width, 64)
}
