package packer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// A SymbolList is the JSON that "ulp extract" writes and that a description
// may name as its target in place of the library.
type SymbolList struct {
	Library ListedLibrary `json:"library"`
}

// ListedLibrary is the library of a SymbolList.
type ListedLibrary struct {
	Name    string          `json:"name"`
	BuildID elfinfo.BuildID `json:"buildid"`
	Symbols []ListedSymbol  `json:"symbols"`
}

// ListedSymbol is one symbol of a SymbolList. Offset is st_value, Size is in
// bytes; Info and Other are st_info and st_other.
type ListedSymbol struct {
	Name   string `json:"name"`
	Offset uint64 `json:"offset"`
	Size   uint64 `json:"size"`
	Info   byte   `json:"st_info"`
	Other  byte   `json:"st_other"`
}

// Encode returns the bytes that "ulp extract" writes, which come from json-c's
// JSON_C_TO_STRING_PRETTY: two blanks a level, none after a colon, no newline at
// the end. Numbers beyond 31 bits, which libpulp cuts, are written whole.
func (l *SymbolList) Encode() []byte {
	var b bytes.Buffer
	b.WriteString("{\n  \"library\":{\n    \"name\":")
	writeString(&b, l.Library.Name)
	b.WriteString(",\n    \"buildid\":")
	writeString(&b, string(l.Library.BuildID))
	b.WriteString(",\n    \"symbols\":[")
	for i, s := range l.Library.Symbols {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString("\n      {\n        \"name\":")
		writeString(&b, s.Name)
		fmt.Fprintf(&b, ",\n        \"offset\":%d,\n        \"size\":%d,\n        \"st_info\":%d,\n        \"st_other\":%d\n      }",
			s.Offset, s.Size, s.Info, s.Other)
	}
	b.WriteString("\n    ]\n  }\n}")
	return b.Bytes()
}

// writeString writes a string as json-c escapes it: the slash as well, and
// control characters only; what is not UTF-8 stays as it is.
func writeString(b *bytes.Buffer, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"', c == '\\', c == '/':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\b', c == '\n', c == '\r', c == '\t', c == '\f':
			quoted := strconv.Quote(string(rune(c)))
			b.WriteString(quoted[1 : len(quoted)-1])
		case c < 0x20:
			fmt.Fprintf(b, "\\u%04x", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}

// maxSymbolList bounds a symbol list, in bytes: ten times that of a libc.
const maxSymbolList = 16 << 20

// readSymbolList reads a file that Extract or "ulp extract" wrote. It returns
// nil if the file is not JSON.
func readSymbolList(name string) (*SymbolList, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	start := make([]byte, 1)
	if _, err := io.ReadFull(f, start); err != nil || start[0] != '{' {
		return nil, nil // opening it as a library will say what is wrong
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSymbolList))
	if err != nil {
		return nil, err
	}
	if len(data) == maxSymbolList {
		return nil, fmt.Errorf("%s: larger than %d bytes: %w", name, maxSymbolList, elfinfo.ErrFormat)
	}
	list := new(SymbolList)
	if err := json.Unmarshal(append(start, data...), list); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, elfinfo.ErrFormat, err)
	}
	return list, nil
}

// find returns st_value of the first symbol of that name which is defined, as
// libpulp's packer does.
func (l *SymbolList) find(name string) (uint64, error) {
	for _, s := range l.Library.Symbols {
		if s.Name == name && s.Offset != 0 {
			return s.Offset, nil
		}
	}
	return 0, fmt.Errorf("%s: %w", name, elfinfo.ErrMissing)
}

// WriteFile writes the list to a file, with the bytes of Encode.
func (l *SymbolList) WriteFile(name string) error { return replaceFile(name, l.Encode()) }
