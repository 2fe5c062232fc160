package elfinfo

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// code decodes hexadecimal with spaces.
func code(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAnalyzeEntry(t *testing.T) {
	const (
		nops  = "90 90 90 90 90 90 90 90 90 90 90 90 90 90"
		endbr = "f3 0f 1e fa "
	)
	for _, tc := range []struct {
		name   string
		code   string
		before string
		kind   EntryKind
		offset int
		length int
		reason string
	}{
		// Padded.
		{name: "padded", code: "90 90 c3", before: nops, kind: EntryPadded, length: 2},
		{name: "padded, two-byte nop", code: "66 90 c3", before: nops, kind: EntryPadded, length: 2},
		{name: "padded after endbr64", code: endbr + "90 90 c3", before: nops, kind: EntryPadded, offset: 4, length: 2},
		{name: "more padding than needed", code: "90 90 c3", before: "cc cc" + nops, kind: EntryPadded, length: 2},
		{name: "padded, recursive tail call", code: "90 90 ff cf eb fa", before: nops, kind: EntryPadded, length: 2},
		{name: "padded, branch into the nop", code: "90 90 ff cf eb fb", before: nops, reason: "a branch at +0x4 lands at +0x1"},
		{name: "patched already", code: "eb f0 c3 90 90 90 90", before: nops, reason: "short jump"},
		{name: "patched already after endbr64", code: endbr + "eb ec c3", before: nops, reason: "short jump"},
		{name: "padding one short", code: "90 90 c3", before: nops[:13*3], reason: "3 bytes"},
		{name: "int3 before", code: "90 90 c3", before: strings.Repeat("cc ", 14), reason: "3 bytes"},
		{name: "other bytes before", code: "90 90 c3", before: nops[:12*3] + "c3 90", reason: "3 bytes"},

		// Stock: the prologues of __libc_malloc in shipped builds of glibc.
		{name: "mov hook(%rip)", code: "48 8b 05 a9 d1 14 00 48 85 c0 75 00 c3", kind: EntryStock, length: 7},
		{name: "rip relative AVX", code: "c5 fb 10 05 01 00 00 00 c3", kind: EntryStock, length: 8},
		{name: "rip relative AVX-512", code: "62 f1 7c 48 10 05 01 00 00 00 c3", kind: EntryStock, length: 10},
		{name: "three pushes and a mov", code: "41 55 41 54 55 53 48 83 ec 08 c3", kind: EntryStock, length: 5},
		{name: "test and js", code: "48 85 ff 78 1b 90 c3", kind: EntryStock, length: 5},
		{name: "endbr64, push, mov", code: endbr + "41 54 55 48 89 fd c3", kind: EntryStock, offset: 4, length: 6},
		{name: "stack protector", code: "48 83 ec 18 64 48 8b 04 25 28 00 00 00 c3", kind: EntryStock, length: 13},
		{name: "ends exactly there", code: "b8 01 00 00 00", kind: EntryStock, length: 5},
		{name: "tail call only", code: "e9 10 20 30 00", kind: EntryStock, length: 5},
		{name: "call first", code: "e8 10 20 30 00 c3", kind: EntryStock, length: 5},
		{name: "call through a GOT slot first", code: "48 83 ec 08 ff 15 10 20 30 00 c3", kind: EntryStock, length: 10},
		{name: "call through a register first", code: "ff d0 90 90 90 c3", reason: "a call through a pointer"},
		{name: "call through the stack first", code: "ff 54 24 08 90 c3", reason: "a call through a pointer"},
		{name: "recursive call", code: "55 48 89 e5 90 e8 f6 ff ff ff c3", kind: EntryStock, length: 5},

		// Not livepatchable.
		{name: "empty", code: "", reason: "function is 0 bytes, a detour needs 5"},
		{name: "short", code: "31 c0 90 c3", reason: "function is 4 bytes, a detour needs 5"},
		{name: "short after endbr64", code: endbr + "31 c0 90 c3", reason: "function is 8 bytes, a detour needs 9"},
		{name: "last instruction cut off", code: "31 c0 48 8b 05 a9", reason: "unknown instruction"},
		{name: "return inside", code: "31 c0 c3 31 c0 c3", reason: "after an unconditional jump or return"},
		{name: "jump inside", code: "eb 10 31 c0 c3", reason: "short jump"},
		{name: "jrcxz", code: "e3 05 31 c0 31 c0 c3", reason: "loop or jrcxz"},
		{name: "loop", code: "90 90 e2 fc 31 c0 c3", reason: "loop or jrcxz"},
		{name: "breakpoint", code: "cc 31 c0 31 c0 c3", reason: "int3"},
		{name: "undecodable", code: "06 31 c0 31 c0 c3", reason: "unknown instruction"},
		{name: "lone prefixes", code: "f3 f3 f3 f3 f3 f3", reason: "unknown instruction"},
		{name: "xbegin", code: "c7 f8 10 00 00 00 c3", reason: "xbegin"},
		{name: "eip relative", code: "67 8b 05 01 00 00 00 c3", reason: "instruction-relative"},
		{name: "branch behind vzeroupper", code: "55 53 48 89 fb 90 c5 f8 77 eb f7", reason: "lands at +0x2"},
		{name: "unknown AVX", code: "c4 e8 79 05 01 00 00 00 c3", reason: "unknown instruction"},
		{name: "branch with operand size", code: "66 e9 10 20 30 00", reason: "operand-size"},
		{name: "jump into the bytes", code: "55 53 48 89 fb 90 90 eb f9", reason: "a branch at +0x7 lands at +0x2"},
		{name: "long jump into the bytes", code: "55 53 48 89 fb 90 90 e9 f5 ff ff ff", reason: "lands at +0x1"},
		{name: "conditional jump into the bytes", code: "55 53 48 89 fb 90 90 0f 84 f4 ff ff ff", reason: "lands at +0x1"},
		{name: "jump within the bytes", code: "85 ff 74 00 90 90 90 c3", reason: "a branch at +0x2 lands at +0x4"},
		{name: "loop at the start", code: "48 ff c7 80 3f 00 75 f8 c3", reason: "leads back to the function's start"},
		{name: "loop behind endbr64", code: endbr + "48 ff c7 80 3f 00 75 f8 c3", reason: "leads back to the function's start"},
		{name: "loop over endbr64", code: endbr + "48 ff c7 80 3f 00 75 f4 c3", reason: "leads back to the function's start"},

		// Bytes later in the function that do not decode.
		{name: "data at the end", code: "55 48 89 e5 90 c3 06 06 06 06", kind: EntryStock, length: 5},
		{name: "branch hidden behind data", code: "55 48 89 e5 90 c3 06 b8 eb f7 90 90 90", reason: "lands at +0x1"},
		{name: "endbr64 in the middle", code: "55 48 89 e5 90 " + endbr + "c3", kind: EntryStock, length: 5},
		{name: "AVX-512 before a loop", code: "55 48 89 e5 90 62 f1 7c 48 10 07 eb f3", reason: "leads back"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := AnalyzeEntry(code(t, tc.code), code(t, tc.before), 0x1000)
			want := tc.kind
			if want == "" {
				want = EntryNone
			}
			if got.Kind != want || got.Offset != tc.offset || got.Length != tc.length || !strings.Contains(got.Reason, tc.reason) {
				t.Errorf("got %+v, want %s at %d, %d bytes, reason %q", got, want, tc.offset, tc.length, tc.reason)
			}
			if (got.Reason == "") != (got.Kind != EntryNone) {
				t.Errorf("%s with reason %q", got.Kind, got.Reason)
			}
		})
	}
}

// A branch far behind the entry, in a function larger than a rel8 reaches.
func TestAnalyzeEntryLongLoop(t *testing.T) {
	c := append(code(t, "55 48 89 e5 90"), bytes.Repeat([]byte{0x90}, 1000)...)
	c = append(c, code(t, "e9 12 fc ff ff")...) // at +0x3ed
	if got := AnalyzeEntry(c, nil, 0); !strings.Contains(got.Reason, "+0x3ed lands at +0x4") {
		t.Errorf("got %+v", got)
	}
}

func TestCallsThroughPointer(t *testing.T) {
	slot := func(addr uint64) bool { return addr == 0x2000 }
	for _, tc := range []struct {
		name string
		code string
		want bool
	}{
		{name: "call *%rax", code: "ff d0 c3", want: true},
		{name: "call *8(%rdi)", code: "ff 57 08 c3", want: true},
		{name: "call *%fs:0x10", code: "64 ff 14 25 10 00 00 00 c3", want: true},
		{name: "call through a GOT slot", code: "ff 15 fa 0f 00 00 c3"}, // 0x1006 + 0xffa
		{name: "call through a variable", code: "ff 15 fb 0f 00 00 c3", want: true},
		{name: "direct call", code: "e8 00 00 00 00 c3"},
		{name: "indirect tail jump", code: "ff e0"},
		{name: "behind data", code: "06 ff d0", want: true},
		{name: "none", code: "31 c0 c3"},
	} {
		if got := callsThroughPointer(code(t, tc.code), 0x1000, slot); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
