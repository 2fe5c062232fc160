package elfinfo

import (
	"bytes"

	"golang.org/x/arch/x86/x86asm"
)

// OpAVX stands for every instruction of VEX or EVEX encoding. None of them is a branch.
const OpAVX x86asm.Op = 0xffff

// The first byte of the two- and three-byte VEX prefix and of the EVEX prefix
// (Intel SDM volume 2, sections 2.3.5 and 2.7.1); in 64-bit mode nothing else
// begins with them.
const (
	vex2 = 0xc5
	vex3 = 0xc4
	evex = 0x62
)

func isAVX(b byte) bool { return b == vex2 || b == vex3 || b == evex }

// avxOpcode is where the opcode of an AVX instruction is and the opcode map
// that it is of; 0 if it is cut off or has a map that is not known.
func avxOpcode(b []byte) (at int, opcodeMap byte) {
	switch {
	case b[0] == vex2:
		at, opcodeMap = 2, 1
	case b[0] == vex3 && len(b) > 3 && b[1]&0x1f >= 1 && b[1]&0x1f <= 3:
		at, opcodeMap = 3, b[1]&0x1f
	case b[0] == evex && len(b) > 4 && b[1]&0x08 == 0 && b[2]&0x04 != 0 && bytes.IndexByte([]byte{1, 2, 3, 5, 6}, b[1]&7) >= 0:
		at, opcodeMap = 4, b[1]&7
	}
	if at >= len(b) {
		return 0, 0
	}
	return at, opcodeMap
}

// immediates are the opcodes of map 1 (0F) that have an 8-bit immediate; in map
// 3 (0F3A) all have one.
var immediates = []byte{0x70, 0x71, 0x72, 0x73, 0xc2, 0xc4, 0xc5, 0xc6}

// avxLength is the length of the AVX instruction at the start of b, 0 if it is
// cut off or not known.
func avxLength(b []byte) int {
	at, opcodeMap := avxOpcode(b)
	if at == 0 {
		return 0
	}
	n := at + 1
	if opcodeMap == 1 && b[at] == 0x77 { // vzeroupper and vzeroall have no ModRM byte
		return n
	}
	if n == len(b) {
		return 0
	}
	n += 1 + operandLength(b[n:])
	if opcodeMap == 3 || opcodeMap == 1 && bytes.IndexByte(immediates, b[at]) >= 0 {
		n++
	}
	if n > len(b) {
		return 0
	}
	return n
}

// operandLength is how many bytes of SIB and displacement belong to the ModRM
// byte that b begins with (Intel SDM volume 2, tables 2-2 and 2-3).
func operandLength(b []byte) int {
	mod, rm, n := b[0]>>6, b[0]&7, 0
	if mod == 3 {
		return 0
	}
	base := rm
	if rm == 4 {
		n = 1
		if len(b) > 1 {
			base = b[1] & 7
		}
	}
	switch {
	case mod == 1:
		return n + 1
	case mod == 2, base == 5:
		return n + 4
	}
	return n
}

// AVXDisplacement is where in an AVX instruction the 4-byte displacement of a
// rip-relative operand begins; 0 if it has none. The displacement counts from
// the end of the instruction and is not scaled (Intel SDM volume 2, section
// 2.7.5). code is one instruction as [Decode] delimits it.
func AVXDisplacement(code []byte) int {
	if len(code) == 0 || !isAVX(code[0]) {
		return 0
	}
	at, _ := avxOpcode(code)
	const mask, ripRelative = 0xc7, 0x05 // mod 00, r/m 101
	if at == 0 || len(code) < at+2+4 || code[at+1]&mask != ripRelative {
		return 0
	}
	return at + 2
}
