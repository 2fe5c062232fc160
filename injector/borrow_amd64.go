package injector

import (
	"encoding/binary"
	"math"

	"golang.org/x/sys/unix"
)

// A remoteCall is one system call that a borrowed thread makes.
type remoteCall struct {
	number uint32
	args   [6]uint64
	// want is the only result that counts as success.
	want uint64
}

// stubMagic stands before a stub, so that one left behind by an injector that
// was killed is recognised. Nothing executes it.
const stubMagic = "LPSTUB\x00\x01"

// stubAlign is what the address of a stub is a multiple of.
const stubAlign = 8

// stubSize is the room that a stub with n calls needs, in bytes: at most 80 for
// each, and 128 for the magic, the registers and the jump.
func stubSize(n int) int { return 128 + 80*n }

// assembleStub gives position-independent code that makes the calls one after
// the other, stops at the first that has another result than wanted, puts every
// register back as resume has it, and jumps to resume.Rip. It needs no memory
// and no stack, and changes no flag: everything is an immediate, and the test
// is made with lea and jrcxz. System calls clobber rax, rcx and r11 only
// (x86-64 psABI, appendix A.2.1); flags survive in r11.
func assembleStub(calls []remoteCall, resume *unix.PtraceRegs) []byte {
	var code []byte
	var leave []int // where the jumps to the end have their displacement
	for _, c := range calls {
		code = appendCall(code, c)
		code = append(code, 0xe3, 0x05, 0xe9) // jrcxz over the jump to the end
		leave = append(leave, len(code))
		code = append(code, 0, 0, 0, 0)
	}
	for _, at := range leave {
		binary.LittleEndian.PutUint32(code[at:], uint32(len(code)-at-4))
	}
	return appendReturn(code, resume)
}

// appendCall appends a system call, after which rcx is zero if the result is
// the one wanted.
func appendCall(code []byte, c remoteCall) []byte {
	code = appendSyscall(code, c)
	code = appendMove(code, rcx, -c.want)
	return append(code, 0x48, 0x8d, 0x0c, 0x08) // lea (%rax,%rcx),%rcx
}

// appendSyscall appends a system call alone.
func appendSyscall(code []byte, c remoteCall) []byte {
	for i, r := range []byte{rdi, rsi, rdx, r10, r8, r9} {
		code = appendMove(code, r, c.args[i])
	}
	code = appendMove(code, rax, uint64(c.number))
	return append(code, 0x0f, 0x05) // syscall
}

// appendReturn appends what puts every register back that a system call takes
// or clobbers, and the jump to resume.Rip. The address to jump to is read at a
// multiple of 8, where the code begins at one: a thread may have asked for a
// signal if it reads anywhere else (the flag AC; Intel SDM volume 3, 7.15,
// exception 17).
func appendReturn(code []byte, resume *unix.PtraceRegs) []byte {
	for _, s := range []struct {
		register byte
		value    uint64
	}{
		{rdi, resume.Rdi}, {rsi, resume.Rsi}, {rdx, resume.Rdx}, {r10, resume.R10}, {r8, resume.R8},
		{r9, resume.R9}, {rax, resume.Rax}, {rcx, resume.Rcx}, {r11, resume.R11},
	} {
		code = appendMove(code, s.register, s.value)
	}
	const jump = 6
	pad := -(len(code) + jump) & (stubAlign - 1)
	code = append(code, 0xff, 0x25, byte(pad), 0, 0, 0) // jmp *pad(%rip)
	code = append(code, make([]byte, pad)...)
	return binary.LittleEndian.AppendUint64(code, resume.Rip)
}

// Register numbers of the instruction encoding.
const rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11 = 0, 1, 2, 6, 7, 8, 9, 10, 11

// appendMove appends `mov $value,%register`, in its short form where the upper
// half is zero; neither form changes flags.
func appendMove(code []byte, register byte, value uint64) []byte {
	if value <= math.MaxUint32 {
		if register >= r8 {
			code = append(code, 0x41)
		}
		code = append(code, 0xb8+register&7)
		return binary.LittleEndian.AppendUint32(code, uint32(value))
	}
	code = append(code, 0x48+register>>3, 0xb8+register&7)
	return binary.LittleEndian.AppendUint64(code, value)
}

// What the kernel leaves in rax of a system call that a stop has interrupted
// (include/linux/errno.h); user space never sees them.
const (
	restartSys   = -512 // ERESTARTSYS
	restartNoInt = -513 // ERESTARTNOINTR
	restartNoHnd = -514 // ERESTARTNOHAND
	restartBlock = -516 // ERESTART_RESTARTBLOCK
)

// afterStub gives the registers with which a thread goes on after a stub, from
// those with which it stopped. The kernel's own way to restart an interrupted
// system call (arch/x86/kernel/signal.c, arch_do_signal_or_restart) does not
// take place when the thread is sent elsewhere, so it is done here.
func afterStub(stopped *unix.PtraceRegs) unix.PtraceRegs {
	r := *stopped
	if int64(r.Orig_rax) < 0 {
		return r
	}
	switch int64(r.Rax) {
	case restartSys, restartNoInt, restartNoHnd:
		r.Rax = r.Orig_rax
		r.Rip -= 2 // len(syscall)
	case restartBlock:
		r.Rax = unix.SYS_RESTART_SYSCALL
		r.Rip -= 2
	}
	return r
}

// restarts says whether the kernel will make a stopped thread execute its
// system call again, or may: that depends on the signals that it then finds.
func restarts(r *unix.PtraceRegs) bool {
	if int64(r.Orig_rax) < 0 {
		return false
	}
	switch int64(r.Rax) {
	case restartSys, restartNoInt, restartNoHnd, restartBlock:
		return true
	}
	return false
}

// restartable are the system calls that answer EINTR to a mere stop, because
// the kernel does not restart them by itself, and that have done nothing when
// they do: docs/injector-syscalls.md goes through them.
var restartable = map[uint64]bool{
	unix.SYS_EPOLL_WAIT: true, unix.SYS_EPOLL_PWAIT: true, unix.SYS_EPOLL_PWAIT2: true,
	unix.SYS_SEMOP: true, unix.SYS_SEMTIMEDOP: true, unix.SYS_RT_SIGTIMEDWAIT: true,
	unix.SYS_IO_GETEVENTS: true, unix.SYS_IO_PGETEVENTS: true, unix.SYS_IO_URING_ENTER: true,
	// Whatever they have moved they answer, so EINTR means nothing.
	unix.SYS_READ: true, unix.SYS_READV: true, unix.SYS_PREAD64: true, unix.SYS_PREADV: true, unix.SYS_PREADV2: true,
	unix.SYS_WRITE: true, unix.SYS_WRITEV: true, unix.SYS_PWRITE64: true, unix.SYS_PWRITEV: true, unix.SYS_PWRITEV2: true,
	unix.SYS_RECVFROM: true, unix.SYS_RECVMSG: true, unix.SYS_RECVMMSG: true,
	unix.SYS_SENDTO: true, unix.SYS_SENDMSG: true, unix.SYS_SENDMMSG: true,
	unix.SYS_SENDFILE: true, unix.SYS_SPLICE: true, unix.SYS_TEE: true, unix.SYS_VMSPLICE: true,
	// A connection on its way is waited for, also when it is asked for again.
	unix.SYS_ACCEPT: true, unix.SYS_ACCEPT4: true, unix.SYS_CONNECT: true,
	// Where the timeout can't be written back.
	unix.SYS_SELECT: true, unix.SYS_PSELECT6: true, unix.SYS_PPOLL: true,
	// A lock that is held already may be asked for once more.
	unix.SYS_FLOCK: true,
}

// hideStop turns the EINTR that our stop caused into ERESTARTNOHAND: the kernel
// then restarts the call, unless a signal handler runs, and then it is EINTR as
// it would have been. That is so, too, for a thread that is about to receive a
// signal: one that is ignored arrives only because the thread is traced. It
// reports whether it changed anything.
func hideStop(r *unix.PtraceRegs) bool {
	if int64(r.Rax) != -int64(unix.EINTR) || int64(r.Orig_rax) < 0 || r.Cs != userCode64 || !restartable[r.Orig_rax] {
		return false
	}
	noHandler := int64(restartNoHnd)
	r.Rax = uint64(noHandler)
	return true
}

// waitsOn says whether the kernel will go on with a stopped thread's system call
// by restart_syscall(2).
func waitsOn(r *unix.PtraceRegs) bool {
	return int64(r.Orig_rax) >= 0 && int64(r.Rax) == restartBlock && r.Cs == userCode64
}

// beginAnew has the kernel make the call itself again instead.
func beginAnew(r *unix.PtraceRegs) {
	noHandler := int64(restartNoHnd)
	r.Rax = uint64(noHandler)
}

// giveUpWait has the kernel begin a wait anew, of which it does not know any
// more how to go on. Where that was a restart itself, the call is not known: then
// it ends as if a signal's handler had run.
func giveUpWait(r *unix.PtraceRegs) {
	if r.Orig_rax != unix.SYS_RESTART_SYSCALL {
		beginAnew(r)
		return
	}
	interrupted := -int64(unix.EINTR)
	r.Rax = uint64(interrupted)
}

// getRegisters and setRegisters read and write the registers of a stopped thread
// in the form of 64-bit code, whichever code it executes (PTRACE_GETREGS). What
// goes by the size of the thread's code (PTRACE_GETREGSET, as unix.PtraceGetRegs
// asks for) leaves most of them as they were for a thread in 32-bit code.
func getRegisters(tid int, r *unix.PtraceRegs) error {
	return ptraceRegs(unix.PTRACE_GETREGS, tid, r)
}

func setRegisters(tid int, r *unix.PtraceRegs) error {
	return ptraceRegs(unix.PTRACE_SETREGS, tid, r)
}

// userCode64 is the code segment of 64-bit user code (__USER_CS).
const userCode64 = 0x33

// inStub sends a thread into a stub at address.
func inStub(r unix.PtraceRegs, address uint64) unix.PtraceRegs {
	r.Rip = address
	r.Orig_rax = math.MaxUint64 // -1: not in a system call, nothing to restart
	return r
}
