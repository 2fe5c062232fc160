package injector

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rseqConfiguration is struct ptrace_rseq_configuration (linux/ptrace.h).
type rseqConfiguration struct {
	area      uint64
	size      uint32
	signature uint32
	flags     uint32
	pad       uint32
}

// rseqArea gives the address of the struct rseq that a thread has registered, 0
// if it has none (PTRACE_GET_RSEQ_CONFIGURATION, Linux 5.13).
// Precondition: the thread is in a ptrace stop of this one.
func rseqArea(tid int) (uint64, error) {
	const getRseqConfiguration = 0x420f
	var c rseqConfiguration
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, getRseqConfiguration, uintptr(tid),
		unsafe.Sizeof(c), uintptr(unsafe.Pointer(&c)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return c.area, nil
}

// causedByCode says whether the signal that a thread is about to receive is the
// kernel's answer to what it has just executed (si_code of sigaction(2) is
// positive), not one that somebody has sent. Of signals that may be either, only
// those are meant that code can cause.
// Precondition: the thread is in a signal-delivery stop of this one.
func causedByCode(tid int) bool {
	var info [128]byte // siginfo_t: si_signo, si_errno, si_code
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GETSIGINFO, uintptr(tid), 0,
		uintptr(unsafe.Pointer(&info)), 0, 0)
	if errno != 0 {
		return false
	}
	switch unix.Signal(binary.LittleEndian.Uint32(info[:])) {
	case unix.SIGSEGV, unix.SIGBUS, unix.SIGILL, unix.SIGTRAP, unix.SIGFPE, unix.SIGSYS:
		return int32(binary.LittleEndian.Uint32(info[8:])) > 0
	}
	return false
}

// signalMask gives the signals that a thread has blocked: bit n-1 is signal n
// (PTRACE_GETSIGMASK, Linux 3.11).
// Precondition: the thread is in a ptrace stop of this one.
func signalMask(tid int) (uint64, error) {
	const getSignalMask = 0x420a
	var mask uint64
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, getSignalMask, uintptr(tid),
		unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return mask, nil
}

// seccompGetFilter reads a seccomp filter of a thread into program, as an array
// of struct sock_filter, and gives its number of instructions. The oldest filter
// is number 0; behind the last one the answer is ENOENT (PTRACE_SECCOMP_GET_FILTER,
// Linux 4.4; kernel/seccomp.c). EINVAL: the thread has none, or the kernel lacks
// CONFIG_CHECKPOINT_RESTORE; EACCES: CAP_SYS_ADMIN is needed, and to have no
// filter oneself.
// Preconditions: the thread is in a ptrace stop of this one, and program has
// room for BPF_MAXINSNS instructions.
func seccompGetFilter(tid, number int, program []byte) (int, error) {
	const getFilter = 0x420c
	n, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, getFilter, uintptr(tid), uintptr(number),
		uintptr(unsafe.Pointer(unsafe.SliceData(program))), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// wait4 takes what a task of this thread has to report, -1: any task, without
// waiting for it (wait4(2)); 0 if there is nothing. As all that is done while
// threads are held it does not let the scheduler give this thread's turn away.
func wait4(which int) (tid int, ws unix.WaitStatus, err error) {
	var status int32
	// __WNOTHREAD: the tasks of this thread only, never another tracer's.
	n, _, errno := unix.RawSyscall6(unix.SYS_WAIT4, uintptr(which), uintptr(unsafe.Pointer(&status)),
		unix.WNOHANG|unix.WALL|unix.WNOTHREAD, 0, 0, 0)
	if errno != 0 {
		return 0, 0, errno
	}
	return int(n), unix.WaitStatus(status), nil
}

// ptraceRegs makes PTRACE_GETREGS or PTRACE_SETREGS.
func ptraceRegs(request, tid int, r *unix.PtraceRegs) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), 0, uintptr(unsafe.Pointer(r)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func leUint64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func leBytes(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

// setSignalMask sets the signals that a stopped task blocks (PTRACE_SETSIGMASK).
func setSignalMask(tid int, mask uint64) error {
	const set = 0x420b
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, set, uintptr(tid),
		unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
