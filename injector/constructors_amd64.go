package injector

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// The code that gcc's and glibc's start files put into every library linked
// with them, perhaps after an endbr64. It does nothing in a library that is not
// instrumented, so that it need not be called. ".." stands for a byte that the linker fills in.
var (
	// crti.o: call __gmon_start__ if it is defined.
	crtInit = []codePattern{
		"4883ec08 488b05........ 4885c0 7402 ffd0 4883c408 c3",
		"4883ec08 488b05........ 4885c0 7405 e8........ 4883c408 c3",
	}
	crtFini = []codePattern{"4883ec08 4883c408 c3"}
	// crtbeginS.o, frame_dummy: jump to register_tm_clones. gcc 7 set up a frame.
	crtFrameDummy = []codePattern{"e9........", "554889e5 5d e9........"}
	// crtbeginS.o, register_tm_clones: return if the table is empty, which it is
	// if both addresses loaded are equal.
	crtRegister = []codePattern{
		"488d3d........ 488d35........ 4829fe 4889f0 48c1ee3f 48c1f803 4801c6 48d1fe 74",
		"488d3d........ 488d35........ 4829fe 48c1fe03 4889f0 48c1e83f 4801c6 48d1fe 74",
		"488d3d........ 488d35........ 55 4829fe 4889e5 48c1fe03 4889f0 48c1e83f 4801c6 48d1fe 74",
	}
	// crtbeginS.o, __do_global_dtors_aux: call __cxa_finalize once.
	crtDestroy = []codePattern{
		"803d........00 75.. 55 48833d........00 4889e5 74",
		"803d........00 75.. 48833d........00 55 4889e5 74",
	}
)

// A codePattern is machine code in hexadecimal, with blanks for the reader.
type codePattern string

// match says whether code starts with the pattern.
func (p codePattern) match(code []byte) bool {
	want := strings.ReplaceAll(string(p), " ", "")
	if len(code) < len(want)/2 {
		return false
	}
	have := hex.EncodeToString(code[:len(want)/2])
	for i := range want {
		if want[i] != '.' && want[i] != have[i] {
			return false
		}
	}
	return true
}

func (p codePattern) size() int { return len(strings.ReplaceAll(string(p), " ", "")) / 2 }

// code reads up to 64 bytes of code, past an endbr64.
func (l *layout) code(vaddr uint64) (uint64, []byte) {
	if !l.inSegment(vaddr, 1, elf.PF_X) {
		return 0, nil
	}
	from := vaddr - l.low
	code := l.bytes[from:min(from+64, l.size)]
	if bytes.HasPrefix(code, endbr64) {
		return vaddr + uint64(len(endbr64)), code[len(endbr64):]
	}
	return vaddr, code
}

func (l *layout) codeIs(vaddr uint64, patterns []codePattern) bool {
	_, code := l.code(vaddr)
	return matchAny(code, patterns) > 0
}

// matchAny returns the length of the pattern that matches, 0 if none does.
func matchAny(code []byte, patterns []codePattern) int {
	for _, p := range patterns {
		if p.match(code) {
			return p.size()
		}
	}
	return 0
}

// isCrtInit recognises crti.o's _init, which must ask for __gmon_start__ and
// nothing else.
func (l *layout) isCrtInit(vaddr uint64) bool {
	at, code := l.code(vaddr)
	if matchAny(code, crtInit) == 0 {
		return false
	}
	const load, end = 7, 11 // the displacement of mov slot(%rip), %rax, and where it counts from
	slot := at + end + signed32(code[load:])
	for _, r := range l.relocations {
		if r.Offset == slot {
			return l.facts.table[r.Symbol].Name == "__gmon_start__"
		}
	}
	return false
}

// isFrameDummy recognises crtbeginS.o's frame_dummy with an empty table of
// transactional clones.
func (l *layout) isFrameDummy(vaddr uint64) bool {
	at, code := l.code(vaddr)
	n := matchAny(code, crtFrameDummy)
	if n == 0 {
		return false
	}
	at, code = l.code(at + uint64(n) + signed32(code[n-4:]))
	n = matchAny(code, crtRegister)
	if n == 0 {
		return false
	}
	first, second := at+7+signed32(code[3:]), at+14+signed32(code[10:])
	return first == second
}

// signed32 is a 32-bit signed displacement.
func signed32(code []byte) uint64 {
	return uint64(int64(int32(binary.LittleEndian.Uint32(code))))
}
