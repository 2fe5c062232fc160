package injector

// endsCall says whether the bytes can be the end of code whose last
// instruction is a call: call rel32 (e8), or call of a register or of what lies
// in memory (ff /2) in each of its lengths (Intel SDM volume 2, CALL). Prefixes
// before the opcode change nothing about the end.
func endsCall(code []byte) bool {
	n := len(code)
	if n >= 5 && code[n-5] == 0xe8 {
		return true
	}
	// Opcode and ModRM, then what the ModRM asks for.
	for _, length := range []int{2, 3, 4, 6, 7} {
		if n >= length && code[n-length] == 0xff && code[n-length+1]>>3&7 == 2 && operandLength(code[n-length+1:]) == length-1 {
			return true
		}
	}
	return false
}

// operandLength is the number of bytes of a ModRM byte, its SIB byte and its
// displacement (Intel SDM volume 2, table 2-2 and 2-3).
func operandLength(modrm []byte) int {
	mod, rm := modrm[0]>>6, modrm[0]&7
	n := 1
	if mod != 3 && rm == 4 {
		if n++; mod == 0 && len(modrm) > 1 && modrm[1]&7 == 5 {
			return n + 4
		}
	}
	switch {
	case mod == 1:
		n++
	case mod == 2, mod == 0 && rm == 5:
		n += 4
	}
	return n
}

// glibc keeps in each thread's control block, struct pthread, at the address
// that fs holds (sysdeps/x86_64/nptl/tls.h, nptl/descr.h):
const (
	tcbSelf = 0x10 // header.self: its own address, as at 0
	// tcbSize is more than struct pthread has, in bytes.
	tcbSize = 0x1000
)

// savedContext says whether a word at i of memory can be the program counter
// of a struct sigcontext_64, as in a signal frame: the flags follow, of which
// bit 1 is always set, then the code segment.
func savedContext(memory []byte, i int) bool {
	const flags, segment, reserved = framePC + 8 - framePC, frameCS - framePC, 0x2
	if i+segment+8 > len(memory) {
		return false
	}
	f := leUint64(memory[i+flags:])
	return f&reserved != 0 && f < 1<<22 && memory[i+segment] == userCode64 && memory[i+segment+1] == 0
}

// registerWords are the registers that can hold a return address: vfork's
// wrapper keeps it in one while the child uses the stack.
func (th *thread) registerWords() []uint64 {
	r := &th.regs
	return []uint64{
		r.Rax, r.Rbx, r.Rcx, r.Rdx, r.Rsi, r.Rdi, r.Rbp,
		r.R8, r.R9, r.R10, r.R11, r.R12, r.R13, r.R14, r.R15,
	}
}
