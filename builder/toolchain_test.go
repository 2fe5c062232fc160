package builder

import (
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestToolchainIsAskedOnce(t *testing.T) {
	s := &store{dir: t.TempDir()}
	compiler, started := spyCompiler(t)
	first, err := findToolchain(t.Context(), s, compiler)
	if err != nil {
		t.Fatal(err)
	}
	before := started()
	again, err := findToolchain(t.Context(), s, compiler)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, again); diff != "" || started() != before {
		t.Errorf("asked again (%d processes): %s", started()-before, diff)
	}
	if !strings.Contains(first.Version, "; ") || strings.Contains(first.Version, "\n") {
		t.Errorf("version %q, want compiler and linker in one line", first.Version)
	}
	if err := os.WriteFile(compiler, append(readFile(t, compiler), '\n'), 0o755); err != nil {
		t.Fatal(err)
	}
	changed, err := findToolchain(t.Context(), s, compiler)
	if err != nil {
		t.Fatal(err)
	}
	if started() == before || cmp.Equal(first.identity(), changed.identity()) {
		t.Error("a changed compiler passes for the old one")
	}
}

func TestArchiveSymbolsOfLibgcc(t *testing.T) {
	tools, err := findToolchain(context.Background(), &store{}, "")
	if err != nil {
		need(t, "gcc")
		t.Fatal(err)
	}
	names, err := archiveSymbols(tools.Libgcc)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"__popcountdi2", "__udivti3", "__mulxc3"} {
		if !names[want] {
			t.Errorf("%s does not offer %s", tools.Libgcc, want)
		}
	}
	if names["malloc"] || names[""] {
		t.Error("libgcc.a offers names that it does not have")
	}
}

// archive is a static archive with nothing but the given index.
func archive(size string, index []byte) []byte {
	header := make([]byte, 60)
	for i := range header {
		header[i] = ' '
	}
	header[0] = '/'
	copy(header[48:58], size)
	copy(header[58:], "`\n")
	return slices.Concat([]byte("!<arch>\n"), header, index)
}

func FuzzArchiveSymbols(f *testing.F) {
	index := binary.BigEndian.AppendUint32(nil, 1)
	index = append(index, 0, 0, 0, 9, 'f', 0)
	f.Add(archive("10", index))
	f.Add(archive("9999999999", index))
	f.Add(archive("10", []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0}))
	f.Add(archive("10", index)[:70])
	f.Add([]byte("!<arch>\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		name := filepath.Join(t.TempDir(), "x.a")
		writeFile(t, name, string(data))
		names, err := archiveSymbols(name)
		if err != nil && len(names) > 0 || names[""] || len(names) > len(data) {
			t.Errorf("%d names from %d bytes, %v", len(names), len(data), err)
		}
	})
}

func TestRuleNames(t *testing.T) {
	tests := []struct {
		name, rule string
		want       []string
	}{
		{name: "one line", rule: "x: a.c b.h\n", want: []string{"a.c", "b.h"}},
		{name: "folded", rule: "x: a.c \\\n /usr/include/b.h \\\n c.h\n", want: []string{"a.c", "/usr/include/b.h", "c.h"}},
		{name: "blanks and signs", rule: "x: a\\ b.c c\\#.h d$$.h\n", want: []string{"a b.c", "c#.h", "d$.h"}},
		{name: "empty", rule: "", want: nil},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, ruleNames(tc.rule)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestStoreDistrustsWhatIsDamaged(t *testing.T) {
	s := &store{dir: t.TempDir()}
	key := digest([]byte("key"))
	s.put("kind", key, []byte("payload"))
	whole := readFile(t, s.file("kind", key))
	if got, ok := s.get("kind", key); !ok || string(got) != "payload" {
		t.Fatalf("got %q, %v", got, ok)
	}
	for n := range whole {
		writeFile(t, s.file("kind", key), string(whole[:n]))
		if got, ok := s.get("kind", key); ok {
			t.Errorf("an entry of %d of %d bytes gave %q", n, len(whole), got)
		}
	}
	if _, ok := s.get("other", key); ok {
		t.Error("an entry of another kind")
	}
}

func TestWriteAtomicLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "taken", "x"), "x")
	if err := writeAtomic(filepath.Join(dir, "taken"), []byte("data"), 0o644, true); err == nil {
		t.Error("a folder was replaced by a file")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
