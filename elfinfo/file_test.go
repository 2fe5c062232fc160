package elfinfo

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestNewFileRefuses(t *testing.T) {
	good := small(t)
	change := func(at int, b ...byte) []byte {
		c := bytes.Clone(good)
		copy(c[at:], b)
		return c
	}
	for _, tc := range []struct {
		name string
		data []byte
		want error
		text string
	}{
		{name: "empty", data: nil, want: ErrFormat, text: "ELF header"},
		{name: "script", data: []byte("#!/bin/sh\n" + strings.Repeat(" ", 100)), want: ErrFormat, text: "magic"},
		{name: "32 bit", data: change(elf.EI_CLASS, 1), want: ErrMachine, text: "ELFCLASS32"},
		{name: "big endian", data: change(elf.EI_DATA, 2), want: ErrMachine, text: "ELFDATA2MSB"},
		{name: "arm64", data: change(18, byte(elf.EM_AARCH64)), want: ErrMachine, text: "EM_AARCH64"},
		{name: "core", data: change(16, byte(elf.ET_CORE)), want: ErrFormat, text: "ET_CORE"},
		{name: "program headers beyond the end", data: change(32, 0xff, 0xff, 0xff, 0x7f), want: ErrFormat, text: "program headers"},
		{name: "too many program headers", data: change(56, 0xff, 0xff), want: ErrFormat, text: "65535 program headers"},
		{name: "truncated", data: good[:1000], want: ErrFormat, text: "program header 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := newFile(tc.data)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v, want %v with %q", err, tc.want, tc.text)
			}
		})
	}
}

func TestOpenRefusesFolders(t *testing.T) {
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrFormat) {
		t.Errorf("got %v", err)
	}
	if _, err := Open("/nonexistent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestBuildID(t *testing.T) {
	for _, tc := range []struct {
		name, flag string
		want       string
		wantErr    bool
	}{
		{name: "one byte", flag: "-Wl,--build-id=0xa7", want: "a7"},
		{name: "sha1", flag: "-Wl,--build-id=0x" + strings.Repeat("5c", 20), want: strings.Repeat("5c", 20)},
		{name: "64 bytes", flag: "-Wl,--build-id=0x" + strings.Repeat("01", 64), want: strings.Repeat("01", 64)},
		{name: "65 bytes", flag: "-Wl,--build-id=0x" + strings.Repeat("01", 65), wantErr: true},
		{name: "none", flag: "-Wl,--build-id=none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := Open(compile(t, library{source: "int f(void) { return 1; }", flags: []string{tc.flag}}))
			if tc.wantErr {
				if !errors.Is(err, ErrFormat) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if got := string(f.BuildID()); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestFacts(t *testing.T) {
	f := open(t, compile(t, library{source: smallSource, flags: []string{"-lm", "-Wl,--no-as-needed"}}))
	if f.Soname() != "libtest.so.1" || !slices.Contains(f.Needed(), "libc.so.6") {
		t.Errorf("soname %q, needed %q", f.Soname(), f.Needed())
	}
	if !f.HasSection(".text") || f.HasSection(".nothing") || f.DebugOnly() || f.Header().Type != elf.ET_DYN {
		t.Errorf("sections, kind or type wrong: %+v", f.Header())
	}
}

// What the dynamic section says is all there is to see of a mapped file.
func TestDynamicSymbolsWithoutSections(t *testing.T) {
	for _, style := range []string{"gnu", "sysv", "both"} {
		t.Run(style, func(t *testing.T) {
			data := read(t, compile(t, library{source: smallSource, flags: []string{"-Wl,--hash-style=" + style}}))
			with, err := newFile(data)
			if err != nil {
				t.Fatal(err)
			}
			clear(data[40:48]) // e_shoff
			clear(data[58:64]) // e_shentsize, e_shnum, e_shstrndx
			without, err := newFile(data)
			if err != nil {
				t.Fatal(err)
			}
			a, errA := with.DynamicSymbols()
			b, errB := without.DynamicSymbols()
			if errA != nil || errB != nil || len(a) < 5 || !slices.Equal(a, b) {
				t.Errorf("with sections %v %v\nwithout %v %v", a, errA, b, errB)
			}
		})
	}
}

// ld writes a GNU hash table that covers nothing for a library that exports nothing.
func TestImportsOfLibraryWithoutExports(t *testing.T) {
	data := read(t, compile(t, library{
		sources: map[string]string{
			"a.c":   `#include <stdlib.h>` + "\n" + `void *f(size_t n) { return malloc(n); } void *(*p)(size_t) = f;`,
			"v.map": "{ local: *; };",
		},
		flags: []string{"-Wl,--hash-style=gnu", "-Wl,--version-script=$DIR/v.map"},
	}))
	clear(data[40:48])
	clear(data[58:64])
	f, err := newFile(data)
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil || !slices.ContainsFunc(symbols, func(s Symbol) bool { return s.Name == "malloc" && s.Undefined }) {
		t.Errorf("got %v, %v", symbols, err)
	}
}

func TestSymbolVersions(t *testing.T) {
	f := open(t, compile(t, library{
		sources: map[string]string{
			"a.c": `
				#include <string.h>
				__asm__(".symver old_f,f@V1\n.symver new_f,f@@V2");
				int old_f(void) { return 1; }
				int new_f(void) { return 2; }
				int only(void) { return 3; }
				void *copy(void *d, void *s, size_t n) { return memcpy(d, s, n); }`,
			"v.map": "V1 { global: f; only; local: *; }; V2 { global: f; copy; } V1;",
		},
		flags: []string{"-Wl,--version-script=$DIR/v.map"},
	}))
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []Symbol{
		{Name: "f", Version: "V1", Kind: "func", Binding: "global"},
		{Name: "f", Version: "V2", Default: true, Kind: "func", Binding: "global"},
		{Name: "only", Version: "V1", Default: true, Kind: "func", Binding: "global"},
		{Name: "memcpy", Version: "GLIBC_2.14", Library: "libc.so.6", Kind: "func", Binding: "global", Undefined: true},
		{Name: "V2", Version: "V2", Default: true, Kind: "object", Binding: "global", Absolute: true},
	} {
		found := slices.ContainsFunc(symbols, func(s Symbol) bool {
			s.Address, s.Size = 0, 0
			return s == want
		})
		if !found {
			t.Errorf("no %+v among %+v", want, symbols)
		}
	}
	// debug/elf reads the same table through the section headers.
	b, err := NewBuild(f, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(b.Symbols, func(s Symbol) bool { return s.Absolute }) {
		t.Errorf("the record holds version names as symbols: %+v", b.Symbols)
	}
}

func TestRelocations(t *testing.T) {
	f := open(t, compile(t, library{source: smallSource}))
	relocations, err := f.Relocations()
	if err != nil {
		t.Fatal(err)
	}
	table, err := f.DynamicSymbolTable()
	if err != nil || table[0].Name != "" {
		t.Fatalf("symbol 0 is %+v, %v", table[0], err)
	}
	got := map[string]elf.R_X86_64{}
	for _, r := range relocations {
		got[table[r.Symbol].Name] = r.Type
	}
	for name, want := range map[string][]elf.R_X86_64{
		"malloc":  {elf.R_X86_64_JMP_SLOT, elf.R_X86_64_GLOB_DAT},
		"table":   {elf.R_X86_64_64, elf.R_X86_64_GLOB_DAT},
		"counter": {elf.R_X86_64_DTPMOD64, elf.R_X86_64_DTPOFF64, elf.R_X86_64_TLSDESC},
		"":        {elf.R_X86_64_RELATIVE},
	} {
		if !slices.Contains(want, got[name]) {
			t.Errorf("relocation by %q: %v, want one of %v", name, got[name], want)
		}
	}
}

// Packing the relative relocations changes nothing but their place.
func TestRelrHoldsTheSameAsRela(t *testing.T) {
	source := "static int a[200]; int *p[100] = {" + strings.Repeat("&a[7], ", 100) + "}; int *gap[80] = {0, &a[1], [70] = &a[2]};"
	offsets := func(flag string) (offsets []uint64, packed bool) {
		f := open(t, compile(t, library{source: source, flags: []string{flag}}))
		relocations, err := f.Relocations()
		if err != nil {
			t.Fatal(err)
		}
		base := min(symbolAddress(t, f, "p"), symbolAddress(t, f, "gap"))
		for _, r := range relocations {
			if target := uint64(r.Addend); r.Type == elf.R_X86_64_RELATIVE {
				offsets = append(offsets, r.Offset-base)
				if target <= base {
					t.Errorf("%s: %+v points before the data at %#x", flag, r, base)
				}
			}
		}
		return offsets, f.dynamic.values[dtRelrSize] != 0
	}
	a, packed := offsets("-Wl,-z,pack-relative-relocs")
	b, plain := offsets("-Wl,-z,nopack-relative-relocs")
	if !packed || plain {
		t.Fatal("the linker does not pack as told")
	}
	slices.Sort(b)
	if len(a) != 102 || !slices.Equal(a, b) {
		t.Errorf("packed %v, not packed %v", a, b)
	}
}

func symbolAddress(t *testing.T, f *File, name string) uint64 {
	t.Helper()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name == name {
			return s.Address
		}
	}
	t.Fatalf("no symbol %q", name)
	return 0
}

func TestReadAt(t *testing.T) {
	f := open(t, compile(t, library{source: "const int answer = 0x2a2b2c2d; int zero[100];"}))
	b, err := f.ReadAt(symbolAddress(t, f, "answer"), 4)
	if err != nil || !bytes.Equal(b, []byte{0x2d, 0x2c, 0x2b, 0x2a}) {
		t.Errorf("got % x, %v", b, err)
	}
	for name, read := range map[string]func() ([]byte, error){
		"bss":        func() ([]byte, error) { return f.ReadAt(symbolAddress(t, f, "zero"), 4) },
		"unmapped":   func() ([]byte, error) { return f.ReadAt(1<<40, 1) },
		"wraps":      func() ([]byte, error) { return f.ReadAt(^uint64(0), 16) },
		"negative":   func() ([]byte, error) { return f.ReadAt(0, -1) },
		"too long":   func() ([]byte, error) { return f.ReadAt(0, maxRead+1) },
		"across end": func() ([]byte, error) { return f.ReadAt(0, 1<<20) },
	} {
		if b, err := read(); err == nil {
			t.Errorf("%s: read %d bytes", name, len(b))
		}
	}
}

func TestTextTail(t *testing.T) {
	path := compile(t, library{source: smallSource})
	f := open(t, path)
	addr, n := f.TextTail()
	var text elf.ProgHeader
	for _, s := range f.Segments() {
		if s.Type == elf.PT_LOAD && s.Flags&elf.PF_X != 0 {
			text = s
		}
	}
	if addr != text.Vaddr+text.Filesz || n == 0 || (addr+uint64(n))%pageSize != 0 {
		t.Fatalf("got %#x, %d; the text ends at %#x", addr, n, text.Vaddr+text.Filesz)
	}
	data := read(t, path)
	data[int(text.Off+text.Filesz)+n-1] = 1
	changed, err := newFile(data)
	if err != nil {
		t.Fatal(err)
	}
	if addr, n := changed.TextTail(); n != 0 {
		t.Errorf("a tail with something in it is offered: %#x, %d", addr, n)
	}
}
