package elfinfo

import (
	"bytes"
	"errors"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// stripped is a library without symbols, and its debug file.
func stripped(t testing.TB, l library) (lib, debug string) {
	t.Helper()
	lib = compile(t, l)
	debug = filepath.Join(t.TempDir(), "libtest.so.1.debug")
	run(t, "objcopy", "--only-keep-debug", lib, debug)
	run(t, "objcopy", "--strip-all", "--add-gnu-debuglink="+debug, lib)
	return lib, debug
}

func TestDebugLink(t *testing.T) {
	lib, debug := stripped(t, library{source: smallSource, flags: []string{"-g"}})
	link, ok, err := open(t, lib).DebugLink()
	if err != nil || !ok || link.Name != "libtest.so.1.debug" || link.CRC32 != crc32.ChecksumIEEE(read(t, debug)) {
		t.Errorf("%+v, %v, %v", link, ok, err)
	}
	if sum, err := open(t, debug).CRC32(); err != nil || sum != link.CRC32 {
		t.Errorf("CRC %08x, %v", sum, err)
	}
	if _, ok, err := open(t, debug).DebugLink(); ok || err != nil {
		t.Errorf("a file without one: %v, %v", ok, err)
	}
}

// withSection is a copy of a library with a section more.
func withSection(t testing.TB, lib, name string, content []byte) *File {
	t.Helper()
	file, out := filepath.Join(t.TempDir(), "content"), filepath.Join(t.TempDir(), "lib")
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "objcopy", "--add-section", name+"="+file, lib, out)
	return open(t, out)
}

func TestLinksThatCannotBeRight(t *testing.T) {
	lib := compile(t, library{source: smallSource, flags: []string{"-s"}})
	id := strings.Repeat("\x01", 20)
	for _, text := range []string{"", "a", "a\x00", "a\x00\x00\x00\x01\x02\x03", "../a\x00\x00\x00\x00\x01\x02\x03\x04", "/a\x00\x00\x01\x02\x03\x04",
		"..\x00\x00\x01\x02\x03\x04", "\x00\x00\x00\x00\x01\x02\x03\x04", "a\nb\x00\x01\x02\x03\x04", strings.Repeat("a", maxLink)} {
		if link, ok, err := withSection(t, lib, sectionDebugLink, []byte(text)).DebugLink(); ok || !errors.Is(err, ErrFormat) {
			t.Errorf("%s %.20q: %+v, %v, %v", sectionDebugLink, text, link, ok, err)
		}
	}
	for _, text := range []string{"a", "a\x00", "\x00" + id, "a\x1bb\x00" + id, "a\x00" + strings.Repeat("\x01", maxBuildID+1), strings.Repeat("a", maxLink+1)} {
		if link, ok, err := withSection(t, lib, sectionAltLink, []byte(text)).AltLink(); ok || !errors.Is(err, ErrFormat) {
			t.Errorf("%s %.20q: %+v, %v, %v", sectionAltLink, text, link, ok, err)
		}
	}
	for _, text := range []string{"\x05\x00", "\x06\x00\x00a\x00\x01\x02", "\x05\x00\x00a", "\x05\x00\x00a\x00", "\x05\x00\x00a\x00\x03\x01\x02", "\x05\x00\x00\x00\x01\x02"} {
		if link, ok, err := withSection(t, lib, sectionSup, []byte(text)).AltLink(); ok || !errors.Is(err, ErrFormat) {
			t.Errorf("%s %q: %+v, %v, %v", sectionSup, text, link, ok, err)
		}
	}
}

// Files that have the build-id and are of another build all the same.
func TestCheckDebug(t *testing.T) {
	const one, two = "int first(int x) { return x * 3; }\n", "int second(int x) { return x * 5; }\n"
	flags := []string{"-g", "-Wl,--build-id=0x0123456789abcdef", "-fno-toplevel-reorder"}
	lib, debug := stripped(t, library{source: one + two, flags: flags})
	if err := open(t, lib).CheckDebug(open(t, debug)); err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]library{
		"more code":        {source: one + two + "int third(int x) { return x * 7; }\n", flags: flags},
		"another order":    {source: two + one, flags: flags},
		"other sections":   {source: one + "__attribute__((section(\".other\")))\n" + two, flags: flags},
		"other build-id":   {source: one + two, flags: append(flags[:1:1], "-Wl,--build-id=0x0123456789abcdee")},
		"without build-id": {source: one + two, flags: append(flags[:1:1], "-Wl,--build-id=none")},
	} {
		_, other := stripped(t, l)
		if err := open(t, lib).CheckDebug(open(t, other)); !errors.Is(err, ErrBuildID) {
			t.Errorf("%s: %v, want ErrBuildID", name, err)
		}
	}
	// The sources of the libraries of this machine agree with their debug files as far as there are any.
	if err := open(t, libcPath(t)).CheckDebug(open(t, libcPath(t))); err != nil {
		t.Error(err)
	}
}

// miniSection makes .gnu_debugdata as find-debuginfo -m does: an ELF file with function symbols, by xz.
func miniSection(t testing.TB, debug string) []byte {
	t.Helper()
	mini := filepath.Join(t.TempDir(), "mini")
	run(t, "objcopy", "-S", "--remove-section", ".comment", "--keep-symbol=helper", debug, mini)
	cmd := exec.Command(tool(t, "xz"), "-c", mini)
	packed, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return packed
}

func TestMiniDebugInfo(t *testing.T) {
	lib, debug := stripped(t, library{source: smallSource, flags: []string{"-g"}})
	want := miniSection(t, debug)
	if have, err := withSection(t, lib, sectionMini, want).MiniDebugInfo(); err != nil || !bytes.Equal(have, want) {
		t.Errorf("%d bytes, %v; want %d", len(have), err, len(want))
	}
	if have, err := open(t, lib).MiniDebugInfo(); have != nil || err != nil {
		t.Errorf("without: %d bytes, %v", len(have), err)
	}
}

// Whatever a debug file, its supplementary file and the links hold, it only has to come back; and what belongs together
// after all leads to a record that can be written.
func FuzzAlternate(f *testing.F) {
	lib := []byte(nil)
	for _, dwarf := range []struct{ version, option string }{{"-gdwarf-4", "--no-odr"}, {"-gdwarf-5", "--no-odr"}, {"-gdwarf-5", "--dwarf-5"}} {
		s := dwz(f, dwarf.version, dwarf.option)
		f.Add(read(f, s.debug), read(f, s.alternate), uint32(0), byte(0), false)
		lib = read(f, s.lib)
	}
	if lib == nil {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, debug, alternate []byte, at uint32, value byte, inAlt bool) {
		damaged := &debug
		if inAlt {
			damaged = &alternate
		}
		if len(*damaged) > 0 {
			*damaged = bytes.Clone(*damaged)
			(*damaged)[int(at)%len(*damaged)] ^= value
		}
		recordBoth(t, lib, debug, alternate)
	})
}

// recordBoth records a library by a debug file and its supplementary file.
func recordBoth(t testing.TB, lib, debug, alternate []byte) {
	t.Helper()
	l, err := newFile(lib)
	if err != nil {
		t.Fatal(err)
	}
	d, err := newFile(debug)
	if err != nil {
		return
	}
	_, _, _ = d.DebugLink()
	_, _ = d.MiniDebugInfo()
	if a, err := newFile(alternate); err == nil {
		if both, err := d.WithAlternate(a); err == nil {
			d = both
		}
	}
	if l.CheckDebug(d) != nil {
		return
	}
	b, err := NewBuild(l, d, []string{"one", "hidden_one", "back_one", "inner", "outer"})
	if err != nil {
		return
	}
	var out bytes.Buffer
	if err := b.Encode(&out); err != nil {
		t.Error(err)
	}
}

// Bytes all over the debug information of both files in turn have all bits set, or none.
func TestDamageToAlternate(t *testing.T) {
	s := dwz(t, "-gdwarf-5")
	lib, debug, alternate := read(t, s.lib), read(t, s.debug), read(t, s.alternate)
	step := 3
	if testing.Short() {
		step = 30
	}
	for i := 0; i < max(len(debug), len(alternate)); i += step {
		for _, v := range []byte{0x00, 0xff} {
			d, a := bytes.Clone(debug), bytes.Clone(alternate)
			if i < len(d) {
				d[i] = v
				recordBoth(t, lib, d, alternate)
			}
			if i < len(a) {
				a[i] = v
				recordBoth(t, lib, debug, a)
			}
		}
	}
}
