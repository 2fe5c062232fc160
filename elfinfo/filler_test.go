package elfinfo

import (
	"strings"
	"testing"
)

// The NOPs of GNU as (alt_patt in gas/config/tc-i386.c), of one byte to eleven,
// and what linkers fill up with.
func TestIsFiller(t *testing.T) {
	for _, s := range []string{
		"90", "66 90", "0f 1f 00", "0f 1f 40 00", "0f 1f 44 00 00", "66 0f 1f 44 00 00", "0f 1f 80 00 00 00 00",
		"0f 1f 84 00 00 00 00 00", "66 0f 1f 84 00 00 00 00 00", "66 2e 0f 1f 84 00 00 00 00 00",
		"66 66 2e 0f 1f 84 00 00 00 00 00", "cc cc cc", "00 00 00", "66 90 0f 1f 00 90",
	} {
		if !isFiller(code(t, s)) {
			t.Errorf("%s is no filler", s)
		}
	}
	for _, s := range []string{
		"c3", "90 c3", "00 cc", "90 cc", "48 87 c0" /* xchg %rax,%rax */, "93", "66 93", "31 c0", "0f 1f 44 00", "eb 00",
	} {
		if isFiller(code(t, s)) {
			t.Errorf("%s is filler", s)
		}
	}
}

func TestStaysWithin(t *testing.T) {
	for _, tt := range []struct {
		code string
		want bool
	}{
		{"90 c3", true},
		{"31 c0 e9 00 10 00 00", true},
		{"0f 0b", true},             // ud2
		{"31 c0", false},            // runs on
		{"e8 00 10 00 00", false},   // what it calls may return
		{"74 03 90 c3", false},      // branches to 5, behind its end
		{"74 7f 90 c3", true},       // beyond the filler
		{"06 c3", false},            // not understood
		{"c3 90", false},            // ends with a NOP that may be reached
		{"eb fe", true},             // for ever
		{"74 00 c3 90 eb fd", true}, // a branch inside
		{"e9 00 00 00 00", false},   // jumps right behind its end
	} {
		if got := staysWithin(code(t, strings.TrimSpace(tt.code)), 32); got != tt.want {
			t.Errorf("%s: %v", tt.code, got)
		}
	}
}
