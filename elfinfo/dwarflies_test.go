package elfinfo

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// lyingDebug makes a library with a function one and debug information in the assembler's words. Abbreviations:
// 1 compile unit, 2 subprogram with ranges, 3 subprogram with low_pc, high_pc and abstract_origin, 4 type with a type,
// 5 subprogram with name, low_pc, high_pc and type, 6 inlined subroutine with abstract_origin.
func lyingDebug(t *testing.T, entries, more string) *File {
	t.Helper()
	const abbreviations = `
	.section .debug_abbrev,"",@progbits
	.uleb128 1, 0x11; .byte 1; .uleb128 0, 0
	.uleb128 2, 0x2e; .byte 0; .uleb128 0x55, 0x17, 0, 0
	.uleb128 3, 0x2e; .byte 1; .uleb128 0x11, 0x01, 0x12, 0x07, 0x31, 0x13, 0, 0
	.uleb128 4, 0x0f; .byte 0; .uleb128 0x49, 0x13, 0, 0
	.uleb128 5, 0x2e; .byte 0; .uleb128 0x03, 0x08, 0x11, 0x01, 0x12, 0x07, 0x49, 0x13, 0, 0
	.uleb128 6, 0x1d; .byte 0; .uleb128 0x31, 0x13, 0, 0
	.byte 0
	.section .debug_info,"",@progbits
start:	.long end - begin
begin:	.short 4; .long 0; .byte 8
	.uleb128 1
`
	lib := compile(t, library{sources: map[string]string{
		"a.c": "int one(int x) { return x + 1; }\nint two(int x) { return x * 2; }\n",
		"d.S": abbreviations + entries + "\n\t.byte 0\nend:\n" + more,
	}})
	return open(t, lib)
}

// Debug information that lies is an error or says nothing, and never takes long.
func TestDebugInformationThatLies(t *testing.T) {
	const declared = ".uleb128 5; .asciz \"one\"; .quad one, 8; .long type - start\n"
	for _, tt := range []struct {
		name, entries, more string
		refused             bool
	}{
		{name: "the truth, nearly", entries: declared + "type: .uleb128 4; .long 0x7fffffff"},
		{name: "a type of itself", entries: declared + "type: .uleb128 4; .long type - start"},
		{name: "types in a circle", entries: declared + "type: .uleb128 4; .long other - start\nother: .uleb128 4; .long type - start"},
		{name: "a type that is no entry", entries: declared + ".set type, start + 1"},
		{name: "its own abstract origin", entries: "self: .uleb128 3; .quad one, 8; .long self - start; .byte 0"},
		{name: "origins in a circle", entries: "a: .uleb128 3; .quad one, 8; .long b - start; .byte 0\nb: .uleb128 3; .quad two, 8; .long a - start; .byte 0"},
		{name: "inlined into itself", entries: "a: .uleb128 3; .quad one, 8; .long a - start; .uleb128 6; .long a - start; .byte 0"},
		{name: "an origin far away", entries: ".uleb128 3; .quad one, 8; .long 0x7ffffff0; .byte 0"},
		{name: "code everywhere", entries: ".uleb128 5; .asciz \"one\"; .quad 0, -1; .long 0"},
		{name: "code outside the text", entries: ".uleb128 5; .asciz \"one\"; .quad 0x7fffffffffffff00, 0x1000; .long 0"},
		{name: "deeply nested", entries: ".rept 300000; .uleb128 3; .quad one, 8; .long 11; .endr; .rept 300000; .byte 0; .endr"},
		{name: "ranges beyond the section", entries: ".uleb128 2; .long 0x7fffff00"},
		{name: "ranges without end", entries: ".uleb128 2; .long 0", more: ".section .debug_ranges,\"\",@progbits; .rept 100; .quad 1, 2; .endr"},
		{name: "one list for many", entries: ".rept 200000; .uleb128 2; .long 0; .endr",
			more: ".section .debug_ranges,\"\",@progbits; .rept 100000; .quad 1, 2; .endr; .quad 0, 0", refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := lyingDebug(t, strings.ReplaceAll(tt.entries, ";", "\n"), strings.ReplaceAll(tt.more, ";", "\n"))
			began := time.Now()
			b, err := NewBuild(f, nil, []string{"one", "two"})
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %v", took)
			}
			if tt.refused {
				if !errors.Is(err, ErrFormat) {
					t.Errorf("%v, want ErrFormat", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(encode(t, b)) == 0 {
				t.Error("no record")
			}
			if function(t, b, "one").Prototype != "" {
				t.Errorf("prototype %q", function(t, b, "one").Prototype)
			}
		})
	}
}
