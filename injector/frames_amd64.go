package injector

import (
	"bytes"
	"slices"
	"time"
)

// A signalFrame is what the kernel pushed when it interrupted code for a signal
// handler: the program counter to which the handler's return will go.
type signalFrame struct {
	// address is where the saved program counter lies, pc what it is, sp the
	// saved stack pointer.
	address, pc, sp uint64
}

// Offsets in struct rt_sigframe (arch/x86/include/asm/sigframe.h): the address
// of the restorer, then struct ucontext with struct sigcontext_64 at 40.
const (
	frameSP    = 168
	framePC    = 176
	frameCS    = 192
	frameSize  = 200
	frameAlign = 16
)

// restorer is the code to which a handler returns: mov $15,%rax; syscall
// (rt_sigreturn). Every C library has it, and unwinders know it by its bytes.
var restorer = []byte{0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05}

// glibcSignals are the two signals that glibc keeps for itself, 32 for
// cancellation and 33 for setuid of all threads. Nearly every process with
// threads has a handler for them.
const glibcSignals = 1<<31 | 1<<32

// mayBeInHandler says whether a thread may execute a signal handler, so that
// there can be a signal frame. A handler of glibc's own runs with its signal
// blocked (it has no SA_NODEFER); of others that is not known.
func (t *tracer) mayBeInHandler(th *thread) bool {
	caught := t.status.SigCgt
	if caught&^glibcSignals != 0 {
		return true
	}
	if caught == 0 {
		return false
	}
	blocked, err := signalMask(th.tid)
	return err != nil || blocked&caught != 0
}

// stackChunk is how much of a stack is read at once, in bytes.
const stackChunk = 64 << 10

// maxStackScan bounds what is read of one stack, in bytes.
const maxStackScan = 8 << 20

// signalFrames finds the signal frames on the stack that a thread uses, given
// its stack pointer, and on those from which it came there.
// Precondition: all threads are stopped.
func (t *tracer) signalFrames(sp uint64, maps []mapping, deadline time.Time) ([]signalFrame, error) {
	var frames []signalFrame
	var scanned []uint64
	todo := []uint64{sp}
	for len(todo) > 0 {
		sp, todo = todo[0], todo[1:]
		stack, ok := findMapping(maps, sp)
		if !ok || !stack.read || slices.Contains(scanned, stack.start) {
			continue
		}
		if !time.Now().Before(deadline) {
			return nil, busyf("the stacks take too long to look through")
		}
		scanned = append(scanned, stack.start)
		found, err := t.framesBetween(sp, min(stack.end, sp+maxStackScan))
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			todo = append(todo, f.sp)
		}
		frames = append(frames, found...)
	}
	return frames, nil
}

func (t *tracer) framesBetween(from, to uint64) ([]signalFrame, error) {
	const chunk = stackChunk
	var frames []signalFrame
	// The kernel places a frame at 8 modulo 16.
	from = (from+frameAlign-1)&^(frameAlign-1) - 8
	buf := t.buffers.stack // allocated beforehand: threads are held
	for at := from; at < to; at += chunk {
		n := min(uint64(len(buf)), to-at)
		if n < frameSize {
			break
		}
		if err := t.p.readAt(buf[:n], at); err != nil {
			return nil, err
		}
		for i := uint64(0); i+frameSize <= n && i < chunk; i += frameAlign {
			if buf[i+frameCS] != userCode64 || buf[i+frameCS+1] != 0 || !t.isRestorer(leUint64(buf[i:])) {
				continue
			}
			frames = append(frames, signalFrame{at + i + framePC, leUint64(buf[i+framePC:]), leUint64(buf[i+frameSP:])})
		}
	}
	return frames, nil
}

func (t *tracer) isRestorer(addr uint64) bool {
	if addr == 0 || addr >= 1<<47 {
		return false
	}
	code := make([]byte, len(restorer))
	return t.p.readAt(code, addr) == nil && bytes.Equal(code, restorer)
}
