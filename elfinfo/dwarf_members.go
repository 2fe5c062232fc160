package elfinfo

import (
	"crypto/sha256"
	"debug/dwarf"
	"fmt"
	"strings"
	"unicode"
)

// contents reads the members of a struct or union and the values of an enum.
func (t *typeReader) contents(r *dwarfReader, e *dwarf.Entry, made *Type) error {
	return t.tree.children(r, e, func(child *dwarf.Entry) error {
		if t.room < 0 || len(made.Members) == maxMembers || len(made.Values) == maxMembers || len(made.Slots) == maxMembers {
			return errEntries
		}
		switch child.Tag {
		case dwarf.TagMember:
			if isStatic(child) {
				return nil
			}
			m := t.member(child)
			made.Virtual = made.Virtual || strings.HasPrefix(m.Name, "_vptr")
			made.Members = append(made.Members, m)
		case dwarf.TagInheritance:
			made.Members = append(made.Members, t.base(child))
			made.Virtual = made.Virtual || made.Members[len(made.Members)-1].VirtualBase
		case dwarf.TagEnumerator:
			name, _ := child.Val(dwarf.AttrName).(string)
			value, _ := child.Val(dwarf.AttrConstValue).(int64)
			made.Values = append(made.Values, EnumValue{t.name(name), value})
		case dwarf.TagSubprogram:
			if slot := t.name(virtualSlot(child)); slot != "" {
				made.Slots, made.Virtual = append(made.Slots, slot), true
			}
		}
		return nil
	})
}

// isStatic says whether a member is a static one of a C++ class.
func isStatic(e *dwarf.Entry) bool {
	external, _ := e.Val(dwarf.AttrExternal).(bool)
	declaration, _ := e.Val(dwarf.AttrDeclaration).(bool)
	return external || declaration
}

// member reads one member (DWARF 5, section 5.7.6).
func (t *typeReader) member(e *dwarf.Entry) Member {
	name, _ := e.Val(dwarf.AttrName).(string)
	m := Member{Name: t.name(name), Type: t.of(e), Offset: location(e)}
	if m.Bits = size(e, dwarf.AttrBitSize); m.Bits == 0 {
		return m
	}
	var bit uint64
	if at, ok := e.Val(dwarf.AttrDataBitOffset).(int64); ok {
		bit = m.Offset*8 + uint64(at)
	} else {
		// DWARF 3 counts from the highest bit of a storage unit.
		bit = m.Offset*8 + 8*t.storage(e) - size(e, dwarf.AttrBitOffset) - m.Bits
	}
	m.Offset, m.Bit = bit/8, uint8(bit%8)
	return m
}

// storage is the size in bytes of the storage unit of a bit-field of DWARF 3:
// its own, or that of its type.
func (t *typeReader) storage(e *dwarf.Entry) uint64 {
	for range maxTypeDepth {
		if n := size(e, dwarf.AttrByteSize); n > 0 {
			return n
		}
		at, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
		if !ok {
			break
		}
		var err error
		if _, e, err = t.tree.entry(at); err != nil {
			break
		}
	}
	return 4
}

// base reads a base class.
func (t *typeReader) base(e *dwarf.Entry) Member {
	m := Member{Type: t.of(e), Base: true}
	if v, _ := e.Val(dwarf.AttrVirtuality).(int64); v != 0 {
		m.VirtualBase = true
		return m
	}
	m.Offset = location(e)
	return m
}

// location is DW_AT_data_member_location: a constant, or an expression of
// DW_OP_plus_uconst.
func location(e *dwarf.Entry) uint64 {
	switch v := e.Val(dwarf.AttrDataMemberLoc).(type) {
	case int64:
		return uint64(max(v, 0))
	case []byte:
		const plusUconst = 0x23
		if len(v) < 2 || v[0] != plusUconst {
			return 0
		}
		var n uint64
		for i, b := range v[1:min(len(v), 10)] {
			n |= uint64(b&0x7f) << (7 * i)
			if b&0x80 == 0 {
				break
			}
		}
		return n
	}
	return 0
}

// virtualSlot is the place in the table and the name of a virtual function, ""
// for another one.
func virtualSlot(e *dwarf.Entry) string {
	if v, _ := e.Val(dwarf.AttrVirtuality).(int64); v == 0 {
		return ""
	}
	name, _ := e.Val(dwarf.AttrLinkageName).(string)
	if name == "" {
		name, _ = e.Val(dwarf.AttrName).(string)
	}
	at, _ := e.Val(dwarf.AttrVtableElemLoc).([]byte)
	return fmt.Sprintf("%.16x %.*s", at, maxName, name)
}

// name makes a name fit to be shown and stored; see maxTypeText.
func (t *typeReader) name(s string) string {
	t.room -= len(s)
	return cleanName(s)
}

// cleanName makes a name fit to be shown and stored.
func cleanName(s string) string {
	if len(s) > maxName {
		s = s[:maxName]
	}
	if !hasControl(s) && strings.ToValidUTF8(s, "") == s {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// look is how a type looks from outside: name, size, the members' names,
// places and the names of their types. "" says that it cannot be read.
func (t *typeReader) look(at dwarf.Offset) (text string, declared bool) {
	defer func() {
		if recover() != nil {
			text = ""
		}
	}()
	r, e, err := t.tree.entry(at)
	if err != nil {
		return "", false
	}
	declared, _ = e.Val(dwarf.AttrDeclaration).(bool)
	b := sha256.New()
	fmt.Fprintf(b, "%v %d %v", e.Tag, size(e, dwarf.AttrByteSize), t.target(e))
	err = t.tree.children(r, e, func(child *dwarf.Entry) error {
		name, _ := child.Val(dwarf.AttrName).(string)
		fmt.Fprintf(b, "\n%v %.*s %v %v %v %v %v %v", child.Tag, maxScope, name, child.Val(dwarf.AttrDataMemberLoc),
			child.Val(dwarf.AttrBitSize), child.Val(dwarf.AttrDataBitOffset), child.Val(dwarf.AttrBitOffset),
			child.Val(dwarf.AttrConstValue), t.target(child))
		return nil
	})
	if err != nil {
		return "", declared
	}
	return string(b.Sum(nil)), declared
}

// target is how the type that an entry refers to looks: tags down to the first name.
func (t *typeReader) target(e *dwarf.Entry) string {
	first, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
	if !ok {
		return ""
	}
	if look, ok := t.looks[first]; ok {
		return look
	}
	var b strings.Builder
	for at := first; b.Len() < maxScope; {
		var err error
		if _, e, err = t.tree.entry(at); err != nil {
			break
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		fmt.Fprintf(&b, " %v %.*s %d", e.Tag, maxScope, name, size(e, dwarf.AttrByteSize))
		if at, ok = e.Val(dwarf.AttrType).(dwarf.Offset); !ok || name != "" && e.Tag != dwarf.TagTypedef {
			break
		}
	}
	t.looks[first] = b.String()
	return t.looks[first]
}
