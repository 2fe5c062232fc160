package elfinfo

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// Nearly all of a record is its two lists of symbols, and a build of a live
// patch asks for a handful of them. What [Build.Encode] writes, one value a
// line, is read here line by line; anything else that is JSON goes the slow way
// through encoding/json and comes out the same.

// symbolLists are the parts of a record that are cut out of its text.
type symbolLists struct{ symbols, imports []byte }

// cutSymbols returns the text of a record with empty lists in place of its
// symbols, and the lists; ok is false if they are not where Encode puts them.
func cutSymbols(data []byte) (rest []byte, lists symbolLists, ok bool) {
	rest, lists.symbols, ok = cutList(data, "symbols")
	if !ok {
		return data, lists, false
	}
	rest, lists.imports, ok = cutList(rest, "imports")
	if !ok {
		return data, symbolLists{}, false
	}
	return rest, lists, true
}

// cutList cuts the elements out of a list at the top level. A string holds no
// raw line feed (RFC 8259, 7), so that a line that begins with one blank and a
// quote is a key of the outermost object.
func cutList(data []byte, key string) (rest, list []byte, ok bool) {
	head := []byte("\n \"" + key + "\": [")
	at := bytes.Index(data, head)
	if at < 0 {
		return nil, nil, false
	}
	from := at + len(head)
	if bytes.HasPrefix(data[from:], []byte("]")) {
		return data, nil, true
	}
	n := endOfList(data[from:])
	if n < 0 || !bytes.HasPrefix(data[from:], []byte("\n  {\n")) {
		return nil, nil, false
	}
	rest = make([]byte, 0, len(data)-n)
	rest = append(append(rest, data[:from]...), data[from+n+2:]...)
	// Given twice, the key is left to encoding/json.
	return rest, data[from : from+n], !bytes.Contains(rest[from:], head)
}

// endOfList is where the line feed before the bracket is that ends a list, -1
// if there is none. Hardly any other bracket is in a list of symbols, and so
// nearly all of a record is searched for one byte.
func endOfList(list []byte) int {
	for at := 0; ; at++ {
		n := bytes.IndexByte(list[at:], ']')
		if n < 0 {
			return -1
		}
		if at += n; bytes.HasSuffix(list[:at], []byte("\n ")) {
			return at - len("\n ")
		}
	}
}

// parseSymbols reads the elements of a list: those that are wanted, all if
// wanted is nil. ok is false if a line is not as Encode writes it.
func parseSymbols(list []byte, wanted func(string) bool) (symbols []Symbol, ok bool) {
	symbols = []Symbol{}
	p := lineParser{rest: bytes.TrimPrefix(list, []byte("\n"))}
	for len(p.rest) > 0 {
		name, ok := p.begin()
		if !ok {
			return nil, false
		}
		if wanted != nil && !wanted(name) {
			if !p.skip() {
				return nil, false
			}
			continue
		}
		s := Symbol{Name: name}
		if !p.fields(&s) {
			return nil, false
		}
		symbols = append(symbols, s)
	}
	return symbols, true
}

// lineParser reads the lines of a list of symbols.
type lineParser struct{ rest []byte }

// line takes the next line.
func (p *lineParser) line() []byte {
	line, rest, _ := bytes.Cut(p.rest, []byte("\n"))
	p.rest = rest
	return line
}

// begin reads the brace and the name, which comes first.
func (p *lineParser) begin() (name string, ok bool) {
	if string(p.line()) != "  {" {
		return "", false
	}
	value, ok := bytes.CutPrefix(p.line(), []byte(`   "name": `))
	if !ok {
		return "", false
	}
	return plainString(bytes.TrimSuffix(value, []byte(",")))
}

// skip goes behind the brace that ends a symbol.
func (p *lineParser) skip() bool {
	n := bytes.Index(p.rest, []byte("  }"))
	if n < 0 {
		return false
	}
	p.rest = p.rest[n:]
	end := p.line()
	return string(end) == "  }" || string(end) == "  },"
}

// fields reads what follows the name.
func (p *lineParser) fields(s *Symbol) bool {
	for len(p.rest) > 0 {
		line := p.line()
		if string(line) == "  }" || string(line) == "  }," {
			return true
		}
		key, value, found := bytes.Cut(line, []byte(`": `))
		key, indented := bytes.CutPrefix(key, []byte(`   "`))
		if !found || !indented || !s.set(string(key), bytes.TrimSuffix(value, []byte(","))) {
			return false
		}
	}
	return false
}

// set sets one field.
func (s *Symbol) set(key string, value []byte) (ok bool) {
	switch key {
	case "version":
		s.Version, ok = plainString(value)
	case "library":
		s.Library, ok = plainString(value)
	case "kind":
		s.Kind, ok = plainString(value)
	case "binding":
		s.Binding, ok = plainString(value)
	case "default":
		s.Default, ok = true, string(value) == "true"
	case "absolute":
		s.Absolute, ok = true, string(value) == "true"
	case "address":
		s.Address, ok = plainNumber(value)
	case "size":
		s.Size, ok = plainNumber(value)
	}
	return ok
}

// plainString reads a JSON string without escapes, of printable ASCII.
func plainString(literal []byte) (string, bool) {
	n := len(literal)
	if n < 2 || literal[0] != '"' || literal[n-1] != '"' {
		return "", false
	}
	text := literal[1 : n-1]
	for _, c := range text {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return "", false
		}
	}
	// The few words that most symbols have in common are not copied.
	switch string(text) {
	case kindFunc:
		return kindFunc, true
	case kindObject:
		return kindObject, true
	case "global":
		return "global", true
	case "weak":
		return "weak", true
	}
	return string(text), true
}

func plainNumber(literal []byte) (uint64, bool) {
	if len(literal) > 1 && literal[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(literal), 10, 64)
	return n, err == nil
}

// decode reads the lists; those of another layout go through encoding/json.
func (l symbolLists) decode(wanted func(string) bool) (symbols, imports []Symbol, err error) {
	if symbols, err = decodeList(l.symbols, wanted); err != nil {
		return nil, nil, err
	}
	imports, err = decodeList(l.imports, wanted)
	for i := range imports {
		imports[i].Undefined = true
	}
	return symbols, imports, err
}

func decodeList(list []byte, wanted func(string) bool) ([]Symbol, error) {
	if len(list) == 0 {
		return []Symbol{}, nil
	}
	if symbols, ok := parseSymbols(list, wanted); ok {
		return symbols, nil
	}
	dec := json.NewDecoder(bytes.NewReader(append(append([]byte("["), list...), ']')))
	dec.DisallowUnknownFields()
	all := []Symbol{}
	if err := dec.Decode(&all); err != nil {
		return nil, err
	}
	if wanted == nil {
		return all, nil
	}
	kept := []Symbol{}
	for _, s := range all {
		if wanted(s.Name) {
			kept = append(kept, s)
		}
	}
	return kept, nil
}
