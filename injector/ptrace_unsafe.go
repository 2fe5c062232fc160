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

func leUint64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func leBytes(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }
