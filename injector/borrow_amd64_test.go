package injector

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStubsReadAlignedMemory: a thread that has set the flag AC gets SIGBUS for
// reading anywhere else.
func TestStubsReadAlignedMemory(t *testing.T) {
	const home = 0x1122334455667788
	resume := &unix.PtraceRegs{Rip: home}
	for i := range 64 {
		calls := (&region{size: pageSize, writable: make([]span, i%8)}).calls(1 << (i%40 + 1))
		resume.Rdi = 1 << i // moves of either length
		code := assembleStub(calls, resume)
		at := bytes.Index(code, binary.LittleEndian.AppendUint64(nil, home))
		if at < 0 || at%stubAlign != 0 {
			t.Errorf("%d calls: the address to jump to lies at %d", len(calls), at)
		}
		if jump := bytes.LastIndex(code[:at], []byte{0xff, 0x25}); jump < 0 || jump+6+int(code[jump+2]) != at {
			t.Errorf("%d calls: the jump at %d does not read it", len(calls), jump)
		}
	}
	f := newFixture(t, "stock")
	tg := f.startCase(t, "environment.c", "plain")
	p, err := openProcess("/proc", tg.pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	j := &job{in: New(Options{}), p: p, result: &Result{}}
	if err := j.look(); err != nil {
		t.Fatal(err)
	}
	room := tails(j.objs)
	for _, s := range room {
		if s.start()%stubAlign != 0 {
			t.Errorf("a stub would begin at %#x", s.start())
		}
	}
	if len(room) == 0 {
		t.Error("there is no room")
	}
}
