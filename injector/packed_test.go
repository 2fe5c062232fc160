package injector

import (
	"debug/elf"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// packed makes a live patch as libpulp's users do: a plain shared library, with
// the compiler's start files, and what `ulp packer` knows of a description. The
// lines are those of the description behind the one with the target.
func packed(t testing.TB, target, source string, lines ...string) *livepatch.Container {
	t.Helper()
	return packedWith(t, packing{target: target, source: source, lines: lines})
}

// A packing is what a container is made of. depends are the containers that the
// first lines, which start with *, name; symbols is the target before it was
// stripped, if it was.
type packing struct {
	target, source string
	symbols        string
	lines          []string
	args           []string
	depends        []*livepatch.Container
	info           *livepatch.Info
}

func packedWith(t testing.TB, p packing) *livepatch.Container {
	t.Helper()
	file := compile(t, "patch.so", p.source, append([]string{"-shared", "-fPIC", "-Wl,--build-id=sha1"}, p.args...)...)
	text := "patch.so\n"
	for len(p.lines) > 0 && strings.HasPrefix(p.lines[0], "*") {
		text += p.lines[0] + "\n"
		p.lines = p.lines[1:]
	}
	text += "@" + filepath.Base(p.target) + "\n" + strings.Join(p.lines, "\n") + "\n"
	d, err := livepatch.ParseDescription("test.dsc", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	in := livepatch.PackInput{Description: d, BuildID: buildIDOf(t, p.target), Info: p.info}
	if p.symbols == "" {
		p.symbols = p.target
	}
	symbols := symbolsOf(t, p.symbols)
	for _, u := range d.Units {
		in.Addresses = append(in.Addresses, symbols[u.Old].Value)
	}
	for _, r := range d.References {
		in.TargetOffsets = append(in.TargetOffsets, symbols[r.Target].Value)
	}
	for _, c := range p.depends {
		in.Depends = append(in.Depends, c.Apply.PatchID)
	}
	return packFile(t, file, in)
}

func buildIDOf(t testing.TB, file string) []byte {
	t.Helper()
	f, err := elfinfo.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	id, err := hex.DecodeString(string(f.BuildID()))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// symbolsOf are all symbols that a file defines, private ones too.
func symbolsOf(t testing.TB, file string) map[string]elf.Symbol {
	t.Helper()
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w", file, err))
	}
	out := make(map[string]elf.Symbol)
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF {
			out[s.Name] = s
		}
	}
	return out
}
