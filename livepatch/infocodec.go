package livepatch

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

const infoMagic = "LPBUILD\x00"

// Encode returns the bytes of a .lpbuild section. Equal values give equal
// bytes; a nil list is written as an empty one.
func (i *Info) Encode() ([]byte, error) {
	if i.Format != InfoFormat {
		return nil, fmt.Errorf("format %d, this code writes %d", i.Format, InfoFormat)
	}
	if err := i.validate(); err != nil {
		return nil, err
	}
	payload, err := i.payload()
	if err != nil {
		return nil, err
	}
	if len(payload) > MaxInfo {
		return nil, fmt.Errorf("%d bytes, at most %d", len(payload), MaxInfo)
	}
	sum := sha256.Sum256(payload)
	b := []byte(infoMagic)
	b = binary.LittleEndian.AppendUint32(b, uint32(i.Format))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, sum[:]...)
	return append(b, payload...), nil
}

func (i *Info) payload() ([]byte, error) {
	c := *i
	c.NEVRAs = append([]string{}, i.NEVRAs...)
	c.Functions = append([]Function{}, i.Functions...)
	return json.Marshal(&c)
}

// DecodeInfo decodes a .lpbuild section. Errors wrap ErrNewerFormat if a newer
// lpbuild wrote it, else ErrCorrupt.
func DecodeInfo(b []byte) (*Info, error) {
	d := &decoder{b: b}
	if magic := d.take(len(infoMagic)); d.err == nil && string(magic) != infoMagic {
		return nil, fmt.Errorf("bad magic: %w", ErrCorrupt)
	}
	format := d.uint32()
	// Behind the format number a newer section may look different.
	if d.err == nil && format > InfoFormat {
		return nil, fmt.Errorf("format %d: %w", format, ErrNewerFormat)
	}
	size := d.uint32()
	if d.err == nil && size > MaxInfo {
		d.fail("payload of %d bytes, at most %d", size, MaxInfo)
	}
	sum := d.take(sha256.Size)
	payload := d.take(int(size))
	if d.err == nil && d.off != len(b) {
		d.fail("%d bytes too many", len(b)-d.off)
	}
	if d.err != nil {
		return nil, d.err
	}
	if got := sha256.Sum256(payload); !bytes.Equal(got[:], sum) {
		return nil, fmt.Errorf("checksum differs: %w", ErrCorrupt)
	}
	return decodePayload(payload, int(format))
}

// decodePayload accepts only what Encode writes, which rules out fields that
// this code does not know, fields given twice and every other licence of JSON.
func decodePayload(payload []byte, format int) (*Info, error) {
	i := new(Info)
	if err := json.Unmarshal(payload, i); err != nil {
		return nil, fmt.Errorf("payload: %w: %w", err, ErrCorrupt)
	}
	if i.Format != format {
		return nil, fmt.Errorf("format %d in the header, %d in the payload: %w", format, i.Format, ErrCorrupt)
	}
	if err := i.validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrCorrupt)
	}
	again, err := i.payload()
	if err != nil || !bytes.Equal(again, payload) {
		return nil, fmt.Errorf("payload not in canonical form: %w", ErrCorrupt)
	}
	return i, nil
}

// validate checks every field; a program that runs as root relies on it.
func (i *Info) validate() error {
	if i.Format < 1 || i.Format > InfoFormat {
		return fmt.Errorf("format %d", i.Format)
	}
	for _, field := range []struct {
		what  string
		texts []string
	}{
		{"set name", []string{i.Set, i.SetVersion, i.Patch}},
		{"library", []string{i.Library, i.Soname}},
		{"toolchain", []string{i.Toolchain}},
		{"NEVRA", i.NEVRAs},
		{"reference", i.References},
	} {
		if err := checkLines(field.what, field.texts, unicode.IsPrint); err != nil {
			return err
		}
	}
	notControl := func(r rune) bool { return r == '\t' || !unicode.IsControl(r) }
	if err := checkLines("comment", i.Comments, notControl); err != nil {
		return err
	}
	switch {
	case i.Soname == "" || strings.Contains(i.Soname, "/"):
		return fmt.Errorf("soname %q", i.Soname)
	case slices.Contains(i.NEVRAs, ""):
		return errors.New("empty NEVRA")
	case !slices.IsSorted(i.NEVRAs) || len(slices.Compact(slices.Clone(i.NEVRAs))) != len(i.NEVRAs):
		return errors.New("NEVRAs not sorted, or one given twice")
	case !isHex(i.BuildID, 1, maxBuildID):
		return fmt.Errorf("build-id %q", i.BuildID)
	case len(i.Functions) > maxItems:
		return fmt.Errorf("%d functions, at most %d", len(i.Functions), maxItems)
	}
	patches, err := i.validatePatches()
	if err != nil {
		return err
	}
	for n := range i.Functions {
		f := &i.Functions[n]
		if err := f.validate(); err != nil {
			return fmt.Errorf("function %d: %w", n, err)
		}
		if f.Patch != "" && !patches[f.Patch] {
			return fmt.Errorf("function %d: of an unknown patch %q", n, f.Patch)
		}
	}
	return nil
}

// validatePatches checks the list of patches and returns their names.
func (i *Info) validatePatches() (map[string]bool, error) {
	if len(i.Patches) > maxItems {
		return nil, fmt.Errorf("%d patches, at most %d", len(i.Patches), maxItems)
	}
	names := make(map[string]bool)
	for n, p := range i.Patches {
		if err := checkLines("patch", append([]string{p.Name}, p.References...), unicode.IsPrint); err != nil {
			return nil, fmt.Errorf("patch %d: %w", n, err)
		}
		if p.Name == "" || names[p.Name] {
			return nil, fmt.Errorf("patch %d: name %q", n, p.Name)
		}
		names[p.Name] = true
	}
	return names, nil
}

// checkLines checks that each text is one line of valid UTF-8. A range over
// invalid UTF-8 gives U+FFFD, which JSON would silently write instead.
func checkLines(what string, texts []string, allowed func(rune) bool) error {
	if len(texts) > maxItems {
		return fmt.Errorf("%d lines of %s, at most %d", len(texts), what, maxItems)
	}
	for _, s := range texts {
		if len(s) > maxLine {
			return fmt.Errorf("%s of %d bytes, at most %d", what, len(s), maxLine)
		}
		if i := strings.IndexFunc(s, func(r rune) bool { return !allowed(r) }); i >= 0 || strings.ToValidUTF8(s, "") != s {
			return fmt.Errorf("%s %q: control character or bad UTF-8", what, s)
		}
	}
	return nil
}

// isHex says whether s is lower-case hexadecimal of minBytes to maxBytes bytes.
func isHex(s string, minBytes, maxBytes int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) >= minBytes && len(b) <= maxBytes && strings.ToLower(s) == s
}

// maxFunction bounds Function.Size in bytes: no function is larger than the
// largest container.
const maxFunction = MaxContainer

func (f *Function) validate() error {
	name, source, has := strings.Cut(f.Old, "@")
	if _, problem := checkName(name); problem != "" {
		return fmt.Errorf("old %q: %s", f.Old, problem)
	}
	if _, problem := checkName(source); has && (problem != "" || strings.Contains(source, "/")) {
		return fmt.Errorf("old %q: bad source file", f.Old)
	}
	if _, problem := checkName(f.New); problem != "" {
		return fmt.Errorf("new %q: %s", f.New, problem)
	}
	switch {
	case !isHex(f.SHA256, sha256.Size, sha256.Size):
		return fmt.Errorf("%s: sha256 %q", f.Old, f.SHA256)
	case f.Size == 0 || f.Size > maxFunction || f.Address+f.Size < f.Address:
		return fmt.Errorf("%s: %d bytes at %#x", f.Old, f.Size, f.Address)
	case f.Offset != 0 && f.Offset != 4:
		return fmt.Errorf("%s: jump at offset %d, neither 0 nor 4", f.Old, f.Offset)
	}
	return f.validateEntry()
}

// validateEntry checks the bytes that a jump replaces: a 2-byte NOP, or whole
// instructions (of at most 15 bytes) that cover the 5 bytes of a jump.
func (f *Function) validateEntry() error {
	switch {
	case f.Entry == "padded" && f.Length == 2:
	case f.Entry == "stock" && f.Length >= 5 && f.Length < 5+15:
	default:
		return fmt.Errorf("%s: %q entry of %d bytes", f.Old, f.Entry, f.Length)
	}
	if uint64(f.Offset+f.Length) > f.Size {
		return fmt.Errorf("%s: entry of %d bytes at offset %d of %d", f.Old, f.Length, f.Offset, f.Size)
	}
	return nil
}
