package elfinfo

import (
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// shortReach is how far a rel8 branch reaches, and a little more.
const shortReach = 144

// maxNeighbours bounds the work that overlapping symbols can cause.
const maxNeighbours = 256

// interior says whether an address is behind the first of the bytes that a
// detour of the function replaces. A branch to the first one from elsewhere is
// an ordinary tail call.
func (f *Function) interior(addr uint64) bool {
	return f.Entry.Kind != EntryNone && addr > f.Address && addr-f.Address < uint64(f.Entry.Offset+f.Entry.Length)
}

// refuseNeighbours makes a function not livepatchable if another function
// starts in the bytes replaced, or a function nearby branches there.
// Hand-written assembly does both.
func (r *recorder) refuseNeighbours(f *Function) {
	if f.Entry.Kind == EntryNone {
		return
	}
	low := f.Address - min(f.Address, shortReach)
	high := f.Address + uint64(f.Entry.Offset+f.Entry.Length) + shortReach
	visited := 0
	r.functions.near(low, high, func(s codeSymbol) bool {
		switch {
		case f.interior(s.start):
			f.Entry = none("function %s starts at +%#x, inside the bytes that a detour replaces", s.name, s.start-f.Address)
		case s.start != f.Address && s.end > low && s.start < high:
			if visited++; visited > maxNeighbours {
				f.Entry = none("more than %d functions overlap near it", maxNeighbours)
				break
			}
			r.refuseBranches(f, s)
		}
		return f.Entry.Kind != EntryNone
	})
}

// refuseBranches makes f not livepatchable if the function s branches into the bytes replaced.
func (r *recorder) refuseBranches(f *Function, s codeSymbol) {
	code, err := r.code(s.start, s.end-s.start)
	if err != nil {
		return
	}
	branches(code, func(br branch) bool {
		if to := s.start + uint64(br.to); f.interior(to) {
			f.Entry = none("a branch in function %s lands at +%#x, inside the bytes that a detour replaces", s.name, to-f.Address)
			return false
		}
		return true
	})
}

// refuseFarBranches makes functions not livepatchable into whose replaced bytes
// a jump from anywhere in the text leads, as from the part of a function that
// the compiler moved away (NAME.cold). From there a jump to the function's
// start is none that calls it.
func (r *recorder) refuseFarBranches(b *Build) error {
	replaced := make(map[uint64][]*Function)
	starts := make(map[uint64]string)
	for name, functions := range b.Functions {
		for i := range functions {
			f := &functions[i]
			for addr := f.Address + 1; f.interior(addr); addr++ {
				replaced[addr] = append(replaced[addr], f)
			}
			if f.Entry.Kind == EntryStock {
				starts[f.Address] = name
				replaced[f.Address] = append(replaced[f.Address], f)
			}
		}
	}
	if len(replaced) == 0 {
		return nil
	}
	return r.text(func(code []byte, addr uint64) {
		longJumps(code, addr, func(from, to uint64) {
			name, start := starts[to]
			if len(replaced[to]) > 0 && (!start || r.inCold(from, name)) && r.isJump(from, to) {
				refuse(replaced[to], from, to)
			}
		})
	})
}

// inCold says whether an address is in the part of a function that the compiler
// moved away, by its symbol.
func (r *recorder) inCold(addr uint64, name string) bool {
	cold, visited := false, 0
	r.functions.near(addr, addr+1, func(s codeSymbol) bool {
		visited++
		cold = cold || addr >= s.start && addr < s.end && strings.HasPrefix(s.name, name+".cold")
		return !cold && visited < maxNeighbours
	})
	return cold
}

// refuse makes functions not livepatchable because of a jump from elsewhere.
func refuse(functions []*Function, from, to uint64) {
	for _, f := range functions {
		if from < f.Address || from-f.Address >= f.Size {
			f.Entry = none("a jump at %#x lands at +%#x, inside the bytes that a detour replaces", from, to-f.Address)
		}
	}
}

// longJumps visits everything in text, which is at addr, that can be a jmp
// rel32 or jcc rel32. Every byte may start an instruction here.
func longJumps(text []byte, addr uint64, visit func(from, to uint64)) {
	for i := 0; i+5 <= len(text); i++ {
		var start int
		switch {
		case text[i] == 0xe9:
			start = i + 1
		case text[i] == 0x0f && text[i+1]&0xf0 == 0x80 && i+6 <= len(text):
			start = i + 2
		default:
			continue
		}
		rel := int64(int32(le.Uint32(text[start:])))
		visit(addr+uint64(i), addr+uint64(start)+4+uint64(rel))
	}
}

// isJump says whether what looks like a jump is one. It is not if a function
// covers it that decodes up to there and has another instruction in its place.
func (r *recorder) isJump(from, to uint64) bool {
	jump, visited := true, 0
	r.functions.near(from, from+1, func(s codeSymbol) bool {
		if visited++; from < s.start || from >= s.end {
			return visited < maxNeighbours
		}
		code, err := r.code(s.start, s.end-s.start)
		if err != nil {
			return true
		}
		inst, at, ok := instructionAt(code, int(from-s.start))
		if ok {
			br, isBranch := directBranch(inst, at)
			jump = isBranch && s.start+uint64(br.to) == to
		}
		return !ok && visited < maxNeighbours
	})
	return jump
}

// instructionAt is the instruction of which the byte at an offset is a part,
// decoding from the start; ok is false if that is not possible.
func instructionAt(code []byte, offset int) (inst x86asm.Inst, at int, ok bool) {
	for at < len(code) {
		if inst, ok = Decode(code[at:]); !ok {
			return inst, at, false
		}
		if at+inst.Len > offset {
			return inst, at, true
		}
		at += inst.Len
	}
	return inst, at, false
}
