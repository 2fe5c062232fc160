package livepatch

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var twoSections = []Section{{Name: ".ulp", Data: []byte("apply")}, {Name: ".lpbuild", Data: []byte("a longer section of lpbuild")}}

func embed(t testing.TB, file []byte, sections []Section) []byte {
	t.Helper()
	out, err := Embed(file, sections)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// openELF reads a file with the standard library, an independent reader.
func openELF(t testing.TB, data []byte) *elf.File {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func sectionNames(t testing.TB, data []byte) []string {
	t.Helper()
	var names []string
	for _, s := range openELF(t, data).Sections {
		names = append(names, s.Name)
	}
	return names
}

func TestEmbedPlacesSectionsBeforeSymtab(t *testing.T) {
	file := patchELF(t)
	f := openELF(t, embed(t, file, twoSections))
	var names []string
	for _, s := range f.Sections {
		names = append(names, s.Name)
	}
	tail := names[len(names)-5:]
	if diff := cmp.Diff([]string{".ulp", ".lpbuild", ".symtab", ".strtab", ".shstrtab"}, tail); diff != "" {
		t.Error(diff)
	}
	s := f.Section(".ulp")
	if s.Type != elf.SHT_PROGBITS || s.Flags != 0 || s.Addr != 0 || s.Addralign != 1 {
		t.Errorf(".ulp: %+v", s.SectionHeader)
	}
	for _, want := range twoSections {
		got, err := f.Section(want.Name).Data()
		if err != nil || !bytes.Equal(got, want.Data) {
			t.Errorf("%s holds %q, %v", want.Name, got, err)
		}
	}
}

func TestEmbedKeepsWhatIsLoadedAndEverySymbol(t *testing.T) {
	for _, flags := range [][]string{nil, {"-g"}, {"-Wl,--hash-style=sysv"}, {"-Wl,-z,noseparate-code"}, {"-s"}} {
		t.Run(strings.Join(flags, ""), func(t *testing.T) {
			file := compile(t, patchSource, flags...)
			before, out := openELF(t, file), embed(t, file, twoSections)
			after := openELF(t, out)
			for i, p := range before.Progs {
				if p.ProgHeader != after.Progs[i].ProgHeader {
					t.Errorf("segment %d changed", i)
				}
				a, b := file[p.Off:p.Off+p.Filesz], out[p.Off:p.Off+p.Filesz]
				if p.Off == 0 && len(a) > 64 { // holds the ELF header
					a, b = a[64:], b[64:]
				}
				if !bytes.Equal(a, b) {
					t.Errorf("bytes of segment %d changed", i)
				}
			}
			for _, s := range before.Sections[1:] {
				if s.Name == ".symtab" || s.Name == ".shstrtab" || s.Type == elf.SHT_NOBITS {
					continue
				}
				want, _ := s.Data()
				if got, err := after.Section(s.Name).Data(); err != nil || !bytes.Equal(got, want) {
					t.Errorf("section %s changed: %v", s.Name, err)
				}
			}
			for _, s := range after.Sections {
				if s.Addralign > 1 && s.Offset%s.Addralign != 0 {
					t.Errorf("section %s: offset %#x, alignment %d", s.Name, s.Offset, s.Addralign)
				}
			}
			if diff := cmp.Diff(symbolSections(before), symbolSections(after)); diff != "" {
				t.Errorf("symbols:\n%s", diff)
			}
			if diff := cmp.Diff(sectionLinks(before), sectionLinks(after)); diff != "" {
				t.Errorf("section links:\n%s", diff)
			}
		})
	}
}

// symbolSections describes every symbol with its section's name, which must
// survive renumbering.
func symbolSections(f *elf.File) []string {
	var all []string
	symbols, _ := f.Symbols()
	dynamic, _ := f.DynamicSymbols()
	for _, s := range append(symbols, dynamic...) {
		section := s.Section.String()
		if int(s.Section) < len(f.Sections) {
			section = f.Sections[s.Section].Name
		}
		all = append(all, fmt.Sprintf("%s %#x %d %s", s.Name, s.Value, s.Size, section))
	}
	return all
}

func sectionLinks(f *elf.File) map[string]string {
	links := make(map[string]string)
	for _, s := range f.Sections {
		if s.Name == ".ulp" || s.Name == ".lpbuild" {
			continue
		}
		links[s.Name] = f.Sections[s.Link].Name
		if s.Type == elf.SHT_RELA {
			links[s.Name] += " " + f.Sections[s.Info].Name
		}
	}
	return links
}

func TestEmbedTwiceGivesTheSameFile(t *testing.T) {
	once := embed(t, patchELF(t), twoSections)
	if twice := embed(t, once, twoSections); !bytes.Equal(once, twice) {
		t.Errorf("%d bytes after the first time, %d after the second", len(once), len(twice))
	}
}

func TestEmbedReplacesInPlaceOfTheTable(t *testing.T) {
	once := embed(t, patchELF(t), twoSections)
	out := embed(t, once, []Section{{Name: ".ulp", Data: bytes.Repeat([]byte("x"), 3000)}, {Name: ".new", Data: nil}})
	want := append([]string(nil), sectionNames(t, once)...)
	want = append(want[:len(want)-3], ".new", ".symtab", ".strtab", ".shstrtab")
	if diff := cmp.Diff(want, sectionNames(t, out)); diff != "" {
		t.Error(diff)
	}
	f := openELF(t, out)
	if got, _ := f.Section(".ulp").Data(); len(got) != 3000 {
		t.Errorf(".ulp has %d bytes", len(got))
	}
	if got, _ := f.Section(".lpbuild").Data(); !bytes.Equal(got, twoSections[1].Data) {
		t.Errorf(".lpbuild holds %q", got)
	}
}

func TestRemovingLeavesNoTrace(t *testing.T) {
	plain := embed(t, patchELF(t), nil)
	out := embed(t, embed(t, plain, twoSections), []Section{{Name: ".ulp", Remove: true}, {Name: ".lpbuild", Remove: true}, {Name: ".absent", Remove: true}})
	if !bytes.Equal(plain, out) {
		t.Errorf("%d bytes before, %d after; sections %v", len(plain), len(out), sectionNames(t, out))
	}
}

// ".tail" is stored as the end of ".long.tail", which must outlive its section.
func TestRemovingKeepsSharedNames(t *testing.T) {
	out := embed(t, patchELF(t), []Section{{Name: ".long.tail", Data: []byte("a")}, {Name: ".tail", Data: []byte("b")}})
	out = embed(t, out, []Section{{Name: ".long.tail", Remove: true}})
	s := openELF(t, out).Section(".tail")
	if s == nil {
		t.Fatalf("sections %v", sectionNames(t, out))
	}
	if got, _ := s.Data(); string(got) != "b" {
		t.Errorf(".tail holds %q", got)
	}
}

func TestEmbedRefuses(t *testing.T) {
	file := patchELF(t)
	class32 := bytes.Clone(file)
	class32[elf.EI_CLASS] = byte(elf.ELFCLASS32)
	program := bytes.Clone(file)
	program[16] = byte(elf.ET_EXEC)
	arm := bytes.Clone(file)
	arm[18] = byte(elf.EM_AARCH64)
	for _, tt := range []struct {
		name     string
		file     []byte
		sections []Section
		want     string
	}{
		{"empty file", nil, nil, "not an ELF file"},
		{"text", []byte("hello"), nil, "not an ELF file"},
		{"32 bit", class32, nil, "ELFCLASS32"},
		{"static program", program, nil, "ET_EXEC"},
		{"another machine", arm, nil, "EM_AARCH64"},
		{"header only", file[:64], nil, "outside the file"},
		{"loaded section", file, []Section{{Name: ".text"}}, "part of the program"},
		{"name table", file, []Section{{Name: ".shstrtab", Remove: true}}, "part of the program"},
		{"needed section", file, []Section{{Name: ".strtab", Remove: true}}, "refers to a removed section"},
		{"given twice", file, []Section{{Name: ".a"}, {Name: ".a"}}, "given twice"},
		{"no name", file, []Section{{}}, "name missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Embed(tt.file, tt.sections); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestEmbedTruncatedAtEveryByte(t *testing.T) {
	file := embed(t, patchELF(t), twoSections)
	for n := range file {
		if _, err := Embed(file[:n], twoSections); err == nil {
			t.Fatalf("accepted %d of %d bytes", n, len(file))
		}
	}
}

// objcopy's own result is what libpulp's tools were written against.
func TestSectionTableIsThatOfObjcopy(t *testing.T) {
	dir := t.TempDir()
	so, data, out := filepath.Join(dir, "p.so"), filepath.Join(dir, "data"), filepath.Join(dir, "out.so")
	file := patchELF(t)
	writeFile(t, so, file)
	writeFile(t, data, []byte("apply"))
	run(t, "objcopy", "--add-section", ".ulp="+data, so, out)
	ours, theirs := openELF(t, embed(t, file, twoSections[:1])), openELF(t, readFile(t, out))
	describe := func(f *elf.File) (lines []string) {
		for _, s := range f.Sections {
			lines = append(lines, fmt.Sprintf("%s %v %v %#x %d %d", s.Name, s.Type, s.Flags, s.Addr, s.Link, s.Addralign))
		}
		return lines
	}
	if diff := cmp.Diff(describe(theirs), describe(ours)); diff != "" {
		t.Error(diff)
	}
}

func TestOtherToolsReadTheResult(t *testing.T) {
	for _, tt := range []struct {
		name  string
		flags []string
	}{
		{"plain", nil}, {"debug", []string{"-g"}}, {"stripped", []string{"-s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			so, raw, stripped := filepath.Join(dir, "p.so"), filepath.Join(dir, "raw"), filepath.Join(dir, "s.so")
			writeFile(t, so, embed(t, compile(t, patchSource, tt.flags...), twoSections))
			if out := run(t, "readelf", "-aW", so); strings.Contains(strings.ToLower(out), "warning") || strings.Contains(out, "Error") {
				t.Errorf("readelf:\n%s", out)
			}
			run(t, "objcopy", "-O", "binary", "--only-section=.ulp", "--set-section-flags", ".ulp=alloc", so, raw)
			if got := readFile(t, raw); string(got) != "apply" {
				t.Errorf("objcopy extracts %q", got)
			}
			run(t, "strip", "-g", "-o", stripped, so)
			if got, _ := openELF(t, readFile(t, stripped)).Section(".lpbuild").Data(); !bytes.Equal(got, twoSections[1].Data) {
				t.Errorf("after strip -g .lpbuild holds %q", got)
			}
			run(t, "eu-elflint", "--gnu-ld", "-q", so)
		})
	}
}

func TestResultCanBeLoaded(t *testing.T) {
	dir := t.TempDir()
	so, main, exe := filepath.Join(dir, "p.so"), filepath.Join(dir, "main.c"), filepath.Join(dir, "main")
	writeFile(t, so, packed(t))
	writeFile(t, main, []byte(`
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv) {
	void *h = dlopen(argv[1], RTLD_NOW);
	if (!h) { puts(dlerror()); return 1; }
	int (*value)(void) = (int (*)(void))dlsym(h, "value_lp");
	printf("%d\n", value());
	return 0;
}`))
	run(t, "gcc", "-o", exe, main, "-ldl")
	out, err := exec.Command(exe, so).CombinedOutput()
	if err != nil || string(out) != "42\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

// Symbols and relocations may be of a section that is not loaded, and such a
// section moves when one before it is removed.
func TestSymbolsAndRelocationsFollowTheirSection(t *testing.T) {
	source := patchSource + `__asm__(".pushsection .extra,\"\"\nextra_symbol: .long 1\n.popsection");`
	file := compile(t, source, "-g")
	img, err := parseImage(file)
	if err != nil {
		t.Fatal(err)
	}
	// ld writes relocations of such sections only together with section symbols,
	// which would pin .comment; so one debug section is relabelled.
	for name, field := range map[string]int{".symtab": 40, ".debug_info": 44} {
		i, _ := img.section(name)
		forge(t, file, ".debug_line", field, 4, uint64(i))
	}
	forge(t, file, ".debug_line", 4, 4, uint64(elf.SHT_RELA))
	before, after := openELF(t, file), openELF(t, embed(t, file, []Section{{Name: ".comment", Remove: true}}))
	if len(after.Sections) != len(before.Sections)-1 {
		t.Fatalf("%d sections before, %d after", len(before.Sections), len(after.Sections))
	}
	if diff := cmp.Diff(symbolSections(before), symbolSections(after)); diff != "" {
		t.Error(diff)
	}
	want := sectionLinks(before)
	delete(want, ".comment")
	if diff := cmp.Diff(want, sectionLinks(after)); diff != "" || want[".debug_line"] != ".symtab .debug_info" {
		t.Errorf("section links %v:\n%s", want, diff)
	}
	if all := fmt.Sprint(symbolSections(after)); !strings.Contains(all, "extra_symbol 0x0 0 .extra") {
		t.Errorf("extra_symbol moved: %s", all)
	}
	if _, err := Embed(file, []Section{{Name: ".extra", Remove: true}}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("removing a section with a symbol: %v", err)
	}
}
