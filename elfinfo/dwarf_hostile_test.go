package elfinfo

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// lies is debug information by hand: its entries are the lines of tree, in the
// assembler's words. The type of the parameter of f is at label "t".
func lies(tree string) string {
	const head = `
	.text
	.globl f
	.type f,@function
f:	lea (%rdi,%rdi,2),%eax
	add $7,%eax
	ret
	.size f,.-f
	.globl v
	.data
	.type v,@object
	.size v,4
v:	.long 1
	.section .debug_abbrev,"",@progbits
	.uleb128 1; .uleb128 0x11; .byte 1; .uleb128 0x03; .uleb128 0x08; .uleb128 0x11; .uleb128 0x01; .uleb128 0x12; .uleb128 0x07; .byte 0,0
	.uleb128 2; .uleb128 0x2e; .byte 1; .uleb128 0x03; .uleb128 0x08; .uleb128 0x27; .uleb128 0x19; .uleb128 0x11; .uleb128 0x01; .uleb128 0x12; .uleb128 0x07; .byte 0,0
	.uleb128 3; .uleb128 0x05; .byte 0; .uleb128 0x49; .uleb128 0x13; .byte 0,0
	.uleb128 4; .uleb128 0x13; .byte 1; .uleb128 0x03; .uleb128 0x08; .uleb128 0x0b; .uleb128 0x07; .byte 0,0
	.uleb128 5; .uleb128 0x0d; .byte 0; .uleb128 0x03; .uleb128 0x08; .uleb128 0x49; .uleb128 0x13; .uleb128 0x38; .uleb128 0x07; .byte 0,0
	.uleb128 6; .uleb128 0x16; .byte 0; .uleb128 0x03; .uleb128 0x08; .uleb128 0x49; .uleb128 0x13; .byte 0,0
	.uleb128 7; .uleb128 0x01; .byte 1; .uleb128 0x49; .uleb128 0x13; .byte 0,0
	.uleb128 8; .uleb128 0x21; .byte 0; .uleb128 0x2f; .uleb128 0x07; .byte 0,0
	.uleb128 9; .uleb128 0x0f; .byte 0; .uleb128 0x49; .uleb128 0x13; .byte 0,0
	.uleb128 10; .uleb128 0x24; .byte 0; .uleb128 0x03; .uleb128 0x08; .uleb128 0x0b; .uleb128 0x0b; .uleb128 0x3e; .uleb128 0x0b; .byte 0,0
	.uleb128 12; .uleb128 0x2e; .byte 0; .uleb128 0x03; .uleb128 0x0e; .byte 0,0
	.uleb128 11; .uleb128 0x34; .byte 0; .uleb128 0x03; .uleb128 0x08; .uleb128 0x49; .uleb128 0x13; .uleb128 0x02; .uleb128 0x18; .byte 0,0
	.byte 0
	.section .debug_info,"",@progbits
start:	.long end-.-4
	.value 4
	.long .debug_abbrev
	.byte 8
	.uleb128 1; .asciz "a.c"; .quad f; .quad 100
	.uleb128 2; .asciz "f"; .quad f; .quad 7
	.uleb128 3; .long t-start
	.byte 0
	.uleb128 11; .asciz "v"; .long t-start; .uleb128 9; .byte 3; .quad v
`
	return head + tree + "\n\t.byte 0\nend:\n"
}

func entryOf(format string, args ...any) string { return fmt.Sprintf(format+"\n", args...) }

// Debug information that lies costs little, and is not believed.
func TestLyingDebugInformation(t *testing.T) {
	const number = "int:\t.uleb128 10; .asciz \"int\"; .byte 4; .byte 5\n"
	member := func(name, to string, offset uint64) string {
		return entryOf("\t.uleb128 5; .asciz %q; .long %s-start; .quad %d", name, to, offset)
	}
	structure := func(label, members string) string {
		return entryOf("%s:\t.uleb128 4; .asciz \"s\"; .quad 8", label) + members + "\t.byte 0\n"
	}
	var chain strings.Builder
	for i := range 33_000 {
		fmt.Fprintf(&chain, "\t.if %d == 0\nt:\n\t.endif\nc%d:\t.uleb128 9; .long c%d-start\n", i, i, (i+1)%33_000)
	}
	for _, tc := range []struct {
		name, tree string
		cut        bool
		text       string // of the type of f
		more       string // other sections
		refused    bool
	}{
		{name: "sound", tree: number + structure("t", member("a", "int", 0)), text: "void (struct s)"},
		{name: "typedef of itself", tree: `t: .uleb128 6; .asciz "T"; .long t-start`},
		{name: "two typedefs of each other", tree: `t: .uleb128 6; .asciz "T"; .long u-start` + "\n" + `u: .uleb128 6; .asciz "U"; .long t-start`},
		{name: "array of itself", tree: `t: .uleb128 7; .long t-start; .uleb128 8; .quad 0x1000000000000000; .byte 0`},
		{name: "array of 2^60", tree: number + `t: .uleb128 7; .long int-start; .uleb128 8; .quad 0x0fffffffffffffff; .byte 0`, text: "void (int [1152921504606846976])"},
		{name: "array of -1", tree: number + `t: .uleb128 7; .long int-start; .uleb128 8; .quad -2; .byte 0`, text: "void (int [])"},
		{name: "struct in itself", tree: structure("t", member("a", "t", 0))},
		{name: "member beyond the end", tree: number + structure("t", member("a", "int", 1<<62))},
		{name: "type outside", tree: ".equ t, start+0x7fffffff", cut: true, text: "void (unknown)"},
		{name: "type in the middle of an entry", tree: number + ".equ t, int+1", cut: true, text: "void (unknown)"},
		{name: "type is a function", tree: ".equ t, start+11"},
		{name: "control characters", tree: number + structure("t", member("a\033[2J\nb", "int", 0)), text: "void (struct s)"},
		{name: "very many members", tree: number + structure("t", "\t.rept 200000\n"+member("m", "int", 0)+"\t.endr\n"), cut: true},
		{name: "one long name for all", tree: number + structure("t", member("a", "int", 0)) + "\t.rept 100000\n\t.uleb128 12; .long 0\n\t.endr\n",
			more: "\t.section .debug_str,\"\",@progbits\n\t.fill 1000000,1,65\n\t.byte 0\n", refused: true},
		{name: "a long chain", tree: chain.String(), cut: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := open(t, compile(t, library{sources: map[string]string{"a.S": lies(tc.tree) + tc.more}}))
			began := time.Now()
			b, err := NewRecord(f, nil, Wanted{Names: []string{"f", "v"}, Types: []string{"struct s", "T"}})
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			if tc.refused && errors.Is(err, ErrFormat) {
				return
			}
			if err != nil || tc.refused {
				t.Fatalf("refused: %v, error %v", tc.refused, err)
			}
			if (b.TypesCut != "") != tc.cut {
				t.Errorf("cut: %q", b.TypesCut)
			}
			encode(t, b)
			id := function(t, b, "f").Type
			if diff := CompareTypes(b, id, b, id).Differences; len(diff) > 0 {
				t.Errorf("differs from itself: %q", diff)
			}
			if text := b.TypeText(id); tc.text != "" && text != tc.text {
				t.Errorf("f is %s, want %s", text, tc.text)
			}
		})
	}
}
