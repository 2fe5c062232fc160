package elfinfo

import (
	"debug/dwarf"
	"errors"
	"fmt"
	"strings"
)

// Limits of a prototype: entries read for it, nesting of types, length of the text.
const (
	maxPrototypeEntries = 1 << 12
	maxTypeDepth        = 32
	maxPrototype        = 4 << 10
)

var errPrototype = errors.New("type cannot be written in C")

// prototyper writes types in C. It follows references itself instead of using
// dwarf.Data.Type, whose recursion the file could make endless.
type prototyper struct{ dwarfTree }

// prototype writes the prototype of the subprogram at an offset.
func (p *prototyper) prototype(at dwarf.Offset, name string) (string, error) {
	reader, e, err := p.entry(at)
	if err != nil {
		return "", err
	}
	params, err := p.parameters(reader, e, 0)
	if err != nil {
		return "", err
	}
	if spec, ok := e.Val(dwarf.AttrSpecification).(dwarf.Offset); ok && e.Val(dwarf.AttrType) == nil {
		if _, e, err = p.entry(spec); err != nil {
			return "", err
		}
	}
	return p.typed(e, name+"("+params+")", 0)
}

// parameters writes the parameter list of a subprogram or function type.
func (p *prototyper) parameters(r *dwarfReader, e *dwarf.Entry, depth int) (string, error) {
	var list []string
	err := p.children(r, e, func(child *dwarf.Entry) error {
		switch child.Tag {
		case dwarf.TagFormalParameter:
			name, _ := child.Val(dwarf.AttrName).(string)
			text, err := p.typed(child, name, depth)
			list = append(list, text)
			return err
		case dwarf.TagUnspecifiedParameters:
			list = append(list, "...")
		}
		return nil
	})
	if prototyped, _ := e.Val(dwarf.AttrPrototyped).(bool); len(list) == 0 && prototyped {
		return "void", err
	}
	return strings.Join(list, ", "), err
}

// typed writes the declaration of something whose type is DW_AT_type of e;
// without that attribute it is void.
func (p *prototyper) typed(e *dwarf.Entry, declarator string, depth int) (string, error) {
	field := e.AttrField(dwarf.AttrType)
	if field == nil {
		return join("void", declarator), nil
	}
	at, ok := field.Val.(dwarf.Offset)
	if !ok {
		return "", errPrototype // in another file (dwz) or a type unit
	}
	return p.declare(at, declarator, depth+1)
}

// declare writes the declaration of something of the type at an offset, from
// the inside out: the declarator grows while the type is followed.
func (p *prototyper) declare(at dwarf.Offset, declarator string, depth int) (string, error) {
	if depth > maxTypeDepth || len(declarator) > maxPrototype {
		return "", errPrototype
	}
	r, e, err := p.entry(at)
	if err != nil {
		return "", err
	}
	name, _ := e.Val(dwarf.AttrName).(string)
	switch e.Tag {
	case dwarf.TagBaseType, dwarf.TagTypedef, dwarf.TagUnspecifiedType:
		if name == "" {
			return "", errPrototype // the return type of an assembly function
		}
		return join(name, declarator), nil
	case dwarf.TagStructType, dwarf.TagClassType:
		return join(tagged("struct", name), declarator), nil
	case dwarf.TagUnionType:
		return join(tagged("union", name), declarator), nil
	case dwarf.TagEnumerationType:
		return join(tagged("enum", name), declarator), nil
	case dwarf.TagPointerType:
		return p.pointer(e, "*"+declarator, depth)
	case dwarf.TagReferenceType:
		return p.pointer(e, "&"+declarator, depth)
	case dwarf.TagRvalueReferenceType:
		return p.pointer(e, "&&"+declarator, depth)
	case dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagRestrictType, dwarf.TagAtomicType:
		return p.qualified(e, declarator, depth)
	case dwarf.TagArrayType:
		bounds, err := p.bounds(r, e)
		if err != nil {
			return "", err
		}
		return p.typed(e, declarator+bounds, depth)
	case dwarf.TagSubroutineType:
		params, err := p.parameters(r, e, depth)
		if err != nil {
			return "", err
		}
		return p.typed(e, declarator+"("+params+")", depth)
	}
	return "", fmt.Errorf("%w: %v", errPrototype, e.Tag)
}

// pointer binds less tightly than an array or function: those need parentheses.
func (p *prototyper) pointer(e *dwarf.Entry, declarator string, depth int) (string, error) {
	switch p.target(e) {
	case dwarf.TagArrayType, dwarf.TagSubroutineType:
		declarator = "(" + declarator + ")"
	}
	return p.typed(e, declarator, depth)
}

// qualified writes a qualifier: behind the star if it qualifies a pointer.
func (p *prototyper) qualified(e *dwarf.Entry, declarator string, depth int) (string, error) {
	qualifier := map[dwarf.Tag]string{
		dwarf.TagConstType: "const", dwarf.TagVolatileType: "volatile",
		dwarf.TagRestrictType: "restrict", dwarf.TagAtomicType: "_Atomic",
	}[e.Tag]
	switch p.target(e) {
	case dwarf.TagPointerType, dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagRestrictType:
		return p.typed(e, join(qualifier, declarator), depth)
	}
	text, err := p.typed(e, declarator, depth)
	return join(qualifier, text), err
}

// target is the tag of the type that e refers to, 0 for void.
func (p *prototyper) target(e *dwarf.Entry) dwarf.Tag {
	at, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
	if !ok {
		return 0
	}
	_, t, err := p.entry(at)
	if err != nil {
		return 0
	}
	return t.Tag
}

// bounds writes the dimensions of an array type.
func (p *prototyper) bounds(r *dwarfReader, e *dwarf.Entry) (text string, err error) {
	err = p.children(r, e, func(child *dwarf.Entry) error {
		if child.Tag != dwarf.TagSubrangeType {
			return nil
		}
		if n, ok := child.Val(dwarf.AttrCount).(int64); ok {
			text += fmt.Sprintf("[%d]", n)
		} else if n, ok := child.Val(dwarf.AttrUpperBound).(int64); ok {
			text += fmt.Sprintf("[%d]", n+1)
		} else {
			text += "[]"
		}
		return nil
	})
	return text, err
}

func tagged(keyword, name string) string {
	if name == "" {
		name = "{...}"
	}
	return keyword + " " + name
}

func join(a, b string) string {
	if b == "" {
		return a
	}
	return a + " " + b
}
