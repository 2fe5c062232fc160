package elfinfo

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// The dynamic symbols of a real libc, against debug/elf, which reads them
// through the section headers.
func TestLibcSymbols(t *testing.T) {
	path := libcPath(t)
	got, err := open(t, path).DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	reference, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reference.Close()
	want, err := reference.DynamicSymbols()
	if err != nil || len(want) < 1000 {
		t.Fatalf("%d symbols, %v", len(want), err)
	}
	line := func(name, version string, undefined bool, value, size uint64) string {
		return fmt.Sprintf("%s %s %v %#x %d", name, version, undefined, value, size)
	}
	var a, b []string
	for _, s := range got {
		a = append(a, line(s.Name, s.Version, s.Undefined, s.Address, s.Size))
	}
	for _, s := range want {
		if elf.ST_BIND(s.Info) != elf.STB_LOCAL {
			b = append(b, line(s.Name, s.Version, s.Section == elf.SHN_UNDEF, s.Value, s.Size))
		}
	}
	if !slices.Equal(a, b) {
		t.Errorf("%d symbols, debug/elf has %d", len(a), len(b))
	}
}

func TestLibcRecord(t *testing.T) {
	lib := open(t, libcPath(t))
	b, err := NewBuild(lib, nil, []string{"malloc", "read", "memcpy", "qsort", "environ", "_int_malloc"})
	if err != nil {
		t.Fatal(err)
	}
	if f := function(t, b, "malloc"); f.Entry.Err() != nil || f.Unwind != (Unwind{}) {
		t.Errorf("malloc: %+v, %+v", f.Entry, f.Unwind)
	}
	if f := function(t, b, "read"); !f.Unwind.Cancellation {
		t.Error("read is no cancellation point")
	}
	if f := function(t, b, "memcpy"); f.Kind != "ifunc" || f.Entry.Kind != EntryNone {
		t.Errorf("memcpy: %s, %+v", f.Kind, f.Entry)
	}
	if v, err := b.Variable("environ"); err != nil || v.Size != 8 {
		t.Errorf("environ: %+v, %v", v, err)
	}
	var w bytes.Buffer
	if err := b.Encode(&w); err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeBuild(&w); err != nil {
		t.Error(err)
	}
}

func TestLibcDebugFile(t *testing.T) {
	lib := open(t, libcPath(t))
	id := string(lib.BuildID())
	path := "/usr/lib/debug/.build-id/" + id[:2] + "/" + id[2:] + ".debug"
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the debug symbols of libc are not installed: %v", err)
	}
	b, err := NewBuild(lib, open(t, path), []string{"_int_malloc", "main_arena", "__libc_malloc", "atoi", "bsearch"})
	if err != nil {
		t.Fatal(err)
	}
	f := function(t, b, "__libc_malloc")
	if f.Prototype != "void *__libc_malloc(size_t bytes)" || f.Source != "malloc.c" || f.Entry.Kind != EntryStock {
		t.Errorf("__libc_malloc: %q in %q, %+v", f.Prototype, f.Source, f.Entry)
	}
	if f := function(t, b, "_int_malloc@malloc.c"); f.Binding != "local" || !strings.HasPrefix(f.Prototype, "void *_int_malloc(mstate av") {
		t.Errorf("_int_malloc: %+v", f.Prototype)
	}
	if v, err := b.Variable("main_arena@malloc.c"); err != nil || v.Size == 0 {
		t.Errorf("main_arena: %+v, %v", v, err)
	}
	if f := function(t, b, "atoi"); len(f.InlinedInto) == 0 {
		t.Error("atoi is inlined nowhere; libc's own header makes it inline")
	}
	if f := function(t, b, "bsearch"); !f.Unwind.CallsBack {
		t.Error("bsearch does not call back")
	}
}

// Hardly a function of libc cannot be detoured, and every reason is one of the known.
func TestLibcEntries(t *testing.T) {
	lib := open(t, libcPath(t))
	symbols, err := lib.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"a detour needs", "lands at", "leads back", "after an unconditional jump"}
	count := map[EntryKind]int{}
	for _, s := range symbols {
		if s.Kind != kindFunc || s.Undefined {
			continue
		}
		code, err := lib.ReadAt(s.Address, int(s.Size))
		if err != nil {
			t.Fatal(err)
		}
		e := AnalyzeEntry(code, nil, s.Address)
		count[e.Kind]++
		if e.Kind == EntryNone && !slices.ContainsFunc(known, func(k string) bool { return strings.Contains(e.Reason, k) }) {
			t.Errorf("%s: %s", s.Name, e.Reason)
		}
	}
	if count[EntryStock] < 20*count[EntryNone] {
		t.Errorf("entries: %v", count)
	}
}
