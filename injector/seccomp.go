package injector

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A seccompFilter is one program that the kernel runs for each system call of a
// thread (seccomp(2)), decoded for a machine of our own.
type seccompFilter struct{ vm *bpf.VM }

// A seccompCall is what a filter is asked about: struct seccomp_data of
// include/uapi/linux/seccomp.h, for a 64-bit call.
type seccompCall struct {
	number uint32
	// pointer is the address behind the syscall instruction.
	pointer uint64
	args    [6]uint64
}

// seccompWord is the size of an instruction in memory, struct sock_filter, and
// seccompMost how many a program has at most (BPF_MAXINSNS).
const (
	seccompWord = 8
	seccompMost = 4096
)

// errFilter: a program that the kernel would not have taken, or that uses what
// the two machines do in different ways.
var errFilter = errors.New("not a filter that is understood")

// decodeFilter decodes a program, an array of struct sock_filter in host byte
// order. It takes what the kernel takes (kernel/seccomp.c,
// seccomp_check_filter, and net/core/filter.c, bpf_check_classic) and computes
// in the same way, and nothing else: not shifts by a register, which wrap in
// the kernel, nor negation, which our machine lacks. No compiler of filters
// makes either.
func decodeFilter(program []byte) (seccompFilter, error) {
	n := len(program) / seccompWord
	if n == 0 || n > seccompMost || len(program)%seccompWord != 0 {
		return seccompFilter{}, fmt.Errorf("%d bytes: %w", len(program), errFilter)
	}
	code := make([]bpf.Instruction, n)
	for i := range code {
		at := program[i*seccompWord:]
		raw := bpf.RawInstruction{
			Op: binary.LittleEndian.Uint16(at), Jt: at[2], Jf: at[3], K: binary.LittleEndian.Uint32(at[4:]),
		}
		code[i] = raw.Disassemble()
		// Back again: a length for the index register is taken for one for the accumulator.
		if same, err := code[i].Assemble(); err != nil || same != raw || !understood(code[i]) {
			return seccompFilter{}, fmt.Errorf("instruction %d, %v: %w", i, code[i], errFilter)
		}
	}
	vm, err := bpf.NewVM(code)
	if err != nil {
		return seccompFilter{}, fmt.Errorf("%w: %w", errFilter, err)
	}
	return seccompFilter{vm}, nil
}

// understood says whether our machine and the kernel's do the same for an
// instruction in a filter of system calls.
func understood(in bpf.Instruction) bool {
	switch in := in.(type) {
	case bpf.LoadAbsolute:
		return in.Size == 4 && in.Off%4 == 0 && in.Off < seccompDataSize
	case bpf.LoadExtension:
		return in.Num == bpf.ExtLen
	case bpf.ALUOpConstant:
		return in.Op != bpf.ALUOpShiftLeft && in.Op != bpf.ALUOpShiftRight || in.Val < 32
	case bpf.ALUOpX:
		return in.Op != bpf.ALUOpShiftLeft && in.Op != bpf.ALUOpShiftRight
	case bpf.LoadConstant, bpf.LoadScratch, bpf.StoreScratch, bpf.Jump, bpf.JumpIf, bpf.JumpIfX,
		bpf.RetA, bpf.RetConstant, bpf.TAX, bpf.TXA:
		return true
	}
	return false
}

// answer is what a filter returns for a call: a SECCOMP_RET_ value with its data.
func (f seccompFilter) answer(c seccompCall) (uint32, error) {
	data := c.encode()
	r, err := f.vm.Run(data[:])
	return uint32(r), err
}

const (
	seccompDataSize = 64
	auditArchX86_64 = 0xc000003e // AUDIT_ARCH_X86_64 of include/uapi/linux/audit.h
)

// encode renders struct seccomp_data. A filter loads 32-bit words of it in host
// byte order; our machine, made for packets, loads them big-endian: so each
// word is.
func (c seccompCall) encode() [seccompDataSize]byte {
	var data [seccompDataSize]byte
	binary.BigEndian.PutUint32(data[0:], c.number)
	binary.BigEndian.PutUint32(data[4:], auditArchX86_64)
	for i, v := range append([]uint64{c.pointer}, c.args[:]...) {
		binary.BigEndian.PutUint32(data[8+8*i:], uint32(v)) // the lower half comes first
		binary.BigEndian.PutUint32(data[12+8*i:], uint32(v>>32))
	}
	return data
}

// The parts of a filter's answer, and the answers that let a call be made
// (include/uapi/linux/seccomp.h).
const (
	seccompAction = 0xffff0000
	seccompData   = 0x0000ffff
	seccompAllow  = 0x7fff0000
	seccompLog    = 0x7ffc0000
)

// allows says whether a call is made, and nothing else happens than that it may
// be logged. The kernel takes the strictest of all filters' answers.
func allows(answer uint32) bool {
	a := answer & seccompAction
	return a == seccompAllow || a == seccompLog
}

// describeAnswer says in words what a filter does with a call that it does not
// allow.
func describeAnswer(answer uint32) string {
	switch answer & seccompAction {
	case 0x80000000:
		return "by ending the process"
	case 0x00000000:
		return "by ending the thread"
	case 0x00030000:
		return "with SIGSYS"
	case 0x00050000:
		if name := unix.ErrnoName(unix.Errno(answer & seccompData)); name != "" {
			return "with " + name
		}
		return fmt.Sprintf("with error %d", answer&seccompData)
	case 0x7fc00000:
		return "by asking another process"
	case 0x7ff00000:
		return "by asking its tracer"
	}
	return fmt.Sprintf("with %#x", answer)
}

// callName is the name of a system call that is made in a target.
func callName(number uint32) string {
	switch number {
	case unix.SYS_MMAP:
		return "mmap"
	case unix.SYS_MPROTECT:
		return "mprotect"
	case unix.SYS_RT_SIGPROCMASK:
		return "rt_sigprocmask"
	case unix.SYS_RESTART_SYSCALL:
		return "restart_syscall"
	}
	return fmt.Sprintf("system call %d", number)
}
