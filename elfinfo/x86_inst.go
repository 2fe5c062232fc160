package elfinfo

import (
	"slices"

	"golang.org/x/arch/x86/x86asm"
)

// endbr64 is the landing pad of indirect branches (Intel CET).
var endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}

// Decode decodes the instruction at the start of b, for 64-bit mode. It is
// x86asm.Decode, which may not panic here, may not return a bare prefix, and
// knows the hint NOPs of CET (endbr64, rdsspq), which x86asm takes for a lone
// REP. Of an AVX instruction it tells the length alone (the Op is [OpAVX]):
// x86asm does not know all of them, and takes bytes behind a vzeroupper for a part of it.
func Decode(b []byte) (inst x86asm.Inst, ok bool) {
	if n := hintNop(b); n > 0 {
		return x86asm.Inst{Op: x86asm.NOP, Len: n, Mode: 64}, true
	}
	if len(b) > 0 && isAVX(b[0]) {
		n := avxLength(b)
		return x86asm.Inst{Op: OpAVX, Len: n, Mode: 64}, n > 0
	}
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	inst, err := x86asm.Decode(b, 64)
	return inst, err == nil && inst.Op != 0 && inst.Len > 0 && inst.Len <= len(b) &&
		!slices.ContainsFunc(inst.Prefix[:], isVex)
}

// hintNop is the length of f3 [rex] 0f 1e with a register operand, 0 if b does not start with one.
func hintNop(b []byte) int {
	if len(b) < 4 || b[0] != 0xf3 {
		return 0
	}
	i := 1
	if b[i]&0xf0 == 0x40 {
		i++
	}
	if len(b) < i+3 || b[i] != 0x0f || b[i+1] != 0x1e || b[i+2]&0xc0 != 0xc0 {
		return 0
	}
	return i + 3
}

// branch is a direct branch, as offsets from the start of the code.
type branch struct {
	from, to int64
	call     bool
}

// directBranch returns the branch that the instruction at offset at makes.
func directBranch(inst x86asm.Inst, at int) (branch, bool) {
	rel, ok := inst.Args[0].(x86asm.Rel)
	if !ok {
		return branch{}, false
	}
	return branch{from: int64(at), to: int64(at) + int64(inst.Len) + int64(rel), call: inst.Op == x86asm.CALL}, true
}

// distrust is how far the linear decoding is not relied on after bytes that
// could not be decoded: by then it is in step again.
const distrust = 64

// branches visits the direct branches of code until visit returns false. It
// decodes from the start. After bytes that do not decode, everything that
// could be a branch counts as one for a while, so that none is hidden.
func branches(code []byte, visit func(branch) bool) {
	scanned := 0
	for pos := 0; pos < len(code); {
		inst, ok := Decode(code[pos:])
		if !ok {
			end := min(pos+distrust, len(code))
			for i := max(pos, scanned); i < end; i++ {
				if br, ok := possibleBranch(code, i); ok && !visit(br) {
					return
				}
			}
			scanned = end
			pos++
			continue
		}
		if br, ok := directBranch(inst, pos); ok && !visit(br) {
			return
		}
		pos += inst.Len
	}
}

// possibleBranch takes the bytes at offset at for a branch if they can be one.
func possibleBranch(code []byte, at int) (branch, bool) {
	b := code[at:]
	short := func(n int) (branch, bool) {
		if len(b) < n {
			return branch{}, false
		}
		return branch{from: int64(at), to: int64(at+n) + int64(int8(b[n-1]))}, true
	}
	near := func(n int, call bool) (branch, bool) {
		if len(b) < n {
			return branch{}, false
		}
		return branch{from: int64(at), to: int64(at+n) + int64(int32(le.Uint32(b[n-4:]))), call: call}, true
	}
	switch c := b[0]; {
	case c >= 0x70 && c <= 0x7f, c == 0xeb, c >= 0xe0 && c <= 0xe3:
		return short(2)
	case c == 0xe8 || c == 0xe9:
		return near(5, c == 0xe8)
	case len(b) > 1 && (c == 0x0f && b[1]&0xf0 == 0x80 || c == 0xc7 && b[1] == 0xf8):
		return near(6, false)
	}
	return branch{}, false
}

// isTerminator says whether control never goes on after the instruction.
func isTerminator(op x86asm.Op) bool {
	return slices.Contains([]x86asm.Op{x86asm.JMP, x86asm.LJMP, x86asm.RET, x86asm.LRET, x86asm.IRET,
		x86asm.IRETD, x86asm.IRETQ, x86asm.UD0, x86asm.UD1, x86asm.UD2, x86asm.HLT, x86asm.SYSRET, x86asm.SYSEXIT}, op)
}

// immovable says why the instruction cannot run at another address after its
// displacement (8 or 32 bits, relative to the instruction pointer) is
// adjusted; "" if it can.
func immovable(inst x86asm.Inst) string {
	switch inst.Op {
	case x86asm.LOOP, x86asm.LOOPE, x86asm.LOOPNE, x86asm.JCXZ, x86asm.JECXZ, x86asm.JRCXZ:
		return "has a loop or jrcxz instruction, which has no long form"
	case x86asm.CALL:
		// It can be done by hand, so that it returns to where unwinders know
		// the frame, if its operand does not depend on the stack pointer.
		mem, _ := inst.Args[0].(x86asm.Mem)
		if !isRelative(inst) && mem.Base != x86asm.RIP {
			return "has a call through a pointer"
		}
	case x86asm.XBEGIN:
		return "has an xbegin instruction"
	case x86asm.INT:
		if inst.Len == 1 {
			return "has a breakpoint (int3, perhaps a uprobe)"
		}
	}
	if isRelative(inst) && slices.ContainsFunc(inst.Prefix[:], isDataSize) {
		return "has a branch with an operand-size prefix"
	}
	for _, arg := range inst.Args {
		mem, ok := arg.(x86asm.Mem)
		if ok && (mem.Base == x86asm.EIP || mem.Base == x86asm.RIP && inst.PCRel != 4) {
			return "has an unusual instruction-relative operand"
		}
	}
	return ""
}

// isRelative says whether the instruction is a relative jump or call.
func isRelative(inst x86asm.Inst) bool {
	_, ok := inst.Args[0].(x86asm.Rel)
	return ok
}

func isDataSize(p x86asm.Prefix) bool { return p&0xff == 0x66 }

// isVex says whether a prefix starts a VEX (c4, c5) or EVEX (62) encoding.
func isVex(p x86asm.Prefix) bool {
	return p&0xff == 0xc4 || p&0xff == 0xc5 || p&0xff == 0x62
}
