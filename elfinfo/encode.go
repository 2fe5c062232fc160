package elfinfo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode"
)

// maxRecord is the largest record that is read, in bytes.
const maxRecord = 128 << 20

// Encode writes the record as JSON: the same record gives the same bytes.
// It refuses a record that [DecodeBuild] would.
func (b *Build) Encode(w io.Writer) error {
	if err := b.check(); err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	return enc.Encode(b)
}

// DecodeBuild reads one record. Errors wrap [ErrFormat]: not JSON, more than
// one value, an unknown field, a newer format, a value out of bounds, code
// that differs from its digest.
func DecodeBuild(r io.Reader) (*Build, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxRecord+1))
	if err != nil {
		return nil, err
	}
	return DecodeRecord(data, nil)
}

// DecodeRecord is [DecodeBuild] of a record in memory, with only the symbols and
// imports of wanted names; nil stands for all. What is not wanted is skipped
// and not checked.
func DecodeRecord(data []byte, wanted func(name string) bool) (*Build, error) {
	if len(data) > maxRecord {
		return nil, fmt.Errorf("version record: %w: more than %d bytes", ErrFormat, maxRecord)
	}
	rest, lists, cut := cutSymbols(data)
	b, err := decodeText(rest)
	if err != nil {
		return nil, err
	}
	if cut {
		if b.Symbols, b.Imports, err = lists.decode(wanted); err != nil {
			return nil, fmt.Errorf("version record: %w: %w", ErrFormat, err)
		}
	} else if wanted != nil {
		unwanted := func(s Symbol) bool { return !wanted(s.Name) }
		b.Symbols, b.Imports = slices.DeleteFunc(b.Symbols, unwanted), slices.DeleteFunc(b.Imports, unwanted)
	}
	for i := range b.Imports {
		b.Imports[i].Undefined = true
	}
	return b, b.check()
}

// DecodeBrief is [DecodeRecord] without any symbols and imports.
func DecodeBrief(data []byte) (*Build, error) {
	rest, _, cut := cutSymbols(data)
	if !cut || len(data) > maxRecord {
		return DecodeRecord(data, func(string) bool { return false })
	}
	b, err := decodeText(rest)
	if err != nil {
		return nil, err
	}
	return b, b.check()
}

// DecodeSymbols reads of a record only the symbols and imports of wanted names.
func DecodeSymbols(data []byte, wanted func(name string) bool) (symbols, imports []Symbol, err error) {
	_, lists, ok := cutSymbols(data)
	if !ok {
		b, err := DecodeRecord(data, wanted)
		if err != nil {
			return nil, nil, err
		}
		return b.Symbols, b.Imports, nil
	}
	if symbols, imports, err = lists.decode(wanted); err != nil {
		return nil, nil, fmt.Errorf("version record: %w: %w", ErrFormat, err)
	}
	for _, s := range slices.Concat(symbols, imports) {
		if reason := s.check(); reason != "" {
			return nil, nil, fmt.Errorf("version record: %w: symbol %q: %s", ErrFormat, s.Name, reason)
		}
	}
	return symbols, imports, nil
}

// decodeText decodes a record's JSON, strictly.
func decodeText(data []byte) (*Build, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	b := new(Build)
	err := dec.Decode(b)
	if err == nil {
		if err := checkFormat(b.Format, b.Facts); err != nil {
			return nil, err
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("version record: %w: something follows the record", ErrFormat)
		}
		return b, nil
	}
	// A record of another format has other fields: that is what to say of it.
	var head struct {
		Format int `json:"format"`
		Facts  int `json:"facts"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("version record: %w: %w", ErrFormat, err)
	}
	if err := checkFormat(head.Format, head.Facts); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("version record: %w: %w", ErrFormat, err)
}

// checkFormat says whether this program reads such records.
func checkFormat(format, facts int) error {
	switch {
	case format != RecordFormat:
		return fmt.Errorf("version record: %w: record format %d, this program reads %d", ErrFormat, format, RecordFormat)
	case facts > RecordFacts:
		return fmt.Errorf("version record: %w: facts %d, this program knows %d", ErrFormat, facts, RecordFacts)
	case facts < RecordFacts:
		return fmt.Errorf("version record: %w: it was made by an older lpbuild, run \"lpbuild download\" again", ErrNotRecorded)
	}
	return nil
}

// check holds a record against what the rest of the program relies on. Names
// become parts of paths and of linker input, so they are held to be harmless.
func (b *Build) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("version record of %s (%s): %w: %s", displayName(b), b.BuildID, ErrFormat, fmt.Sprintf(format, args...))
	}
	if b.Format != RecordFormat {
		return bad("format %d", b.Format)
	}
	id, err := hex.DecodeString(string(b.BuildID))
	if err != nil || len(id) == 0 || len(id) > maxBuildID || strings.ToLower(string(b.BuildID)) != string(b.BuildID) {
		return bad("build-id %q", b.BuildID)
	}
	for _, s := range []string{b.NEVRA, b.Package, b.Arch, b.Soname} {
		if !isFileName(s) {
			return bad("name %q", s)
		}
	}
	if b.Soname == "" {
		return bad("no soname")
	}
	if b.Library != "" && (!path.IsAbs(b.Library) || path.Clean(b.Library) != b.Library || hasControl(b.Library)) {
		return bad("library path %q", b.Library)
	}
	if b.DebugSource != "" && !slices.Contains(debugSources, b.DebugSource) {
		return bad("debug source %q", b.DebugSource)
	}
	for _, s := range []string{b.RPMSHA256, b.DebugRPMSHA256, b.LibrarySHA256} {
		if s != "" && !isDigest(s) {
			return bad("SHA-256 %q", s)
		}
	}
	for _, s := range slices.Concat(b.Symbols, b.Imports) {
		if reason := s.check(); reason != "" {
			return bad("symbol %q: %s", s.Name, reason)
		}
	}
	if reason := b.Changelog.check(); reason != "" {
		return bad("%s", reason)
	}
	return b.checkNames(bad)
}

// checkNames checks what was recorded for names.
func (b *Build) checkNames(bad func(string, ...any) error) error {
	for name, functions := range b.Functions {
		if !validName(name) || len(functions) == 0 {
			return bad("function %q", name)
		}
		for _, f := range functions {
			if reason := f.check(); reason != "" {
				return bad("function %s: %s", name, reason)
			}
		}
	}
	for name, variables := range b.Variables {
		if !validName(name) || len(variables) == 0 {
			return bad("variable %q", name)
		}
		for _, v := range variables {
			if v.Source != "" && !isFileName(v.Source) || !isBinding(v.Binding) {
				return bad("variable %s: source %q, binding %q", name, v.Source, v.Binding)
			}
		}
	}
	if reason := b.checkTypes(); reason != "" {
		return bad("%s", reason)
	}
	for _, name := range b.Absent {
		if !validName(name) || b.Functions[name] != nil || b.Variables[name] != nil {
			return bad("absent name %q", name)
		}
	}
	return nil
}

// check returns what is wrong with a symbol, "" if nothing is.
func (s Symbol) check() string {
	for _, name := range []string{s.Name, s.Version, s.Library} {
		if hasControl(name) || len(name) > maxName {
			return fmt.Sprintf("name %q", name)
		}
	}
	switch {
	case s.Name == "":
		return "no name"
	case !slices.Contains([]string{kindFunc, kindObject, kindTLS, kindIFunc, kindNoType}, s.Kind):
		return fmt.Sprintf("kind %q", s.Kind)
	case !isBinding(s.Binding):
		return fmt.Sprintf("binding %q", s.Binding)
	}
	return ""
}

// check returns what is wrong with a function, "" if nothing is.
func (f *Function) check() string {
	sum := sha256.Sum256(f.Bytes)
	switch {
	case f.Source != "" && !isFileName(f.Source):
		return fmt.Sprintf("source %q", f.Source)
	case f.Kind != kindFunc && f.Kind != kindIFunc || !isBinding(f.Binding):
		return fmt.Sprintf("kind %q, binding %q", f.Kind, f.Binding)
	case f.Size > maxFunction || uint64(len(f.Bytes)) != f.Size:
		return fmt.Sprintf("%d bytes of code, its size is %d", len(f.Bytes), f.Size)
	case hex.EncodeToString(sum[:]) != f.SHA256:
		return "its bytes do not have the SHA-256 recorded"
	case f.Code != "" && !isDigest(f.Code):
		return fmt.Sprintf("code %q", f.Code)
	case len(f.Before) != 0 && len(f.Before) != PadBefore:
		return fmt.Sprintf("%d bytes before it", len(f.Before))
	case len(f.Clones) > maxClones || slices.ContainsFunc(f.Clones, func(c Clone) bool { return hasControl(c.Name) || hasControl(c.Kind) }):
		return "clones"
	case len(f.Variants) > maxVariants || slices.ContainsFunc(f.Variants, func(v Variant) bool { return hasControl(v.Name) }) ||
		slices.ContainsFunc(f.Indirect, hasControl):
		return "variants"
	case hasControl(f.Prototype) || slices.ContainsFunc(f.InlinedInto, hasControl) || hasControl(f.Entry.Reason):
		return "unprintable text"
	}
	return f.Entry.check(f)
}

// check returns what is wrong with an entry, "" if nothing is.
func (e Entry) check(f *Function) string {
	ok := false
	switch e.Kind {
	case EntryNone:
		ok = e.Offset == 0 && e.Length == 0 && e.Reason != ""
	case EntryPadded:
		ok = e.Length == shortJumpSize && len(f.Before) == PadBefore
	case EntryStock:
		ok = e.Length >= jumpSize && e.Length < 2*maxInstruction
	}
	ok = ok && (e.Offset == 0 || e.Offset == len(endbr64)) && uint64(e.Offset+e.Length) <= f.Size
	if !ok {
		return fmt.Sprintf("entry %+v", e)
	}
	return ""
}

// maxInstruction is the length of the longest x86 instruction.
const maxInstruction = 15

func isBinding(s string) bool {
	return slices.Contains([]string{bindingLocal, bindingGlobal, bindingWeak, bindingUnique}, s)
}

// isDigest says whether s is a SHA-256 in lower-case hexadecimal.
func isDigest(s string) bool {
	d, err := hex.DecodeString(s)
	return err == nil && len(d) == sha256.Size && strings.ToLower(s) == s
}

// isFileName says whether s can be (part of) one element of a path; "" can.
func isFileName(s string) bool {
	return s != "." && s != ".." && len(s) <= 255 && !strings.Contains(s, "/") && !hasControl(s)
}

func hasControl(s string) bool { return strings.ContainsFunc(s, unicode.IsControl) }

// displayName is what to call a build in messages.
func displayName(b *Build) string {
	if b.NEVRA != "" {
		return b.NEVRA
	}
	return b.Soname
}
