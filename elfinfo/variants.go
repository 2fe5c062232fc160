package elfinfo

import (
	"cmp"
	"slices"
	"strings"

	"golang.org/x/arch/x86/x86asm"
)

// Limits of the search for implementations.
const (
	maxVariants  = 1 << 8
	maxHelpers   = 16  // functions that a resolver calls
	maxSelection = 512 // entries of a table of functions
	maxResolvers = 1 << 12
	maxScanned   = 64 << 20 // bytes of code of all resolvers
)

// variantFinder finds what indirect functions can be.
type variantFinder struct {
	names  *codeNames
	frames *frameTable
	known  map[uint64][]Variant  // by the address of the resolver
	named  map[string][]codeName // functions named like implementations, by what they would implement
	left   int                   // bytes of code that may still be read
}

// newVariantFinder sorts the symbols by what their names say they implement:
// __memcpy_avx_unaligned implements memcpy.
func newVariantFinder(names *codeNames, frames *frameTable) *variantFinder {
	v := &variantFinder{names: names, frames: frames, known: make(map[uint64][]Variant), named: make(map[string][]codeName), left: maxScanned}
	for _, s := range names.all {
		if s.kind != kindFunc {
			continue
		}
		words := strings.Split(strings.TrimLeft(s.name, "_"), "_")
		for i := 1; i < len(words) && i < maxTextDepth; i++ {
			if name := strings.Join(words[:i], "_"); slices.Contains(variantWords, words[i]) {
				v.named[name] = append(v.named[name], s)
			}
		}
	}
	return v
}

// of are the implementations that the resolver at an address can return:
// those that its code names, by their address or in a table, and those whose
// symbol is named like one of a function of these names.
func (v *variantFinder) of(resolver uint64) []Variant {
	if found, ok := v.known[resolver]; ok || len(v.known) == maxResolvers {
		return found
	}
	addresses := v.search(resolver)
	found := make([]Variant, 0, len(addresses))
	for _, addr := range addresses {
		found = append(found, v.variant(addr, true))
	}
	for _, name := range v.names.aliases(resolver) {
		for _, s := range v.named[strings.TrimLeft(name, "_")] {
			if len(found) < maxVariants && !slices.Contains(addresses, s.start) {
				addresses = append(addresses, s.start)
				found = append(found, v.variant(s.start, false))
			}
		}
	}
	slices.SortFunc(found, func(a, b Variant) int { return cmp.Compare(a.Address, b.Address) })
	v.known[resolver] = found
	return found
}

func (v *variantFinder) variant(addr uint64, resolver bool) Variant {
	s, ok := at(v.names.all, addr)
	if !ok || s.start != addr {
		return Variant{Address: addr, Resolver: resolver}
	}
	return Variant{Name: cleanName(s.name), Address: addr, Size: s.end - s.start, Resolver: resolver}
}

// search reads the resolver. A helper that it jumps to is a part of it; one
// that it calls is read only if nothing was found yet: most that are called
// only ask what the processor can do.
func (v *variantFinder) search(resolver uint64) (found []uint64) {
	todo, seen := []uint64{resolver}, map[uint64]bool{}
	var called []uint64
	for len(seen) < maxHelpers {
		if len(todo) == 0 {
			if len(found) > 0 || len(called) == 0 {
				break
			}
			todo, called = called, nil
		}
		addr := todo[0]
		todo = todo[1:]
		if seen[addr] {
			continue
		}
		seen[addr] = true
		s := v.scan(addr)
		todo, called = append(todo, s.jumps...), append(called, s.calls...)
		for _, a := range s.functions {
			if !slices.Contains(found, a) && len(found) < maxVariants {
				found = append(found, a)
			}
		}
	}
	return found
}

// scanned is what the code of one function refers to.
type scanned struct{ functions, jumps, calls []uint64 }

func (v *variantFinder) scan(addr uint64) (out scanned) {
	s, ok := at(v.names.all, addr)
	if v.left -= int(min(s.end-addr, maxFunction)); !ok || s.end-s.start > maxFunction || s.end == addr || v.left < 0 {
		return out
	}
	code, err := v.names.lib.read(addr, s.end-addr)
	if err != nil {
		return out
	}
	for pos := 0; pos < len(code); {
		inst, ok := Decode(code[pos:])
		if !ok {
			pos++
			continue
		}
		at := addr + uint64(pos)
		pos += inst.Len
		if br, ok := directBranch(inst, 0); ok {
			to := at + uint64(br.to)
			switch {
			case br.call:
				out.calls = append(out.calls, to)
			case to < s.start || to >= s.end:
				out.jumps = append(out.jumps, to)
			}
			continue
		}
		if mem, ok := inst.Args[1].(x86asm.Mem); ok && mem.Base == x86asm.RIP {
			target := at + uint64(inst.Len) + uint64(int64(int32(mem.Disp)))
			out.functions = append(out.functions, v.functionsAt(target, inst.Op == x86asm.LEA)...)
		}
	}
	return out
}

// functionsAt are the functions that an operand means: the address itself, a
// slot that holds one, or a table of them.
func (v *variantFinder) functionsAt(addr uint64, address bool) (found []uint64) {
	if address && v.isFunction(addr) {
		return []uint64{addr}
	}
	end := addr + 8
	if s, ok := at(v.names.all, addr); ok && s.end > end {
		end = min(s.end, addr+8*maxSelection)
	}
	for ; addr < end; addr += 8 {
		r, ok := v.names.slots[addr]
		if !ok {
			continue
		}
		to := uint64(r.Addend)
		if r.Symbol > 0 && r.Symbol < len(v.names.dynamic) {
			to += v.names.dynamic[r.Symbol].Address
		}
		if v.isFunction(to) {
			found = append(found, to)
		}
	}
	return found
}

// isFunction says whether a function starts at an address.
func (v *variantFinder) isFunction(addr uint64) bool {
	if !v.names.executable(addr) {
		return false
	}
	if s, ok := at(v.names.all, addr); ok && s.start == addr && s.kind == kindFunc {
		return true
	}
	_, ok := slices.BinarySearch(v.frames.start, addr)
	return ok
}

// variantWords are what implementations are named after: processor features,
// and the kinds of code that is written for them.
var variantWords = []string{
	"sse", "sse2", "sse3", "ssse3", "sse4", "sse41", "sse42", "avx", "avx2", "avx512", "avx512f", "evex", "evex256", "evex512",
	"fma", "fma4", "erms", "rtm", "unaligned", "ia32", "c", "generic", "aesni", "shaext", "shani", "bmi2", "adx", "clmul", "syscall",
}

// indirect finds, for an implementation, the IFUNCs that can choose it and all
// of their implementations.
func (v *variantFinder) indirect(addr uint64) (names []string, variants []Variant) {
	for _, s := range v.names.all {
		if s.kind != kindIFunc {
			continue
		}
		found := v.of(s.start)
		if !slices.ContainsFunc(found, func(w Variant) bool { return w.Address == addr }) {
			continue
		}
		names = append(names, cleanName(s.name))
		for _, w := range found {
			if !slices.ContainsFunc(variants, func(o Variant) bool { return o.Address == w.Address }) && len(variants) < maxVariants {
				variants = append(variants, w)
			}
		}
	}
	slices.Sort(names)
	slices.SortFunc(variants, func(a, b Variant) int { return cmp.Compare(a.Address, b.Address) })
	return slices.Compact(names), variants
}
