package elfinfo

import (
	"cmp"
	"debug/elf"
	"slices"
	"strings"
)

// maxClones bounds the clones of one function.
const maxClones = 1 << 8

// cloneKinds are the words that gcc adds to the name of what it makes of a
// function (-fipa-cp-clone, -fipa-sra, -fpartial-inlining,
// -freorder-blocks-and-partition, -flto), the deciding one first.
var cloneKinds = []string{"cold", "part", "constprop", "isra", "lto_priv"}

// cloneKind is the kind of a clone by its symbol's name, "" if the name is not
// that of a clone of one of the names.
func cloneKind(names []string, symbol string) string {
	for _, name := range names {
		rest, ok := strings.CutPrefix(symbol, name+".")
		if !ok {
			continue
		}
		words := strings.Split(rest, ".")
		for _, kind := range cloneKinds {
			if slices.Contains(words, kind) {
				return kind
			}
		}
	}
	return ""
}

// clonesOf finds the clones of a function, by symbol and by debug information.
// Of two functions of one name in different files each gets the clones that
// are from its own file, or whose file is not known.
func (r *recorder) clonesOf(f *Function) (clones []Clone) {
	own := r.names.aliases(f.Address)
	copies := r.copiesAt(f, own)
	for _, name := range own {
		for _, s := range r.clones[name] {
			if _, known := copies[s.Address]; known || s.Address == f.Address || cloneKind(own, s.Name) == "" {
				continue
			}
			if from := r.source(s); from == "" || f.Source == "" || from == f.Source {
				copies[s.Address] = Clone{Name: s.Name, Kind: cloneKind(own, s.Name), Address: s.Address, Size: s.Size}
			}
		}
	}
	for _, c := range copies {
		c.Reached = c.Kind == "cold" && slices.Contains(own, strings.TrimSuffix(plainName(c.Name), ".cold"))
		clones = append(clones, c)
	}
	slices.SortFunc(clones, func(a, b Clone) int { return cmp.Compare(a.Address, b.Address) })
	return clones[:min(len(clones), maxClones)]
}

// copiesAt are the other places where debug information says that the
// function is. Part of it may have been moved away without a symbol.
func (r *recorder) copiesAt(f *Function, own []string) map[uint64]Clone {
	copies := make(map[uint64]Clone)
	if r.info == nil {
		return copies
	}
	for _, start := range r.info.copies(f.Address, own) {
		s, ok := at(r.names.all, start)
		if start == f.Address || !ok || s.start != start {
			continue
		}
		kind := cmp.Or(cloneKind(own, s.name), "copy")
		copies[start] = Clone{Name: cleanName(s.name), Kind: kind, Address: start, Size: s.end - s.start}
	}
	return copies
}

// reachParts marks the parts of functions that only the functions themselves
// call or jump to. It looks at all code, because where a function was inlined
// partially the caller calls the part.
func (r *recorder) reachParts(b *Build) error {
	parts := make(map[uint64][]*Function)
	for _, functions := range b.Functions {
		for i := range functions {
			for j := range functions[i].Clones {
				if c := &functions[i].Clones[j]; c.Kind == "part" {
					c.Reached = true
					parts[c.Address] = append(parts[c.Address], &functions[i])
				}
			}
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return r.text(func(code []byte, addr uint64) {
		transfers(code, addr, func(from, to uint64) {
			for _, f := range parts[to] {
				if !f.holds(from) {
					f.notReached(to)
				}
			}
		})
	})
}

// holds says whether an address is in the function or in a part of it.
func (f *Function) holds(addr uint64) bool {
	return addr >= f.Address && addr-f.Address < f.Size || slices.ContainsFunc(f.Clones, func(c Clone) bool {
		return (c.Kind == "cold" || c.Kind == "part") && addr >= c.Address && addr-c.Address < c.Size
	})
}

func (f *Function) notReached(addr uint64) {
	for i := range f.Clones {
		if f.Clones[i].Address == addr {
			f.Clones[i].Reached = false
		}
	}
}

// text visits the executable segments.
func (r *recorder) text(visit func(code []byte, addr uint64)) error {
	for _, s := range r.lib.segments {
		if s.Type != elf.PT_LOAD || s.Flags&elf.PF_X == 0 {
			continue
		}
		if s.Filesz > maxSectionLen {
			return r.lib.bad("executable segment of %d bytes", s.Filesz)
		}
		code, err := r.lib.read(s.Vaddr, s.Filesz)
		if err != nil {
			return err
		}
		visit(code, s.Vaddr)
	}
	return nil
}

// transfers visits everything in code that can be a call, jmp or jcc rel32.
func transfers(code []byte, addr uint64, visit func(from, to uint64)) {
	longJumps(code, addr, visit)
	for i := 0; i+5 <= len(code); i++ {
		if code[i] == 0xe8 {
			visit(addr+uint64(i), addr+uint64(i)+5+uint64(int64(int32(le.Uint32(code[i+1:])))))
		}
	}
}
