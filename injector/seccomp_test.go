package injector

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// probe is the call that testdata/filtered.c makes to ask a filter.
var probe = seccompCall{number: 1000, args: [6]uint64{
	1, 0x100000002, ^uint64(2), 0x0706050403020104, 0x7fffffff80000005, ^uint64(5),
}}

// prologue of every filter that is compared: other calls are allowed.
var prologue = []bpf.RawInstruction{{Op: 0x20}, {Op: 0x15, K: probe.number, Jt: 1}, {Op: 0x06, K: seccompAllow}}

// epilogue gives a part of A as an error number: a value that can be seen.
var epilogue = []bpf.RawInstruction{{Op: 0x54, K: 0xfff}, {Op: 0x44, K: 0x00050000}, {Op: 0x16}}

func program(parts ...[]bpf.RawInstruction) []byte {
	var b []byte
	for _, part := range parts {
		for _, in := range part {
			b = binary.LittleEndian.AppendUint16(b, in.Op)
			b = append(b, in.Jt, in.Jf)
			b = binary.LittleEndian.AppendUint32(b, in.K)
		}
	}
	return b
}

// randomFilter makes instructions of every kind that a filter may have.
func randomFilter(r *rand.Rand) []bpf.RawInstruction {
	alu := []uint16{0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80, 0x90, 0xa0}
	constants := []uint32{0, 1, 2, 4, 5, 31, 32, 0x7fffffff, 0x80000000, 0xffffffff, 0xc000003e, r.Uint32()}
	code := []bpf.RawInstruction{{Op: 0x01, K: constants[r.IntN(len(constants))]}, {Op: 0x02}, {Op: 0x03, K: 1}}
	n := 1 + r.IntN(30)
	for i := range n {
		k := constants[r.IntN(len(constants))]
		skip := func() uint8 { return uint8(r.IntN(min(n-i, 4))) }
		var in bpf.RawInstruction
		switch r.IntN(8) {
		case 0, 1:
			words := []uint32{0, 4, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64} // all but the address; also behind the end
			in = bpf.RawInstruction{Op: 0x20, K: words[r.IntN(len(words))]}
		case 2:
			in = bpf.RawInstruction{Op: 0x04 | alu[r.IntN(len(alu))] | uint16(r.IntN(2))<<3, K: k}
		case 3:
			in = bpf.RawInstruction{Op: 0x05 | uint16(1+r.IntN(4))<<4 | uint16(r.IntN(2))<<3, K: k, Jt: skip(), Jf: skip()}
		case 4:
			in = bpf.RawInstruction{Op: []uint16{0x02, 0x03, 0x60, 0x61}[r.IntN(4)], K: uint32(r.IntN(2))}
		case 5:
			in = bpf.RawInstruction{Op: []uint16{0x07, 0x87, 0x80, 0x81, 0x84}[r.IntN(5)]}
		case 6:
			in = bpf.RawInstruction{Op: uint16(r.IntN(2)), K: k}
		case 7:
			in = bpf.RawInstruction{Op: 0x05, K: uint32(skip())}
		}
		if alu := in.Op & 7; in.Op&0x08 != 0 && (alu == 4 || alu == 5) {
			in.K = 0 // the operand is a register
		}
		code = append(code, in)
	}
	return code
}

// TestFiltersAnswerAsTheKernelDoes runs filters in the kernel and here. What is
// not understood here must be refused, what the kernel refuses does not matter.
func TestFiltersAnswerAsTheKernelDoes(t *testing.T) {
	f := newFixture(t, "stock")
	var input bytes.Buffer
	var here []string
	r := rand.New(rand.NewPCG(1, 2))
	understood := 0
	for range rounds(500, 20000) {
		p := program(prologue, randomFilter(r), epilogue)
		binary.Write(&input, binary.LittleEndian, uint16(len(p)/seccompWord))
		input.Write(p)
		answer := "not understood"
		if filter, err := decodeFilter(p); err == nil {
			if a, err := filter.answer(probe); err == nil {
				understood++
				answer = fmt.Sprint(a & seccompData)
				if a&seccompAction == 0 {
					answer = "ended"
				}
			}
		}
		here = append(here, answer)
	}
	cmd := exec.Command(f.compileCase(t, "filtered.c"), "oracle")
	cmd.Stdin = &input
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	s := bufio.NewScanner(bytes.NewReader(out))
	for i := range here {
		if !s.Scan() {
			t.Fatalf("%d answers of %d", i, len(here))
		}
		switch there := s.Text(); {
		case there == "refused":
			refused++
		case here[i] != "not understood" && here[i] != there:
			t.Errorf("filter %d: %s here, %s there", i, here[i], there)
		}
	}
	t.Logf("%d filters, %d understood, %d refused by the kernel", len(here), understood, refused)
	if understood < len(here)/4 || len(here)-refused < len(here)/4 {
		t.Error("there is too little to compare")
	}
}

// FuzzFilter: whatever a process has for a filter, it is decoded or refused, and
// comes to an end.
func FuzzFilter(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		f.Add(program(prologue, randomFilter(r), epilogue))
	}
	f.Add([]byte{0x06, 0, 0, 0, 0, 0, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, p []byte) {
		filter, err := decodeFilter(p)
		if err != nil {
			return
		}
		if a, err := filter.answer(probe); err == nil && allows(a) && len(p) == seccompWord && p[0] != 0x06 {
			t.Errorf("% x allows what it does not look at", p)
		}
	})
}

// TestSyscallSites: what is judged is what the stub does, where it does it.
func TestSyscallSites(t *testing.T) {
	calls := (&region{size: 0x3000, writable: []span{{0x1000, 0x3000}}}).calls(0x7f0000000000)
	const at = 0x5000
	code := assembleStub(calls, &unix.PtraceRegs{})
	behind := syscallSites(code, calls, at)
	if len(behind) != len(calls) {
		t.Fatalf("%d places of %d calls", len(behind), len(calls))
	}
	for i, b := range behind {
		if got := code[b-at-2 : b-at]; got[0] != 0x0f || got[1] != 0x05 {
			t.Errorf("call %d: % x before %#x", i, got, b)
		}
	}
	calls[1].args[2] = 7
	if syscallSites(code, calls, at) != nil {
		t.Error("it finds a call that the stub does not make")
	}
}
