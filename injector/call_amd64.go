package injector

import (
	"encoding/binary"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

// The registers of the instruction encoding that a system call does not take.
const (
	rbx, rsp, rbp      = 3, 4, 5
	r12, r13, r14, r15 = 12, 13, 14, 15
)

// callCodeSize is the room that a stub calling n functions needs, in bytes.
func callCodeSize(n int) uint64 { return 768 + 80*uint64(n) }

// A callStub is code that calls functions. Offsets count from its start.
type callStub struct {
	code []byte
	// calls are the system calls that it makes itself.
	calls []remoteCall
	// saved is where the thread's state is saved, restore where it is put back,
	// whatever happened in between, and leave where only the signal mask and the
	// registers of system calls are left to restore.
	saved, restore, leave uint64
}

// assembleCalls gives the stub for a workplace: save the vector, x87 and other
// extended state, block signals, call the functions one after the other on the
// workplace's stack with the state that the psABI promises to a function (3.2.3:
// direction flag clear, x87 empty, default control words, stack aligned to 16),
// store what each returns and count them, restore everything and go on at resume. What is to be restored is in the code or in the workplace,
// never on the thread's own stack; and while the thread's own signal mask is in
// force, so is its stack.
func assembleCalls(w *workplace, functions []remoteFunction, resume *unix.PtraceRegs) callStub {
	const setMask = 2 // SIG_SETMASK
	const cleanFlags = 0x202
	s := callStub{calls: []remoteCall{
		{number: unix.SYS_RT_SIGPROCMASK, args: [6]uint64{setMask, w.word(wordBlocked), 0, 8}},
		{number: unix.SYS_RT_SIGPROCMASK, args: [6]uint64{setMask, w.word(wordMask), 0, 8}},
	}}
	code := appendState(nil, w.state(), saveState)
	s.saved = uint64(len(code))
	code = appendCall(code, s.calls[0])
	code = appendFlags(code, w.stackTop(), cleanFlags)
	code = append(code, 0xdb, 0xe3) // fninit
	code = appendMove(code, rcx, w.word(wordMXCSR))
	code = append(code, 0x0f, 0xae, 0x11) // ldmxcsr (%rcx)
	code = appendMove(code, rbp, 0)       // the end of a chain of frames
	for i, f := range functions {
		code = appendFunction(code, f)
		code = appendMove(code, rcx, w.word(wordResults+i))
		code = append(code, 0x48, 0x89, 0x01) // mov %rax,(%rcx)
		code = appendMove(code, rcx, w.word(wordReturned))
		code = append(code, 0x48, 0xff, 0x01) // incq (%rcx)
	}
	s.restore = uint64(len(code))
	code = appendState(code, w.state(), restoreState)
	code = appendFlags(code, w.stackTop(), uint32(resume.Eflags))
	for _, r := range []struct {
		register byte
		value    uint64
	}{
		{rbx, resume.Rbx}, {rbp, resume.Rbp}, {r12, resume.R12}, {r13, resume.R13}, {r14, resume.R14}, {r15, resume.R15},
		{rsp, resume.Rsp},
	} {
		code = appendMove(code, r.register, r.value)
	}
	s.leave = uint64(len(code))
	code = appendCall(code, s.calls[1])
	s.code = appendReturn(code, resume)
	return s
}

// appendFunction appends a call with up to three arguments.
func appendFunction(code []byte, f remoteFunction) []byte {
	for i, r := range []byte{rdi, rsi, rdx} {
		code = appendMove(code, r, f.args[i])
	}
	code = appendMove(code, rax, f.address)
	return append(code, 0xff, 0xd0) // call *%rax
}

// appendFlags appends what sets the flags, by way of a stack that is empty.
func appendFlags(code []byte, stack uint64, flags uint32) []byte {
	code = appendMove(code, rsp, stack)
	code = append(code, 0x68) // push $flags
	code = binary.LittleEndian.AppendUint32(code, flags)
	return append(code, 0x9d) // popf
}

// What the reg field of 0F AE makes of it (Intel SDM volume 2): XSAVE64 and
// XRSTOR64, which take the components to treat in edx:eax, or where there is no
// XSAVE, FXSAVE64 and FXRSTOR64.
const (
	saveState    = 0x27
	restoreState = 0x2f
	legacy       = 0x20
)

// appendState appends what saves or restores all of a thread's extended state
// that its kernel has enabled, at an address that is a multiple of 64. It
// changes rax, rdx and rdi.
func appendState(code []byte, address uint64, operation byte) []byte {
	if !cpu.X86.HasOSXSAVE {
		operation -= legacy
	}
	const all = 1<<32 - 1
	code = appendMove(code, rax, all)
	code = appendMove(code, rdx, all)
	code = appendMove(code, rdi, address)
	return append(code, 0x48, 0x0f, 0xae, operation)
}
