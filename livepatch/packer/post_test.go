package packer

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lpbuild/lpbuild/elfinfo"
)

func TestMergeNops(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		flags  []string
		want   Merged
		before []byte
		after  []byte
		err    error
	}{
		"plain":   {[]string{"-fpatchable-function-entry=16,14", "-fcf-protection=none"}, Merged{1, 0}, []byte("\x90\x90"), []byte("\x66\x90"), nil},
		"endbr64": {[]string{"-fpatchable-function-entry=16,14", "-fcf-protection=branch"}, Merged{1, 0}, []byte("\xf3\x0f\x1e\xfa\x90\x90"), []byte("\xf3\x0f\x1e\xfa\x66\x90"), nil},
		"24,22":   {[]string{"-fpatchable-function-entry=24,22", "-fcf-protection=none"}, Merged{0, 1}, []byte("\x90\x90"), []byte("\x90\x90"), nil},
		"none":    {nil, Merged{}, nil, nil, ErrNoEntries},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lib := compile(t, "libgreet.so.1", tt.flags...)
			if got := entryOf(t, lib, len(tt.before)); !bytes.Equal(got, tt.before) {
				t.Fatalf("greeting begins with % x", got)
			}
			for range 2 { // a second time changes nothing
				got, err := MergeNops(lib)
				if !errors.Is(err, tt.err) {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
				if got := entryOf(t, lib, len(tt.after)); !bytes.Equal(got, tt.after) {
					t.Errorf("greeting begins with % x", got)
				}
			}
			if st, err := os.Stat(lib); err != nil || st.Mode().Perm()&0o111 == 0 {
				t.Errorf("%v, %v", st.Mode(), err)
			}
		})
	}
}

// entryOf reads the first bytes of the function greeting.
func entryOf(t *testing.T, lib string, n int) []byte {
	t.Helper()
	f, err := elf.Open(lib)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name == "greeting" {
			code := make([]byte, n)
			text := f.Section(".text")
			if _, err := text.ReadAt(code, int64(s.Value-text.Addr)); err != nil {
				t.Fatal(err)
			}
			return code
		}
	}
	t.Fatal("no symbol greeting")
	return nil
}

func TestMergeNopsOfWhatIsNoLibrary(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/text"
	if err := os.WriteFile(file, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := MergeNops(file); !errors.Is(err, elfinfo.ErrFormat) {
		t.Error(err)
	}
}
