package builder

import (
	"debug/elf"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// linkWithStub links one assembler source against one stub library and
// returns what the result imports, each as "name version library".
func linkWithStub(t *testing.T, source string, symbols []stubSymbol) ([]string, error) {
	t.Helper()
	need(t, "gcc", "ld")
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "x.s"), source)
	writeFile(t, filepath.Join(dir, "stub.so"), string(stubLibrary("libreal.so.7", symbols)))
	gcc(t, dir, "-c", "x.s")
	cmd := exec.Command("ld", "-shared", "-z", "defs", "-o", "x.so", "x.o", "stub.so")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Logf("%s", out)
		return nil, err
	}
	f, err := elf.Open(filepath.Join(dir, "x.so"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	imports, err := f.ImportedSymbols()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range imports {
		names = append(names, s.Name+" "+s.Version+" "+s.Library)
	}
	slices.Sort(names)
	return names, nil
}

func TestStubLibraryLinks(t *testing.T) {
	tests := []struct {
		name    string
		source  string
		symbols []stubSymbol
		want    []string
		fails   bool
	}{
		{
			name:    "default versions",
			source:  "call f@plt; movq v@GOTPCREL(%rip), %rax\n",
			symbols: []stubSymbol{{Name: "f", Version: "V_1", Kind: "func"}, {Name: "v", Version: "V_2", Kind: "object"}},
			want:    []string{"f V_1 libreal.so.7", "v V_2 libreal.so.7"},
		},
		{
			name:    "no versions",
			source:  "call f@plt\n",
			symbols: []stubSymbol{{Name: "f", Kind: "func"}},
			want:    []string{"f  "},
		},
		{
			name:   "the version asked for beside the default one",
			source: ".symver old, f@V_1\ncall old@plt; call f@plt\n",
			symbols: []stubSymbol{
				{Name: "f", Version: "V_1", Kind: "func", Explicit: true}, {Name: "f", Version: "V_2", Kind: "func"},
			},
			want: []string{"f V_1 libreal.so.7", "f V_2 libreal.so.7"},
		},
		{
			name:    "a thread-local variable",
			source:  "movq t@GOTTPOFF(%rip), %rax\n",
			symbols: []stubSymbol{{Name: "t", Version: "V_1", Kind: "tls"}},
			want:    []string{"t V_1 libreal.so.7"},
		},
		{
			name:    "a symbol that is only there in another version",
			source:  "call f@plt\n",
			symbols: []stubSymbol{{Name: "f", Version: "V_1", Kind: "func", Explicit: true}},
			fails:   true,
		},
		{
			name:    "a symbol that is not there",
			source:  "call g@plt\n",
			symbols: []stubSymbol{{Name: "f", Version: "V_1", Kind: "func"}},
			fails:   true,
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := linkWithStub(t, tc.source, tc.symbols)
			if (err != nil) != tc.fails {
				t.Fatalf("link: %v, want failure %v", err, tc.fails)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
