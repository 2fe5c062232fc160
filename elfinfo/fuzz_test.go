package elfinfo

import (
	"bytes"
	"debug/dwarf"
	"debug/elf"
	"testing"
)

// readEverything does all that can be done with a file. Whatever the file
// holds, it only has to come back.
func readEverything(data []byte) error {
	f, err := newFile(data)
	if err != nil {
		return err
	}
	f.TextTail()
	f.HasSection(".text")
	for _, s := range f.Segments() {
		f.ReadAt(s.Vaddr, int(min(s.Filesz, maxRead)))
	}
	f.DynamicSymbolTable()
	f.Relocations()
	names := []string{"first", "second", "helper", "counter", "pointer"}
	b, err := NewRecord(f, f, Wanted{Names: names, Types: []string{"struct item", "item", "hook_t"}})
	if err != nil {
		return err
	}
	compareWithItself(b)
	return nil
}

// compareWithItself returns the first difference of a type from itself.
func compareWithItself(b *Build) string {
	for _, functions := range b.Functions {
		for _, f := range functions {
			b.TypeText(f.Type)
			if diff := CompareTypes(b, f.Type, b, f.Type).Differences; len(diff) > 0 {
				return diff[0]
			}
		}
	}
	return ""
}

// memory is an io.ReaderAt over an address space with one mapping.
type memory struct {
	base int64
	data []byte
}

func (m memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.data).ReadAt(p, off-m.base)
}

func readImage(data []byte) {
	const base = 0x7f0000000000
	f, err := NewImage("image", memory{base, data}, base)
	if err != nil {
		return
	}
	f.TextTail()
	f.DynamicSymbols()
	f.Relocations()
}

func TestTruncationAtEveryByte(t *testing.T) {
	data := small(t)
	if err := readEverything(data); err != nil {
		t.Fatalf("the whole file: %v", err)
	}
	for n := range data {
		if err := readEverything(data[:n]); err == nil {
			t.Errorf("a record from %d of %d bytes", n, len(data))
		}
		readImage(data[:n])
	}
}

// Every byte of the tables in turn has all bits set, or none.
func TestDamageToEveryByte(t *testing.T) {
	data := small(t)
	for i := range data {
		for _, v := range []byte{0x00, 0xff} {
			c := bytes.Clone(data)
			c[i] = v
			readEverything(c)
			readImage(c)
		}
	}
}

func FuzzFile(f *testing.F) {
	seeds := [][]byte{small(f)}
	for _, flags := range [][]string{{"-Wl,--hash-style=sysv"}, {"-g", "-gdwarf-4", "-gz=zlib"}, {patchable, "-fcf-protection=full"}} {
		seeds = append(seeds, read(f, compile(f, library{source: smallSource, flags: flags})))
	}
	for _, s := range seeds {
		f.Add(s)
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		readEverything(data)
		readImage(data)
	})
}

// A record that is read is written again without change of meaning.
func FuzzDecodeBuild(f *testing.F) {
	seed := encode(f, sample(f))
	if len(seed) == 0 {
		f.Fatal("no seed")
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := DecodeBuild(bytes.NewReader(data))
		if err != nil {
			return
		}
		first := encode(t, b)
		again, err := DecodeBuild(bytes.NewReader(first))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, encode(t, again)) {
			t.Error("encoding again gives other bytes")
		}
		for name := range b.Functions {
			b.Function(name)
			b.Variable(name)
		}
		compareWithItself(b)
	})
}

// Whatever debug information says, reading it ends, and what comes of it is a
// record that can be written.
func FuzzDebugInfo(f *testing.F) {
	seeds := 0
	for _, l := range []library{
		{source: typesSource, flags: []string{"-g"}},
		{source: typesSource, flags: []string{"-g", "-gdwarf-4"}},
		{source: typesSource, flags: []string{"-g", "-gdwarf-3", "-gstrict-dwarf"}},
		{sources: map[string]string{"a.cc": "struct b { virtual int v(); int x; }; struct s : b { int y : 3; }; int b::v() { return x; } extern \"C\" int f(s &x) { return x.v() + x.y; }"}, flags: []string{"-g"}},
		{sources: map[string]string{"a.S": lies("t: .uleb128 6; .asciz \"T\"; .long t-start")}},
	} {
		e, err := elf.Open(compile(f, l))
		if err != nil {
			f.Fatal(err)
		}
		section := func(name string) []byte {
			if s := e.Section(name); s != nil {
				data, _ := s.Data()
				return data
			}
			return nil
		}
		f.Add(section(".debug_abbrev"), section(".debug_info"), section(".debug_str"))
		seeds++
	}
	if seeds == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, abbrev, info, str []byte) {
		defer func() { _ = recover() }() // of debug/dwarf; see recoverTo
		data, err := dwarf.New(abbrev, nil, nil, info, nil, nil, nil, str)
		if err != nil {
			return
		}
		found, err := walkDebugInfo(&dwarfData{main: data}, debugWanted{types: map[string]bool{"struct node": true, "s": true, "T": true}})
		if err != nil {
			return
		}
		b, reader := &Build{Functions: map[string][]Function{"f": nil}, TypeNames: map[string][]TypeID{}}, newTypeReader(found)
		for name := range found.types {
			b.TypeNames[name] = reader.named(name)
		}
		for at := range found.subprograms {
			b.Functions["f"] = append(b.Functions["f"], Function{Type: reader.function(found.root(at))})
		}
		b.mergeTypes(reader.types)
		if reason := b.checkTypes(); reason != "" {
			t.Error(reason)
		}
		if diff := compareWithItself(b); diff != "" {
			t.Error("differs from itself: " + diff)
		}
	})
}

// An entry that can be redirected lies in the function, and no instruction is cut.
func FuzzAnalyzeEntry(f *testing.F) {
	seeds := []string{
		"9090c3", "f30f1efa6690c3", "4155415455534883ec08c3", "4885ff781b90c3", "c5fb100501000000c3",
		"554889e590c306b8ebf7909090", "62f17c481007", "48ffc7803f0075f8c3",
	}
	for _, s := range seeds {
		f.Add(code(f, s), bytes.Repeat([]byte{0x90}, PadBefore))
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, code, before []byte) {
		e := AnalyzeEntry(code, before, 0x1000)
		callsThroughPointer(code, 0x1000, func(uint64) bool { return false })
		fn := Function{Size: uint64(len(code)), Bytes: code}
		if len(before) >= PadBefore {
			fn.Before = before[:PadBefore]
		}
		if reason := e.check(&fn); reason != "" {
			t.Errorf("% x after % x: %s", code, before, reason)
		}
	})
}
