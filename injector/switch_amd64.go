package injector

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// switchSize is the room that the stub of a switchover with n words needs, in
// bytes: magic and data, four calls, the stores, the registers and the jump.
func switchSize(n int) int { return 24 + 4*80 + 20*n + 128 }

// storing is where in the stub's code, which begins at entry, the stores lie.
func storing(words []store, calls []remoteCall, entry uint64) span {
	const leave, each = 7, 20
	start := entry + uint64(len(appendCall(appendCall(nil, calls[0]), calls[1]))+2*leave)
	return span{start, start + uint64(each*len(words))}
}

// assembleSwitch gives the code of a switchover's stub: block signals, make the
// page writable, store, make it readable, restore the signal mask, restore all
// registers and return. Where the first call fails nothing is done, where the
// second does only the signal mask is restored.
func assembleSwitch(words []store, calls []remoteCall, resume *unix.PtraceRegs) []byte {
	var code []byte
	leave := func(code []byte) ([]byte, int) { // jumps away unless rcx is zero
		code = append(code, 0xe3, 0x05, 0xe9)
		return append(code, 0, 0, 0, 0), len(code)
	}
	land := func(at int) { binary.LittleEndian.PutUint32(code[at:], uint32(len(code)-at-4)) }
	block, open, shut, unblock := calls[0], calls[1], calls[2], calls[3]

	code, unblocked := leave(appendCall(code, block))
	code, closed := leave(appendCall(code, open))
	for _, w := range words {
		code = append(code, 0x48, 0xb8) // movabs $value,%rax
		code = binary.LittleEndian.AppendUint64(code, w.value)
		code = append(code, 0x48, 0xa3) // movabs %rax,address
		code = binary.LittleEndian.AppendUint64(code, w.address)
	}
	code = appendCall(code, shut)
	land(closed)
	code = appendCall(code, unblock)
	land(unblocked)
	return appendReturn(code, resume)
}
