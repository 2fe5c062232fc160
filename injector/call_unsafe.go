package injector

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The register sets of elf.h that matter to a call.
const (
	regsetXState      = 0x202 // NT_X86_XSTATE
	regsetShadowStack = 0x204 // NT_X86_SHSTK, Linux 6.6
)

// maxRegset bounds the size of a register set in bytes.
const maxRegset = 64 << 10

// regsetSize gives the size of a register set of a stopped thread in bytes, 0
// if it has none (PTRACE_GETREGSET).
// Precondition: the thread is in a ptrace stop of this one.
func regsetSize(tid int, set uintptr) uint64 {
	buf := make([]byte, maxRegset)
	iov := unix.Iovec{Base: &buf[0], Len: uint64(len(buf))}
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GETREGSET, uintptr(tid), set,
		uintptr(unsafe.Pointer(&iov)), 0, 0)
	if errno != 0 {
		return 0
	}
	return iov.Len
}
