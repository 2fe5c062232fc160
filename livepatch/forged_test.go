package livepatch

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// forge changes one section header; field is the offset in Elf64_Shdr.
func forge(t *testing.T, data []byte, section string, field int, size int, value uint64) {
	t.Helper()
	img, err := parseImage(data)
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	if section != "" {
		if i, err = img.section(section); err != nil || i < 0 {
			t.Fatalf("section %s: %d, %v", section, i, err)
		}
	}
	at := data[int(img.header.Shoff)+i*sectionSize+field:]
	if size == 4 {
		binary.LittleEndian.PutUint32(at, uint32(value))
	} else {
		binary.LittleEndian.PutUint64(at, value)
	}
}

func TestForgedSectionHeaders(t *testing.T) {
	for _, tt := range []struct {
		name, section string
		field, size   int
		value         uint64
		err           error
	}{
		{"offset outside", ".symtab", 24, 8, math.MaxUint64, ErrCorrupt},
		{"size outside", ".symtab", 32, 8, 1 << 62, ErrCorrupt},
		{"offset and size wrap", ".symtab", 32, 8, math.MaxUint64 - 15, ErrCorrupt},
		{"name outside", ".symtab", 0, 4, math.MaxUint32, ErrCorrupt},
		{"first is not null", "", 4, 4, uint64(elf.SHT_SYMTAB), ErrCorrupt},
		{"link outside", ".symtab", 40, 4, 4000, ErrCorrupt},
		{"info outside", ".rela.dyn", 44, 4, 4000, ErrCorrupt},
		{"alignment no power of two", ".comment", 48, 8, 3, ErrCorrupt},
		{"alignment huge", ".comment", 48, 8, 1 << 40, ErrCorrupt},
		{"symbol size", ".symtab", 56, 8, 23, ErrCorrupt},
		{"symbol table not whole", ".symtab", 32, 8, 25, ErrCorrupt},
		{"group", ".comment", 4, 4, uint64(elf.SHT_GROUP), ErrUnsupported},
		{"extended section numbers", ".comment", 4, 4, uint64(elf.SHT_SYMTAB_SHNDX), ErrUnsupported},
		{"name table loaded", ".shstrtab", 8, 8, uint64(elf.SHF_ALLOC), ErrUnsupported},
		{"name table no strings", ".shstrtab", 4, 4, uint64(elf.SHT_PROGBITS), ErrCorrupt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := patchELF(t)
			forge(t, data, tt.section, tt.field, tt.size, tt.value)
			if _, err := Embed(data, twoSections); !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
		})
	}
}

func TestForgedHeader(t *testing.T) {
	for _, tt := range []struct {
		name  string
		off   int
		bytes []byte
		err   error
	}{
		{"program headers outside", 32, []byte{0, 0, 0, 0, 0, 0, 0, 0xff}, ErrCorrupt},
		{"section headers outside", 40, []byte{0, 0, 0, 0, 0, 0, 0, 0xff}, ErrCorrupt},
		{"header size", 52, []byte{63, 0}, ErrCorrupt},
		{"program header size", 54, []byte{55, 0}, ErrCorrupt},
		{"many segments", 56, []byte{0xff, 0xff}, ErrCorrupt},
		{"section header size", 58, []byte{65, 0}, ErrCorrupt},
		{"many sections", 60, []byte{0xff, 0xff}, ErrCorrupt},
		{"name table outside", 62, []byte{0xff, 0x0f}, ErrCorrupt},
		{"no section table", 60, []byte{0, 0}, ErrUnsupported},
		{"big endian", elf.EI_DATA, []byte{2}, ErrUnsupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := patchELF(t)
			copy(data[tt.off:], tt.bytes)
			if _, err := Embed(data, twoSections); !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
		})
	}
}

// A file without segments must not make the offset of their table matter.
func TestNoSegments(t *testing.T) {
	data := patchELF(t)
	copy(data[32:40], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	copy(data[56:58], []byte{0, 0})
	out, err := Embed(data, twoSections)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := openELF(t, out).Section(".ulp").Data(); string(got) != "apply" {
		t.Errorf(".ulp holds %q", got)
	}
}

// A section inside a segment stays where it is, even if nothing loads it.
func TestSectionsInsideSegmentsStay(t *testing.T) {
	file := patchELF(t)
	img, err := parseImage(file)
	if err != nil {
		t.Fatal(err)
	}
	// Stretch PT_GNU_STACK, which maps nothing, over the whole file.
	for i, p := range img.segments {
		if elf.ProgType(p.Type) == elf.PT_GNU_STACK {
			at := file[int(img.header.Phoff)+i*segmentSize:]
			binary.LittleEndian.PutUint64(at[32:], uint64(len(file)))
		}
	}
	out := embed(t, file, twoSections)
	if !bytes.Equal(file[headerSize:], out[headerSize:len(file)]) {
		t.Error("bytes of the segment changed")
	}
	before, after := openELF(t, file), openELF(t, out)
	if b, a := before.Section(".symtab").Offset, after.Section(".symtab").Offset; a != b {
		t.Errorf(".symtab moved from %#x to %#x", b, a)
	}
	if again := embed(t, out, twoSections); !bytes.Equal(again, out) {
		t.Errorf("%d bytes, then %d", len(out), len(again))
	}
}

// Dynamic symbols hold the numbers of loaded sections, so those never change.
func TestLoadedSectionsKeepTheirNumbers(t *testing.T) {
	file := patchELF(t)
	forge(t, file, ".strtab", 8, 8, uint64(elf.SHF_ALLOC))
	names := sectionNames(t, embed(t, file, twoSections))
	if diff := cmp.Diff([]string{".symtab", ".strtab", ".ulp", ".lpbuild", ".shstrtab"}, names[len(names)-5:]); diff != "" {
		t.Error(diff)
	}
}

// Where the section name table also holds symbol names, nothing is cut off it.
func TestSharedNameTableOnlyGrows(t *testing.T) {
	once := embed(t, patchELF(t), twoSections)
	img, err := parseImage(once)
	if err != nil {
		t.Fatal(err)
	}
	forge(t, once, ".symtab", 40, 4, uint64(img.header.Shstrndx))
	out := embed(t, once, []Section{{Name: ".ulp", Remove: true}, {Name: ".lpbuild", Remove: true}})
	want := openELF(t, once).Section(".shstrtab").Size
	if got := openELF(t, out).Section(".shstrtab").Size; got != want {
		t.Errorf("name table of %d bytes has %d", want, got)
	}
}

// Many sections over the same bytes must not make the output grow without bound.
func TestOverlappingSectionsAreBounded(t *testing.T) {
	const sections = 40
	body := make([]byte, 2<<20)
	data := make([]byte, headerSize)
	h := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Ehsize: headerSize, Shentsize: sectionSize,
		Shnum: sections, Shstrndx: 1, Shoff: headerSize + uint64(len(body)),
	}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB)
	if _, err := binary.Encode(data, binary.LittleEndian, h); err != nil {
		t.Fatal(err)
	}
	data = append(data, body...)
	for i := range sections {
		s := elf.Section64{Type: uint32(elf.SHT_STRTAB), Off: headerSize, Size: uint64(len(body)), Addralign: 1}
		if i == 0 {
			s = elf.Section64{}
		}
		data, _ = binary.Append(data, binary.LittleEndian, s)
	}
	if out, err := Embed(data, twoSections); err == nil {
		t.Errorf("%d bytes became %d", len(data), len(out))
	}
}
