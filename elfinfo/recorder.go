package elfinfo

import (
	"cmp"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// recorder looks up names in one library.
type recorder struct {
	lib     *File
	symbols *File // has .symtab and debug information: the debug file or lib
	wanted  []string

	wantedTypes []string

	found     map[string][]definition // of the names wanted
	functions *codeMap                // all functions
	overflow  bool                    // more functions than functions can hold
	cancel    map[uint64]bool         // the functions that begin a cancellation point
	slots     map[uint64]bool         // places that relocations by name fill
	frames    *frameTable
	names     *codeNames              // what code refers to
	clones    map[string][]definition // symbols of clones, by the name of the function
	variants  *variantFinder
	info      *debugInfo // nil without debug information
	total     uint64     // bytes of code recorded
}

// collect reads all symbols.
func (r *recorder) collect(b *Build) error {
	dynamic, err := r.lib.DynamicSymbols()
	if err != nil {
		return err
	}
	b.dynamicSymbols(dynamic)
	r.found = make(map[string][]definition, len(r.wanted))
	r.cancel = make(map[uint64]bool)
	r.functions = newCodeMap()
	r.clones = make(map[string][]definition)
	for _, name := range r.wanted {
		r.found[name] = nil
	}
	if err := r.symbols.staticSymbols(r.add); err != nil {
		return err
	}
	for _, s := range b.Symbols {
		r.add(definition{Symbol: s})
	}
	if r.overflow {
		return r.symbols.bad("function symbols cover too much")
	}
	return nil
}

// add notes a definition.
func (r *recorder) add(d definition) {
	if d.Absolute || d.Kind == kindNoType {
		return
	}
	if d.Kind == kindFunc || d.Kind == kindIFunc {
		s := codeSymbol{d.Name, d.Address, d.Address + min(d.Size, maxFunction)}
		if s.end < s.start || !r.functions.add(s) {
			r.overflow = true
		}
		if base, _, ok := strings.Cut(d.Name, "."); ok && len(r.clones[base]) < maxClones && cloneKind([]string{base}, d.Name) != "" {
			r.clones[base] = append(r.clones[base], d)
		}
		if cancellationHelpers[d.Name] {
			r.cancel[d.Address] = true
		}
	}
	if same, ok := r.found[d.Name]; ok && len(same) <= maxSameName {
		r.found[d.Name] = append(same, d)
	}
}

// record looks up every name wanted.
func (r *recorder) record(b *Build) error {
	var err error
	if r.slots, err = r.lib.namedSlots(); err != nil {
		return err
	}
	if r.names, err = newCodeNames(r.lib, r.symbols); err != nil {
		return err
	}
	r.frames = r.lib.readFrames()
	r.variants = newVariantFinder(r.names, r.frames)
	if r.info, err = r.symbols.readDebugInfo(r.debugWanted()); err != nil {
		return err
	}
	b.Functions, b.Variables = make(map[string][]Function), make(map[string][]Variable)
	for _, name := range r.wanted {
		if err := r.name(b, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	r.types(b)
	if err := r.reachParts(b); err != nil {
		return err
	}
	return r.refuseFarBranches(b)
}

// name records the definitions of one name.
func (r *recorder) name(b *Build, name string) error {
	all := distinct(r.found[name])
	if len(all) > maxSameName {
		return r.symbols.bad("more than %d definitions", maxSameName)
	}
	for _, d := range all {
		if d.Kind == kindObject || d.Kind == kindTLS {
			v := Variable{Source: r.source(d), Binding: d.Binding, TLS: d.Kind == kindTLS, Address: d.Address, Size: d.Size}
			b.Variables[name] = append(b.Variables[name], v)
			continue
		}
		f, err := r.function(d)
		if err != nil {
			return err
		}
		b.Functions[name] = append(b.Functions[name], f)
	}
	if len(all) == 0 {
		b.Absent = append(b.Absent, name)
	}
	return nil
}

// distinct keeps one definition per address, by address. Old versions of the
// name count only if nothing else defines it: a reference to the bare name
// never means them.
func distinct(all []definition) []definition {
	if slices.ContainsFunc(all, func(d definition) bool { return !d.compat() }) {
		all = slices.DeleteFunc(all, definition.compat)
	}
	slices.SortStableFunc(all, func(a, b definition) int { return cmp.Compare(a.Address, b.Address) })
	var one []definition
	for _, d := range all {
		last := len(one) - 1
		if last < 0 || one[last].Address != d.Address || (one[last].Kind == kindTLS) != (d.Kind == kindTLS) {
			one = append(one, d)
			continue
		}
		// The same thing in .symtab and .dynsym, or under several versions.
		one[last].source = cmp.Or(one[last].source, d.source)
		one[last].Size = max(one[last].Size, d.Size)
		if one[last].Binding == bindingLocal {
			one[last].Binding = d.Binding
		}
	}
	return one
}

// source is the source file that defines a symbol. For functions debug
// information is asked first: assembly files have no STT_FILE of their own
// and would seem to belong to the file before.
func (r *recorder) source(d definition) string {
	if r.info != nil && d.Kind != kindTLS && d.Kind != kindObject {
		if s := r.info.source(d.Address, d.Name); s != "" {
			return s
		}
	}
	return d.source
}

// function records one function.
func (r *recorder) function(d definition) (Function, error) {
	f := Function{
		Source: r.source(d), Binding: d.Binding, Kind: d.Kind, Address: d.Address, Size: d.Size,
	}
	if f.Size > maxFunction || r.total+f.Size > maxCodeTotal {
		return f, r.lib.bad("function of %d bytes at %#x", f.Size, f.Address)
	}
	r.total += f.Size
	var err error
	if f.Bytes, err = r.code(f.Address, f.Size); err != nil {
		return f, err
	}
	sum := sha256.Sum256(f.Bytes)
	f.SHA256 = hex.EncodeToString(sum[:])
	if before, err := r.code(f.Address-PadBefore, PadBefore); err == nil {
		f.Before = before
	}
	if code, err := r.names.hash(&f); err == nil {
		f.Code = code
	}
	r.analyze(&f, d.Name)
	if r.info != nil {
		f.Prototype = r.info.prototype(f.Address, d.Name)
		f.InlinedInto = r.info.inlinedInto(f.Address, d.Name, r.symbolAt)
	}
	f.Clones = r.clonesOf(&f)
	if f.Kind == kindIFunc {
		f.Variants = r.variants.of(f.Address)
	} else {
		f.Indirect, f.Variants = r.variants.indirect(f.Address)
	}
	return f, nil
}

// code reads bytes of an executable segment.
func (r *recorder) code(addr, n uint64) ([]byte, error) {
	inText := slices.ContainsFunc(r.lib.segments, func(s elf.ProgHeader) bool {
		return s.Type == elf.PT_LOAD && s.Flags&elf.PF_X != 0 && addr >= s.Vaddr && addr-s.Vaddr < s.Filesz
	})
	if !inText {
		return nil, r.lib.bad("address %#x is not in an executable segment", addr)
	}
	b, err := r.lib.read(addr, n)
	if b == nil {
		b = []byte{}
	}
	return b, err
}

// analyze fills Entry and Unwind from the function's bytes.
func (r *recorder) analyze(f *Function, name string) {
	if f.Kind == kindIFunc {
		f.Entry = none("is an indirect function (IFUNC): patch its implementations")
		return
	}
	f.Entry = AnalyzeEntry(f.Bytes, f.Before, f.Address)
	r.refuseNeighbours(f)
	f.Unwind = Unwind{
		Personality:  r.frames.personality(f.Address),
		CallsBack:    callsThroughPointer(f.Bytes, f.Address, func(addr uint64) bool { return r.slots[addr] }),
		Cancellation: isLibc(r.lib.Soname()) && IsCancellationPoint(name),
	}
	branches(f.Bytes, func(br branch) bool {
		if r.cancel[f.Address+uint64(br.to)] {
			f.Unwind.Cancellation = true
		}
		return !f.Unwind.Cancellation
	})
}

// symbolAt is the name of the first function symbol at an address, "" if there is none.
func (r *recorder) symbolAt(addr uint64) (name string) {
	r.functions.near(addr, addr+1, func(s codeSymbol) bool {
		if s.start == addr {
			name = s.name
		}
		return name == ""
	})
	return name
}
