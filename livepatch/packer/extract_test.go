package packer

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// compile builds a library from testdata/greet.c.
func compile(t testing.TB, name string, args ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), name)
	args = append([]string{"-O1", "-fPIC", "-shared", "-Wl,--build-id,-soname," + name, "-o", out}, args...)
	if text, err := exec.Command("gcc", append(args, "testdata/greet.c")...).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, text)
	}
	return out
}

// TestExtractOrder holds the list against what readelf shows, backwards.
func TestExtractOrder(t *testing.T) {
	t.Parallel()
	lib := compile(t, "libgreet.so.1")
	list, err := Extract(lib, "")
	if err != nil {
		t.Fatal(err)
	}
	if list.Library.Name != "libgreet.so.1" || len(list.Library.BuildID) != 40 {
		t.Errorf("%s, %s", list.Library.Name, list.Library.BuildID)
	}
	var got []string
	for _, s := range list.Library.Symbols {
		got = append(got, s.Name)
	}
	want := append(readelfNames(t, lib, "--dyn-syms"), readelfNames(t, lib, "--syms")[len(readelfNames(t, lib, "--dyn-syms")):]...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if address, err := list.find("greeting"); err != nil || address == 0 {
		t.Errorf("greeting at %#x, %v", address, err)
	}
	if _, err := list.find("farewell"); !errors.Is(err, elfinfo.ErrMissing) {
		t.Errorf("error %v, want %v", err, elfinfo.ErrMissing)
	}
}

// readelfNames are the names that readelf lists: the last table backwards,
// after the one before it if there are two.
func readelfNames(t *testing.T, file, option string) []string {
	t.Helper()
	out, err := exec.Command("readelf", "-W", option, file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var names, table []string
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "Symbol table"):
			names, table = append(names, table...), nil
		case len(fields) >= 8 && strings.HasSuffix(fields[0], ":") && fields[0] != "Num:":
			name, _, _ := strings.Cut(fields[7], "@")
			// Section symbols have no name of their own; readelf shows the section's.
			if fields[3] != "SECTION" {
				table = append([]string{name}, table...)
			}
		}
	}
	return append(names, table...)
}

// TestEncode holds the bytes against what libpulp 0.3.17 writes.
func TestEncode(t *testing.T) {
	t.Parallel()
	list := &SymbolList{ListedLibrary{Name: "libtls.so.0", BuildID: "85c516ed83a320b2622eed94d901d02536624510", Symbols: []ListedSymbol{
		{"__gmon_start__", 0, 0, 32, 0}, {"banner_set", 4478, 27, 18, 0},
	}}}
	const want = `{
  "library":{
    "name":"libtls.so.0",
    "buildid":"85c516ed83a320b2622eed94d901d02536624510",
    "symbols":[
      {
        "name":"__gmon_start__",
        "offset":0,
        "size":0,
        "st_info":32,
        "st_other":0
      },
      {
        "name":"banner_set",
        "offset":4478,
        "size":27,
        "st_info":18,
        "st_other":0
      }
    ]
  }
}`
	if diff := cmp.Diff(want, string(list.Encode())); diff != "" {
		t.Error(diff)
	}
}

func TestSymbolListRoundTrip(t *testing.T) {
	t.Parallel()
	list := &SymbolList{ListedLibrary{Name: "l/\"\\\t\x01ü", BuildID: "00", Symbols: []ListedSymbol{{"<a>\b\f\n\r", 1 << 40, 2, 18, 3}}}}
	file := filepath.Join(t.TempDir(), "l.json")
	if err := list.WriteFile(file); err != nil {
		t.Fatal(err)
	}
	got, err := readSymbolList(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(list, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzSymbolList(f *testing.F) {
	good := (&SymbolList{ListedLibrary{Name: "l", BuildID: "00", Symbols: []ListedSymbol{{"a", 1, 2, 18, 0}}}}).Encode()
	for _, seed := range [][]byte{good, []byte("{"), []byte(`{"library":{"symbols":[{"offset":-1}]}}`), nil, []byte("\x7fELF")} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := readSymbolList(file)
		if err != nil && !errors.Is(err, elfinfo.ErrFormat) {
			t.Errorf("error %v does not wrap ErrFormat", err)
		}
		if list != nil && !json.Valid(data) {
			t.Error("accepted what is not JSON")
		}
	})
}
