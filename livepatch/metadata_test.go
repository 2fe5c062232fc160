package livepatch

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The sections that libpulp 0.3.17's packer wrote into libtls_livepatch1.so,
// from its own test suite.
const (
	tlsApply = `01
		f007f005798241b8fc67c05c84991edf 57048b04612f554757221c2ec7cd74d5
		14000000 85c516ed83a320b2622eed94d901d02536624510
		0c000000 6c6962746c732e736f2e3000
		01000000
		0b000000 62616e6e65725f73657400 0f000000 6e65775f62616e6e65725f73657400
		7e11000000000000
		00000000 01000000
		07000000 62616e6e657200 03000000 746900
		0000000000000000 3040000000000000 01`
	tlsRevert = `02
		f007f005798241b8fc67c05c84991edf 57048b04612f554757221c2ec7cd74d5
		14000000 85c516ed83a320b2622eed94d901d02536624510
		0b000000 6c6962746c732e736f2e30`
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tlsMetadata(t testing.TB) (apply, revert *Metadata) {
	t.Helper()
	apply = &Metadata{
		Type: 1, BuildID: unhex(t, "85c516ed83a320b2622eed94d901d02536624510"), Target: "libtls.so.0",
		Units:      []MetadataUnit{{Old: "banner_set", New: "new_banner_set", Address: 0x117e}},
		References: []MetadataReference{{Target: "banner", Reference: "ti", PatchOffset: 0x4030, TLS: true}},
	}
	copy(apply.PatchID[:], unhex(t, "f007f005798241b8fc67c05c84991edf57048b04612f554757221c2ec7cd74d5"))
	revert = &Metadata{Type: 2, PatchID: apply.PatchID, BuildID: apply.BuildID, Target: apply.Target}
	return apply, revert
}

func TestMetadataIsThatOfLibpulp(t *testing.T) {
	apply, revert := tlsMetadata(t)
	for _, tt := range []struct {
		name string
		m    *Metadata
		want string
		size int
	}{
		{".ulp", apply, tlsApply, 162},
		{".ulp.rev", revert, tlsRevert, 72},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := unhex(t, tt.want)
			got, err := tt.m.Encode()
			if err != nil || len(got) != tt.size || !bytes.Equal(got, want) {
				t.Errorf("%v\ngot  %x\nwant %x", err, got, want)
			}
			back, err := DecodeMetadata(want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.m, back); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRevertNameMayEndWithNUL(t *testing.T) {
	_, want := tlsMetadata(t)
	b := unhex(t, tlsRevert)
	b[57]++ // length of the name
	got, err := DecodeMetadata(append(b, 0))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeMetadataRefuses(t *testing.T) {
	// patch returns tlsApply with bytes at off overwritten.
	patch := func(off int, b ...byte) []byte {
		data := unhex(t, tlsApply)
		copy(data[off:], b)
		return data
	}
	huge := []byte{0xff, 0xff, 0xff, 0xff}
	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "1 bytes expected"},
		{"type 3", patch(0, 3), "type 3"},
		{"apply as revert", patch(0, 2), "bytes too many"},
		{"build-id length", patch(0x21, huge...), "build-id of 4294967295 bytes"},
		{"target length", patch(0x39, huge...), "target of 4294967295 bytes"},
		{"target not terminated", patch(0x48, 'x'), "target name not terminated"},
		{"target with two NULs", patch(0x47, 0), "NUL in target name"},
		{"target with folder", patch(0x40, '/'), "not a base name"},
		{"function count", patch(0x49, huge...), "4294967295 functions"},
		{"old length 0", patch(0x4d, 0), "old name not terminated"},
		{"dependency count", patch(0x77, huge...), "4294967295 dependencies"},
		{"reference count", patch(0x7b, huge...), "4294967295 references"},
		{"tls flag", patch(0xa1, 2), "tls flag 2"},
		{"trailing byte", append(patch(0), 0), "1 bytes too many"},
		{"too large", make([]byte, MaxMetadata+1), "at most"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := DecodeMetadata(tt.data)
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestMetadataTruncatedAtEveryByte(t *testing.T) {
	for _, section := range []string{tlsApply, tlsRevert} {
		data := unhex(t, section)
		for n := range data {
			if _, err := DecodeMetadata(data[:n]); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%d of %d bytes: %v", n, len(data), err)
			}
		}
	}
}

func TestEncodeMetadataRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Metadata)
		want   string
	}{
		{"type", func(m *Metadata) { m.Type = 0 }, "type 0"},
		{"no build-id", func(m *Metadata) { m.BuildID = nil }, "build-id of 0 bytes"},
		{"no target", func(m *Metadata) { m.Target = "" }, "target name missing"},
		{"NUL in name", func(m *Metadata) { m.Units[0].Old = "a\x00b" }, "NUL in old name"},
		{"no reference", func(m *Metadata) { m.References[0].Reference = "" }, "reference name missing"},
		{"revert with functions", func(m *Metadata) { m.Type = 2 }, "revert"},
		{"larger than libpulp's buffer", func(m *Metadata) {
			m.Units = make([]MetadataUnit, 300)
			for i := range m.Units {
				m.Units[i] = MetadataUnit{Old: strings.Repeat("x", maxName), New: strings.Repeat("y", maxName)}
			}
		}, "at most"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, _ := tlsMetadata(t)
			tt.change(m)
			if b, err := m.Encode(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %d bytes, %v, want %q", len(b), err, tt.want)
			}
		})
	}
}
