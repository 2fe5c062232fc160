package elfinfo

import (
	"debug/dwarf"
	"strings"
)

// scope is a C++ namespace or class around an entry.
type scope struct {
	prefix string // with what is around it, as std::
	depth  int
}

// maxScope bounds the length of a C++ prefix, maxTypeUnits the definitions of
// one name that are compared.
const (
	maxScope     = 1 << 10
	maxTypeUnits = 1 << 13
)

// isCPP says whether DW_AT_language is C++, of any standard (DWARF 5, table 7.17).
func isCPP(language int64) bool {
	switch language {
	case 0x04, 0x1a, 0x21, 0x2b, 0x3a: // 98, 11, 14, 17, 20
		return true
	}
	return false
}

// enter notes a namespace or class whose children come next.
func (w *dwarfWalk) enter(e *dwarf.Entry) {
	if !e.Children {
		return
	}
	name, _ := e.Val(dwarf.AttrName).(string)
	if name == "" {
		name = "(anonymous)"
	}
	if prefix := w.prefix() + name + "::"; len(prefix) <= maxScope {
		w.scopes = append(w.scopes, scope{prefix, w.depth})
	}
}

// prefix is what is before the name of an entry here.
func (w *dwarfWalk) prefix() string {
	if n := len(w.scopes); n > 0 {
		return w.scopes[n-1].prefix
	}
	return ""
}

// typeName notes a type that is wanted, or that has a C++ prefix. The members
// of a C++ class matter: types and functions are declared there.
func (w *dwarfWalk) typeName(e *dwarf.Entry) (descend bool) {
	name, _ := e.Val(dwarf.AttrName).(string)
	prefix := w.prefix()
	if prefix != "" {
		w.info.scopes[e.Offset] = prefix
	}
	if name != "" {
		for _, n := range typeNames(e.Tag, prefix+name) {
			if at := w.info.types[n]; w.info.want.types[n] && len(at) < maxTypeUnits {
				w.info.types[n] = append(at, e.Offset)
			}
		}
	}
	if e.Tag == dwarf.TagTypedef || e.Tag == dwarf.TagEnumerationType || !w.info.cpp[len(w.info.units)-1] {
		return false
	}
	w.enter(e)
	return true
}

// typeNames are the names by which a type can be asked for. C++ does without the keyword.
func typeNames(tag dwarf.Tag, name string) []string {
	switch tag {
	case dwarf.TagStructType, dwarf.TagClassType:
		return []string{"struct " + name, name}
	case dwarf.TagUnionType:
		return []string{"union " + name, name}
	case dwarf.TagEnumerationType:
		return []string{"enum " + name, name}
	}
	return []string{name}
}

// variable notes where the definition of a variable that is wanted is.
func (w *dwarfWalk) variable(e *dwarf.Entry) {
	location, _ := e.Val(dwarf.AttrLocation).([]byte)
	p, ok := placeOf(location)
	if ok && w.info.want.variables[p] {
		if _, known := w.info.variables[p]; !known {
			w.info.variables[p] = e.Offset
		}
	}
}

// placeOf reads the location of a static variable (DWARF 5, section 2.5.1):
// DW_OP_addr, or a constant that DW_OP_form_tls_address or its GNU equal takes.
func placeOf(location []byte) (place, bool) {
	const opAddr, opConst4u, opConst8u, opTLS, opGNUTLS = 0x03, 0x0c, 0x0e, 0x9b, 0xe0
	isTLS := func(op byte) bool { return op == opTLS || op == opGNUTLS }
	switch {
	case len(location) == 9 && location[0] == opAddr:
		return place{address: le.Uint64(location[1:])}, true
	case len(location) == 10 && location[0] == opConst8u && isTLS(location[9]):
		return place{le.Uint64(location[1:]), true}, true
	case len(location) == 6 && location[0] == opConst4u && isTLS(location[5]):
		return place{uint64(le.Uint32(location[1:])), true}, true
	}
	return place{}, false
}

// validTypeName says whether a type can be asked for by a name.
func validTypeName(s string) bool {
	keyword, name, two := strings.Cut(s, " ")
	if !two {
		return validName(s)
	}
	return validName(name) && (keyword == "struct" || keyword == "union" || keyword == "enum")
}
