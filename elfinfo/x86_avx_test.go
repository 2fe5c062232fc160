package elfinfo

import (
	"bufio"
	"encoding/hex"
	"os/exec"
	"strings"
	"testing"
)

func TestDecodeAVX(t *testing.T) {
	for _, tt := range []struct {
		name, code           string
		length, displacement int
	}{
		{"vzeroupper", "c5 f8 77 90 90 90 90 90", 3, 0},
		{"vmovd %esi,%xmm0", "c5 f9 6e c6 90", 4, 0},
		{"vmovsd 1(%rip),%xmm0", "c5 fb 10 05 01 00 00 00", 8, 4},
		{"vpbroadcastd 1(%rip),%ymm0", "c4 e2 7d 58 05 01 00 00 00 90", 9, 5},
		{"vextractf128 $1,%ymm0,1(%rip)", "c4 e3 7d 19 05 01 00 00 00 01 90", 10, 5},
		{"vmovups 1(%rip),%zmm0", "62 f1 7c 48 10 05 01 00 00 00 90", 10, 6},
		{"vpshufd $1,0x40(%rax),%xmm0", "c5 f9 70 40 40 01 90", 6, 0},
		{"vmovups 0x100(%rax,%rcx,4),%ymm0", "c5 fc 10 84 88 00 01 00 00 90", 9, 0},
		{"vmovups 0x1234,%ymm0", "c5 fc 10 04 25 34 12 00 00 90", 9, 0},
		{"cut off", "c5 fb 10 05 01 00 00", 0, 0},
		{"no ModRM byte", "c5 fb 10", 0, 0},
		{"prefix alone", "62 f1", 0, 0},
		{"map 31", "c4 ff 7d 58 05 01 00 00 00", 0, 0},
	} {
		b := code(t, tt.code)
		inst, ok := Decode(b)
		if ok != (tt.length > 0) || inst.Len != tt.length {
			t.Errorf("%s: %d bytes, %v; want %d", tt.name, inst.Len, ok, tt.length)
			continue
		}
		if got := AVXDisplacement(b[:inst.Len]); got != tt.displacement {
			t.Errorf("%s: displacement at %d, want %d", tt.name, got, tt.displacement)
		}
	}
}

// Every AVX instruction of a real library, against objdump.
func TestDecodeAVXOfLibc(t *testing.T) {
	path := libcPath(t)
	objdump, err := exec.LookPath("objdump")
	if err != nil {
		t.Skip("objdump is missing (package binutils)")
	}
	cmd := exec.Command(objdump, "-d", "-j", ".text", "--insn-width=16", path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for s := bufio.NewScanner(out); s.Scan(); {
		f := strings.Split(s.Text(), "\t")
		if len(f) < 3 {
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(f[1], " ", ""))
		if err != nil || len(b) == 0 || !isAVX(b[0]) || strings.Contains(f[2], "(bad)") {
			continue
		}
		seen++
		inst, ok := Decode(append(b, 0x90, 0x90, 0x90, 0x90, 0x90))
		relative := ok && AVXDisplacement(b[:min(inst.Len, len(b))]) != 0
		if !ok || inst.Len != len(b) || relative != strings.Contains(f[2], "(%rip)") {
			t.Errorf("%s: %d bytes, %v, rip-relative %v", s.Text(), inst.Len, ok, relative)
		}
	}
	if err := cmd.Wait(); err != nil || seen < 1000 {
		t.Errorf("%d instructions compared, %v", seen, err)
	}
}
