package pipeline

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

// TestExtractOrder holds the list against what readelf shows, backwards.
func TestExtractOrder(t *testing.T) {
	t.Parallel()
	g := newGreet(t, "extract")
	lib, err := g.Library(nil)
	if err != nil {
		t.Fatal(err)
	}
	list, err := Extract(lib, "")
	if err != nil {
		t.Fatal(err)
	}
	if list.Library.Name != "libgreet.so.1" || list.Library.BuildID != g.build.BuildID {
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
	address, err := list.find("greeting")
	f, errF := g.build.Function("greeting")
	if err != nil || errF != nil || address != f.Address {
		t.Errorf("greeting at %#x, %v, %v", address, err, errF)
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

func TestSymbolListRoundTrip(t *testing.T) {
	t.Parallel()
	list := &SymbolList{ListedLibrary{Name: "l", BuildID: "00", Symbols: []ListedSymbol{{"<a>", 1 << 40, 2, 18, 3}}}}
	file := filepath.Join(t.TempDir(), "l.json")
	if err := WriteSymbolList(file, list); err != nil {
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
	good, err := (&SymbolList{ListedLibrary{Name: "l", BuildID: "00", Symbols: []ListedSymbol{{"a", 1, 2, 18, 0}}}}).Encode()
	if err != nil {
		f.Fatal(err)
	}
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
