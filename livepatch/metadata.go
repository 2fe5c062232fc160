package livepatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// The values of Metadata.Type.
const (
	typeApply  = 1
	typeRevert = 2
)

// Encode returns the bytes of a .ulp section (Type 1) or a .ulp.rev section
// (Type 2). It refuses what DecodeMetadata would refuse.
func (m *Metadata) Encode() ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, err
	}
	b := append([]byte{m.Type}, m.PatchID[:]...)
	b = appendBlob(b, m.BuildID)
	if m.Type == typeRevert {
		// Alone among all strings, this one has no NUL.
		return appendBlob(b, []byte(m.Target)), nil
	}
	b = appendString(b, m.Target)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.Units)))
	for _, u := range m.Units {
		b = appendString(b, u.Old)
		b = appendString(b, u.New)
		b = binary.LittleEndian.AppendUint64(b, u.Address)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.Depends)))
	for _, id := range m.Depends {
		b = append(b, id[:]...)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.References)))
	for _, r := range m.References {
		b = appendReference(b, r)
	}
	if len(b) > MaxMetadata {
		return nil, fmt.Errorf(".ulp: %d bytes, at most %d: too many functions or references", len(b), MaxMetadata)
	}
	return b, nil
}

func appendReference(b []byte, r MetadataReference) []byte {
	b = appendString(b, r.Target)
	b = appendString(b, r.Reference)
	b = binary.LittleEndian.AppendUint64(b, r.TargetOffset)
	b = binary.LittleEndian.AppendUint64(b, r.PatchOffset)
	if r.TLS {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendBlob(b, data []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

func appendString(b []byte, s string) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s)+1))
	b = append(b, s...)
	return append(b, 0)
}

// validate checks what the byte layout itself does not.
func (m *Metadata) validate() error {
	switch {
	case m.Type != typeApply && m.Type != typeRevert:
		return fmt.Errorf("type %d, neither 1 (apply) nor 2 (revert)", m.Type)
	case len(m.BuildID) == 0 || len(m.BuildID) > maxBuildID:
		return fmt.Errorf("build-id of %d bytes", len(m.BuildID))
	case m.Type == typeRevert && len(m.Units)+len(m.Depends)+len(m.References) > 0:
		return errors.New("type 2 (revert) with functions, dependencies or references")
	case len(m.Units) > maxItems || len(m.Depends) > maxItems || len(m.References) > maxItems:
		return fmt.Errorf("more than %d functions, dependencies or references", maxItems)
	}
	if err := checkString("target", m.Target); err != nil {
		return err
	}
	if strings.Contains(m.Target, "/") {
		return fmt.Errorf("target %q is not a base name", m.Target)
	}
	for i, u := range m.Units {
		if err := errors.Join(checkString("old", u.Old), checkString("new", u.New)); err != nil {
			return fmt.Errorf("function %d: %w", i, err)
		}
	}
	for i, r := range m.References {
		if err := errors.Join(checkString("target", r.Target), checkString("reference", r.Reference)); err != nil {
			return fmt.Errorf("reference %d: %w", i, err)
		}
	}
	return nil
}

func checkString(what, s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%s name missing", what)
	case len(s) > maxLine:
		return fmt.Errorf("%s name of %d bytes", what, len(s))
	case strings.IndexByte(s, 0) >= 0:
		return fmt.Errorf("NUL in %s name", what)
	}
	return nil
}

// DecodeMetadata decodes a .ulp or .ulp.rev section; its first byte says
// which. The name in .ulp.rev may end with a NUL or not. Everything else must
// be as Encode writes it, to the last byte; errors wrap ErrCorrupt.
func DecodeMetadata(b []byte) (*Metadata, error) {
	if len(b) > MaxMetadata {
		return nil, fmt.Errorf("%d bytes, at most %d: %w", len(b), MaxMetadata, ErrCorrupt)
	}
	d := &decoder{b: b}
	m := &Metadata{Type: d.byte()}
	d.id(&m.PatchID)
	m.BuildID = bytes.Clone(d.blob("build-id"))
	if m.Type == typeRevert {
		m.Target = string(bytes.TrimSuffix(d.blob("target"), []byte{0}))
	} else {
		m.Target = d.string("target")
		d.body(m)
	}
	if d.err == nil && d.off != len(d.b) {
		d.fail("%d bytes too many", len(d.b)-d.off)
	}
	if d.err == nil {
		if err := m.validate(); err != nil {
			d.fail("%v", err)
		}
	}
	if d.err != nil {
		return nil, d.err
	}
	return m, nil
}

// body decodes what follows the target in .ulp. The smallest sizes given to
// count keep a forged count from allocating more than the input can hold.
func (d *decoder) body(m *Metadata) {
	for range d.count("functions", 4+1+4+1+8) {
		m.Units = append(m.Units, MetadataUnit{Old: d.string("old"), New: d.string("new"), Address: d.uint64()})
	}
	for range d.count("dependencies", len(m.PatchID)) {
		var id [32]byte
		d.id(&id)
		m.Depends = append(m.Depends, id)
	}
	for range d.count("references", 4+1+4+1+8+8+1) {
		r := MetadataReference{Target: d.string("target"), Reference: d.string("reference"), TargetOffset: d.uint64(), PatchOffset: d.uint64()}
		tls := d.byte()
		if tls > 1 {
			d.fail("tls flag %d", tls)
		}
		r.TLS = tls == 1
		m.References = append(m.References, r)
	}
}

// decoder reads little-endian fields. After the first error every read gives
// zero, so that callers check once, at the end.
type decoder struct {
	b   []byte
	off int
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("offset %#x: %s: %w", d.off, fmt.Sprintf(format, args...), ErrCorrupt)
	}
}

// take returns the next n bytes, which alias the input, or nil.
func (d *decoder) take(n int) []byte {
	if d.err == nil && n > len(d.b)-d.off {
		d.fail("%d bytes expected, %d left", n, len(d.b)-d.off)
	}
	if d.err != nil {
		return nil
	}
	d.off += n
	return d.b[d.off-n : d.off]
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) id(id *[32]byte) { copy(id[:], d.take(len(id))) }

// blob reads a length and that many bytes.
func (d *decoder) blob(what string) []byte {
	n := d.uint32()
	if d.err == nil && int64(n) > int64(len(d.b)-d.off) {
		d.fail("%s of %d bytes, %d left", what, n, len(d.b)-d.off)
	}
	return d.take(int(n))
}

// string reads a blob that ends with its only NUL.
func (d *decoder) string(what string) string {
	b := d.blob(what)
	if d.err == nil && (len(b) == 0 || b[len(b)-1] != 0) {
		d.fail("%s name not terminated", what)
	}
	if d.err != nil {
		return ""
	}
	return string(b[:len(b)-1])
}

// count reads the number of records of at least size bytes each.
func (d *decoder) count(what string, size int) int {
	n := d.uint32()
	if d.err == nil && int64(n)*int64(size) > int64(len(d.b)-d.off) {
		d.fail("%d %s in %d bytes", n, what, len(d.b)-d.off)
	}
	if d.err != nil {
		return 0
	}
	return int(n)
}
