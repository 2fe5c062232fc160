package livepatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// seed adds the seeds and fails if there are none, because a fuzz target
// without seeds passes and tests nothing.
func seed(f *testing.F, seeds ...[]byte) {
	f.Helper()
	added := 0
	for _, s := range seeds {
		if len(s) > 0 {
			f.Add(s)
			added++
		}
	}
	if added == 0 {
		f.Fatal("no seeds")
	}
}

// Law: what is parsed and written in canonical form is parsed again as the same
// description, and its canonical form is final.
func FuzzParseDescription(f *testing.F) {
	seed(f, []byte(patchDescription), []byte(canonical), []byte("p.so\n@t\nf:g"),
		[]byte("! a\n/x/p.so\n*d\n@/lib64/t\na@b.c:d:e\n#%a:b:0x10:0\n"), []byte("p.so\n@t\n#a:b:c\n"), []byte("p.so\r\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		d, err := ParseDescription("f.dsc", src)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Line < 1 && len(src) < MaxDescription || syntax.Col < 1 {
				t.Fatalf("%T without a place: %v", err, err)
			}
			return
		}
		text := d.Bytes()
		again, err := ParseDescription("f.dsc", text)
		if err != nil {
			t.Fatalf("own text refused: %v\n%q", err, text)
		}
		d.Container, d.Target = path.Base(d.Container), path.Base(d.Target)
		for i := range d.Depends {
			d.Depends[i] = path.Base(d.Depends[i])
		}
		places := cmpopts.IgnoreFields(Description{}, "ContainerPos", "TargetPos", "Warnings", "lines")
		if diff := cmp.Diff(d, again, places, cmpopts.IgnoreTypes(Pos{})); diff != "" {
			t.Fatal(diff)
		}
		if !bytes.Equal(again.Bytes(), text) {
			t.Fatalf("canonical form changes: %q, %q", text, again.Bytes())
		}
	})
}

// Law: what is decoded is encoded to the same bytes, but for the NUL that a
// foreign .ulp.rev may have.
func FuzzDecodeMetadata(f *testing.F) {
	full := &Metadata{
		Type: 1, BuildID: testBuildID(), Target: "t.so", Units: []MetadataUnit{{"a", "b", 1}, {"c", "d", 2}},
		Depends: [][32]byte{{1}, {2}}, References: []MetadataReference{{Target: "e", Reference: "f"}},
	}
	b, err := full.Encode()
	if err != nil {
		f.Fatal(err)
	}
	seed(f, unhex(f, tlsApply), unhex(f, tlsRevert), b)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeMetadata(data)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("not ErrCorrupt: %v", err)
			}
			return
		}
		again, err := m.Encode()
		if err != nil {
			t.Fatalf("own value refused: %v", err)
		}
		if m.Type == typeRevert && len(again) == len(data)-1 {
			data = bytes.Clone(data[:len(data)-1])
			length := data[len(data)-len(m.Target)-4:]
			binary.LittleEndian.PutUint32(length, uint32(len(m.Target)))
		}
		if !bytes.Equal(again, data) {
			t.Fatalf("got  %x\nfrom %x", again, data)
		}
	})
}

// Law: what is decoded is encoded to the same bytes. The fuzzer cannot forge
// the checksum, so it gets the payload and the test frames it.
func FuzzDecodeInfo(f *testing.F) {
	other := testInfo()
	other.NEVRAs, other.Functions, other.Comments, other.References = nil, nil, []string{"!\t<&>"}, []string{"bsc#1"}
	_, payload, _ := bytes.Cut(encodeInfo(f, other), []byte("{"))
	seed(f, []byte(frozenInfo), append([]byte("{"), payload...))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if _, err := DecodeInfo(payload); err == nil {
			t.Fatal("accepted without a header")
		}
		data := frame(1, string(payload))
		i, err := DecodeInfo(data)
		if err != nil {
			return
		}
		again, err := i.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%v\ngot  %q\nfrom %q", err, again, data)
		}
	})
}

// Laws: what Embed writes it can read, embedding again changes nothing, the
// loaded bytes stay, and what can be read as a container still can.
func FuzzEmbed(f *testing.F) {
	small := compile(f, "int f(void) { return 1; }", "-nostdlib", "-Wl,-z,noseparate-code", "-Wl,-z,max-page-size=16", "-fno-asynchronous-unwind-tables")
	seed(f, small, packed(f), patchELF(f)[:200])
	f.Fuzz(func(t *testing.T, file []byte) {
		_, errBefore := ReadContainer("x.so", file)
		sections := []Section{{Name: ".first", Data: []byte("first")}, {Name: ".second", Data: []byte("second")}}
		once, err := Embed(file, sections)
		if err != nil {
			return
		}
		twice, err := Embed(once, sections)
		if err != nil {
			t.Fatalf("own file refused: %v", err)
		}
		if !bytes.Equal(once, twice) {
			t.Fatalf("%d bytes, then %d", len(once), len(twice))
		}
		img, err := parseImage(once)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range img.segments {
			// The section fields of the header are loaded with it and do change.
			from := max(p.Off, headerSize)
			if end := p.Off + p.Filesz; from < end && !bytes.Equal(once[from:end], file[from:end]) {
				t.Fatalf("loaded bytes changed at %#x", p.Off)
			}
		}
		for _, s := range sections {
			if got, err := img.named(s.Name); err != nil || !bytes.Equal(got, s.Data) {
				t.Fatalf("%s holds %q, %v", s.Name, got, err)
			}
		}
		if _, err := ReadContainer("x.so", once); (err == nil) != (errBefore == nil) {
			t.Fatalf("as a container: %v before, %v after", errBefore, err)
		}
	})
}
