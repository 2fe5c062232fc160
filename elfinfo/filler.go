package elfinfo

import (
	"bytes"
	"sort"

	"golang.org/x/arch/x86/x86asm"
)

// maxFiller bounds the filler between two functions, in bytes: assemblers align
// to a cache line at most.
const maxFiller = 64

// FillerBefore is the number of bytes directly before a function at addr that
// are proven to be alignment filler, which nothing executes; 0 if that can't
// be proven. They must lie between the function and the end of the one before
// it, by its frame information; hold nothing but NOPs, int3 or zeros; belong to
// no symbol; and the function before must neither run into them nor branch there.
func (f *File) FillerBefore(addr uint64) int {
	frames := f.readFrames()
	i := sort.Search(len(frames.start), func(i int) bool { return frames.start[i] >= addr }) - 1
	if frames.unknown || i < 0 {
		return 0
	}
	start, size, _, err := frames.readFDE(frames.fde[i])
	end := start + size
	if err != nil || start != frames.start[i] || size > maxFunction || end >= addr || addr-end > maxFiller {
		return 0
	}
	filler, err := f.read(end, addr-end)
	if err != nil || !isFiller(filler) || !f.unnamed(end, addr) {
		return 0
	}
	code, err := f.read(start, size)
	if err != nil || !staysWithin(code, int64(addr-start)) {
		return 0
	}
	return int(addr - end)
}

// isFiller says whether bytes are int3, zeros or whole NOPs.
func isFiller(b []byte) bool {
	if bytes.Count(b, []byte{0xcc}) == len(b) || bytes.Count(b, []byte{0}) == len(b) {
		return true
	}
	for len(b) > 0 {
		inst, ok := Decode(b)
		// xchg %ax,%ax is how x86asm reads 66 90.
		exchange := inst.Op == x86asm.XCHG && inst.Args[0] == x86asm.AX && inst.Args[1] == x86asm.AX
		if !ok || inst.Op != x86asm.NOP && !exchange {
			return false
		}
		b = b[inst.Len:]
	}
	return true
}

// unnamed says whether no symbol of the file lies in [low, high) or reaches into it.
func (f *File) unnamed(low, high uint64) bool {
	free := true
	note := func(s Symbol) {
		if s.Undefined || s.Absolute || s.Kind == kindTLS {
			return
		}
		end := max(s.Address+s.Size, s.Address+1)
		free = free && (end <= low || s.Address >= high)
	}
	dynamic, err := f.DynamicSymbols()
	if err != nil {
		return false
	}
	for _, s := range dynamic {
		note(s)
	}
	return f.staticSymbols(func(d definition) { note(d.Symbol) }) == nil && free
}

// staysWithin says whether a function's code ends with an instruction that does
// not go on, and branches nowhere between its end and limit.
func staysWithin(code []byte, limit int64) bool {
	last := x86asm.Inst{}
	for pos := 0; pos < len(code); {
		inst, ok := Decode(code[pos:])
		if !ok {
			return false
		}
		last, pos = inst, pos+inst.Len
	}
	inside := true
	branches(code, func(br branch) bool {
		inside = br.to < int64(len(code)) || br.to >= limit
		return inside
	})
	return inside && isTerminator(last.Op)
}
