package livepatch

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// canonical is patchDescription as it is hashed.
const canonical = "! bsc#1200316, jsc#SLE-20049\n! and CVE-2021-3449\npatch.so\n@libtarget.so.1\nvalue:value_lp\n" +
	"other@second.c:other_lp\n#counter@first.c:klp_counter\n#%banner:klp_banner\n#table:hidden_counter:4040:0\n"

// canonicalMD4 was computed by openssl dgst -md4.
const canonicalMD4 = "15b62b82b8e1862188c43d50632b08a2"

func symbolValue(t testing.TB, data []byte, name string) uint64 {
	t.Helper()
	symbols, err := openELF(t, data).Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name == name {
			return s.Value
		}
	}
	t.Fatalf("no symbol %s", name)
	return 0
}

func TestPackedContainer(t *testing.T) {
	file := patchELF(t)
	data := packed(t)
	c, err := ReadContainer("patch.so", data)
	if err != nil {
		t.Fatal(err)
	}
	note, err := openELF(t, file).Section(".note.gnu.build-id").Data()
	if err != nil {
		t.Fatal(err)
	}
	apply := &Metadata{
		Type: 1, BuildID: testBuildID(), Target: "libtarget.so.1",
		Units: []MetadataUnit{{"value", "value_lp", 0x1100}, {"other", "other_lp", 0x1180}},
		References: []MetadataReference{
			{Target: "table", Reference: "hidden_counter", TargetOffset: 0x4040, PatchOffset: symbolValue(t, file, "hidden_counter")},
			{Target: "banner", Reference: "klp_banner", TargetOffset: 0x10, PatchOffset: symbolValue(t, file, "klp_banner"), TLS: true},
			{Target: "counter", Reference: "klp_counter", TargetOffset: 0x4010, PatchOffset: symbolValue(t, file, "klp_counter")},
		},
	}
	copy(apply.PatchID[:16], note[16:])
	copy(apply.PatchID[16:], unhex(t, canonicalMD4))
	info := testInfo()
	info.Comments = []string{" bsc#1200316, jsc#SLE-20049", " and CVE-2021-3449"}
	info.References = []string{"bsc#1200316", "jsc#SLE-20049", "CVE-2021-3449"}
	sum := sha256.Sum256(data)
	want := &Container{
		Name: "patch.so", Data: data, ID: hex.EncodeToString(sum[:]), Comments: " bsc#1200316, jsc#SLE-20049\n",
		Apply: apply, Revert: &Metadata{Type: 2, PatchID: apply.PatchID, BuildID: apply.BuildID, Target: apply.Target}, Info: info,
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
	if c.BuildID() != info.BuildID {
		t.Errorf("build-id %s", c.BuildID())
	}
	if diff := cmp.Diff(info.References, c.References()); diff != "" {
		t.Error(diff)
	}
	c.Info = nil // as libpulp's packer leaves it, and the first line alone
	if diff := cmp.Diff(info.References[:2], c.References()); diff != "" {
		t.Error(diff)
	}
	f := openELF(t, data)
	if got, _ := f.Section(".ulp.comments").Data(); string(got) != " bsc#1200316, jsc#SLE-20049\n\x00" {
		t.Errorf(".ulp.comments holds %q", got)
	}
	names := sectionNames(t, data)
	if diff := cmp.Diff([]string{".ulp", ".ulp.comments", ".ulp.rev", ".lpbuild", ".symtab"}, names[len(names)-7:len(names)-2]); diff != "" {
		t.Error(diff)
	}
}

func TestCanonicalText(t *testing.T) {
	if got := string(parse(t, patchDescription).Bytes()); got != canonical {
		t.Errorf("got %q", got)
	}
}

func TestPackDoesNotDependOnFolders(t *testing.T) {
	in := testInput(t)
	in.Description.Container, in.Description.Target = "/somewhere/else/patch.so", "libtarget.so.1"
	out, err := Pack(patchELF(t), in)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out, packed(t)) {
		t.Error("the container differs")
	}
}

func TestPackAgainGivesTheSameFile(t *testing.T) {
	once := packed(t)
	twice, err := Pack(once, testInput(t))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(once, twice) {
		t.Errorf("%d bytes, then %d", len(once), len(twice))
	}
}

func TestPackAgainWithoutCommentRemovesIt(t *testing.T) {
	in := testInput(t)
	in.Description.Comments, in.Info = nil, nil
	out, err := Pack(packed(t), in)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ReadContainer("patch.so", out)
	if err != nil || c.Comments != "" || c.Info != nil {
		t.Errorf("comments %q, info %v, %v", c.Comments, c.Info, err)
	}
	if id := hex.EncodeToString(testBuildID()); c.BuildID() != id {
		t.Errorf("build-id %s", c.BuildID())
	}
}

func TestPackDependsInReverse(t *testing.T) {
	in := testInput(t)
	in.Description.Depends = []string{"a.ulp", "b.ulp"}
	in.Depends = [][32]byte{{1}, {2}}
	out, err := Pack(patchELF(t), in)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ReadContainer("patch.so", out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][32]byte{{2}, {1}}, c.Apply.Depends); diff != "" {
		t.Error(diff)
	}
	ulp, _ := openELF(t, out).Section(".ulp").Data()
	for name, data := range map[string][]byte{"container": out, "bare section": ulp} {
		if id, err := ReadPatchID(name, data); err != nil || id != c.Apply.PatchID {
			t.Errorf("%s: id %x, %v", name, id, err)
		}
	}
	rev, _ := openELF(t, out).Section(".ulp.rev").Data()
	if _, err := ReadPatchID("rev", rev); !errors.Is(err, ErrCorrupt) {
		t.Errorf(".ulp.rev as a dependency: %v", err)
	}
}

// Build-ids are not always those of SHA-1.
func TestPackOtherBuildIDs(t *testing.T) {
	for _, tt := range []struct {
		name string
		id   []byte
		ulp  string
	}{
		{"8 bytes", testBuildID()[:8], "0102030405060708000000000000000000000000"},
		{"32 bytes", append(testBuildID(), make([]byte, 12)...), "0102030405060708090a0b0c0d0e0f1011121314"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := testInput(t)
			in.BuildID = tt.id
			out, err := Pack(patchELF(t), in)
			if err != nil {
				t.Fatal(err)
			}
			c, err := ReadContainer("patch.so", out)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(c.Apply.BuildID); got != tt.ulp || c.BuildID() != hex.EncodeToString(tt.id) {
				t.Errorf(".ulp has %s, container %s", got, c.BuildID())
			}
		})
	}
}

func TestPackRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		source string
		flags  []string
		change func(*PackInput)
		want   string
	}{
		{"replacement missing", "", nil, func(in *PackInput) { in.Description.Units[0].New = "absent" }, "patch.dsc:5:1: absent is not an exported function of patch.so"},
		{"replacement local", "", nil, func(in *PackInput) { in.Description.Units[0].New = "helper" }, "helper is not an exported function"},
		{"replacement imported", patchSource + "int puts(const char *); int use(void) { return puts(\"\"); }", nil, func(in *PackInput) { in.Description.Units[0].New = "puts" }, "puts is not an exported function"},
		{"replacement is data", "", nil, func(in *PackInput) { in.Description.Units[0].New = "klp_counter" }, "klp_counter is not an exported function"},
		{"variable missing", "", nil, func(in *PackInput) { in.Description.References[0].Reference = "absent" }, "patch.dsc:7:1: absent is not a variable of patch.so"},
		{"variable is a function", "", nil, func(in *PackInput) { in.Description.References[0].Reference = "helper" }, "helper is not a variable"},
		{"variable too small for TLS", "", nil, func(in *PackInput) { in.Description.References[0].TLS = true }, "klp_counter has 8 bytes, a reference needs 16"},
		{"variable read-only", strings.Replace(patchSource, "int *klp_counter", "const long klp_counter[2] = {1, 2}", 1), nil, nil, "is not in writable memory"},
		{"explicit offset outside", "", nil, func(in *PackInput) { in.Description.References[2].PatchOffset = 1 << 40 }, "offset 0x10000000000 is not in writable memory"},
		{"variable ambiguous", "", []string{"TWICE"}, nil, "hidden_counter is ambiguous"},
		{"one function under two names", "", nil, func(in *PackInput) { in.Addresses[1] = 0x1100 }, "patch.dsc:6:1: other@second.c is the same function as value in line 5 (address 0x1100)"},
		{"no build-id", "", []string{"-Wl,--build-id=none"}, nil, "no GNU build-id"},
		{"no target build-id", "", nil, func(in *PackInput) { in.BuildID = nil }, "patch.dsc:4:2: target's build-id has 0 bytes"},
		{"address missing", "", nil, func(in *PackInput) { in.Addresses = in.Addresses[:1] }, "1 addresses for 2 functions"},
		{"offset missing", "", nil, func(in *PackInput) { in.TargetOffsets = nil }, "0 offsets for 3 references"},
		{"patch id missing", "", nil, func(in *PackInput) { in.Description.Depends = []string{"a.ulp"} }, "0 patch ids for 1 dependencies"},
		{"info of another function", "", nil, func(in *PackInput) { in.Info.Functions[0].Old = "other" }, "function 0 is other in .lpbuild, value in .ulp"},
		{"info of another address", "", nil, func(in *PackInput) { in.Info.Functions[0].Address++ }, "function 0 is value"},
		{"info of other functions", "", nil, func(in *PackInput) { in.Info.Functions = in.Info.Functions[:1] }, ".lpbuild has 1 functions, .ulp 2"},
		{"bad info", "", nil, func(in *PackInput) { in.Info.Soname = "" }, "soname"},
		{"description made by hand", "", nil, func(in *PackInput) { in.Description.Units[0].Old = "a\nb" }, "':' expected"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := patchELF(t)
			if tt.flags != nil || tt.source != "" {
				file = compileVariant(t, tt.source, tt.flags)
			}
			in := testInput(t)
			if tt.change != nil {
				tt.change(&in)
			}
			out, err := Pack(file, in)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %d bytes, %v\nwant %q", len(out), err, tt.want)
			}
		})
	}
}

// compileVariant compiles patchSource unless another source is given. The flag
// TWICE adds a second file with a local variable of the same name.
func compileVariant(t *testing.T, source string, flags []string) []byte {
	if source == "" {
		source = patchSource
	}
	if len(flags) == 1 && flags[0] == "TWICE" {
		second := t.TempDir() + "/second.c"
		writeFile(t, second, []byte("static long hidden_counter[2] __attribute__((used));\n"))
		flags = []string{second}
	}
	return compile(t, source, flags...)
}

// An exported variable is preferred to a local one of another source file.
func TestPackPrefersExportedVariable(t *testing.T) {
	second := t.TempDir() + "/second.c"
	writeFile(t, second, []byte("static long klp_counter[2] __attribute__((used));\n"))
	file := compile(t, patchSource, second)
	out, err := Pack(file, testInput(t))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ReadContainer("patch.so", out)
	if err != nil {
		t.Fatal(err)
	}
	dynamic, err := openELF(t, file).DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range dynamic {
		if s.Name == "klp_counter" && c.Apply.References[2].PatchOffset != s.Value {
			t.Errorf("offset %#x, want %#x", c.Apply.References[2].PatchOffset, s.Value)
		}
	}
}

func TestReadContainerRefuses(t *testing.T) {
	section := func(name string, change func(b []byte) []byte) []byte {
		data := packed(t)
		b, err := openELF(t, data).Section(name).Data()
		if err != nil {
			t.Fatal(err)
		}
		return embed(t, data, []Section{{Name: name, Data: change(b)}})
	}
	flip := func(off int) func([]byte) []byte {
		return func(b []byte) []byte { b[off] ^= 1; return b }
	}
	class32, exec := packed(t), packed(t)
	class32[elf.EI_CLASS] = byte(elf.ELFCLASS32)
	exec[16] = byte(elf.ET_EXEC)
	alloc := packed(t)
	setFlags(t, alloc, ".ulp", elf.SHF_ALLOC)
	for _, tt := range []struct {
		name string
		data []byte
		err  error
		want string
	}{
		{"text", []byte("root:x:0:0\n"), ErrNoMetadata, "not an ELF file"},
		{"plain library", patchELF(t), ErrNoMetadata, "x.so: no live-patch metadata"},
		{"32 bit", class32, ErrUnsupported, "ELFCLASS32"},
		{"static program", exec, ErrUnsupported, "ET_EXEC"},
		{"loaded section", alloc, ErrCorrupt, ".ulp: type 0x1, flags 0x2"},
		{"revert in .ulp", section(".ulp", func([]byte) []byte { return unhex(t, tlsRevert) }), ErrCorrupt, ".ulp: type 2"},
		{"trailing byte in .ulp", section(".ulp", func(b []byte) []byte { return append(b, 0) }), ErrCorrupt, ".ulp: offset"},
		{"patch ids differ", section(".ulp.rev", flip(5)), ErrCorrupt, "of another patch"},
		{"build-ids differ", section(".ulp.rev", flip(40)), ErrCorrupt, "for another target"},
		{"targets differ", section(".ulp.rev", flip(65)), ErrCorrupt, "for another target"},
		{".lpbuild of another build", section(".lpbuild", func([]byte) []byte {
			i := testInfo()
			i.BuildID = strings.Repeat("ab", 20)
			return encodeInfo(t, i)
		}), ErrCorrupt, "for another build-id"},
		{".lpbuild of another function", section(".lpbuild", func([]byte) []byte {
			i := testInfo()
			i.Functions[1].Old = "third@second.c"
			return encodeInfo(t, i)
		}), ErrCorrupt, "function 1 is third@second.c"},
		{"newer .lpbuild", section(".lpbuild", func(b []byte) []byte { b[8] = 9; return b }), ErrNewerFormat, "format 9"},
		{"damaged .lpbuild", section(".lpbuild", flip(100)), ErrCorrupt, "checksum differs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadContainer("x.so", tt.data)
			if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "x.so: ") {
				t.Errorf("got %v, want %v with %q", err, tt.err, tt.want)
			}
		})
	}
}

// setFlags overwrites sh_flags of a section.
func setFlags(t *testing.T, data []byte, name string, flags elf.SectionFlag) {
	img, err := parseImage(data)
	if err != nil {
		t.Fatal(err)
	}
	i, err := img.section(name)
	if err != nil || i < 0 {
		t.Fatalf("section %s: %d, %v", name, i, err)
	}
	data[int(img.header.Shoff)+i*sectionSize+8] = byte(flags)
}

func TestContainerTruncatedAtEveryByte(t *testing.T) {
	data := packed(t)
	for n := range data {
		_, err := ReadContainer("x.so", data[:n])
		if n < 4 && !errors.Is(err, ErrNoMetadata) || n >= 4 && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%d of %d bytes: %v", n, len(data), err)
		}
	}
}

// Whatever byte is damaged, the file is refused or is another live patch.
func TestContainerWithOneByteChanged(t *testing.T) {
	data := packed(t)
	original, err := ReadContainer("x.so", data)
	if err != nil {
		t.Fatal(err)
	}
	id, refused := original.ID, 0
	for off := range data {
		data[off] ^= 0xff
		c, err := ReadContainer("x.so", data)
		switch {
		case err != nil:
			refused++
		case c.ID == id:
			t.Fatalf("byte %#x is not part of the identity", off)
		}
		data[off] ^= 0xff
	}
	// All of .lpbuild and nearly all of .ulp and .ulp.rev are covered by checks.
	if refused < 1000 {
		t.Errorf("only %d of %d changes were refused", refused, len(data))
	}
}

func TestOpenContainer(t *testing.T) {
	dir := t.TempDir()
	data := packed(t)
	writeFile(t, dir+"/patch.so", data)
	c, err := OpenContainer(dir + "/patch.so")
	if err != nil || c.Name != dir+"/patch.so" || !bytes.Equal(c.Data, data) {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := OpenContainer(dir); !errors.Is(err, ErrNoMetadata) || err.Error() != dir+": not a regular file: no live-patch metadata" {
		t.Errorf("folder: %v", err)
	}
	if _, err := OpenContainer(dir + "/absent.so"); err == nil || err.Error() != dir+"/absent.so: no such file or directory" {
		t.Errorf("absent: %v", err)
	}
	if err := syscall.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenContainer(dir + "/fifo"); !errors.Is(err, ErrNoMetadata) {
		t.Errorf("FIFO: %v", err)
	}
	if err := os.Truncate(dir+"/patch.so", MaxContainer+1); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenContainer(dir + "/patch.so"); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("large file: %v", err)
	}
}
