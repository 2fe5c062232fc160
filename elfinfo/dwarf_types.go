package elfinfo

import (
	"cmp"
	"debug/dwarf"
	"slices"
)

// Limits of the types of one record.
const (
	maxTypeNodes   = 1 << 15 // entries that are types
	maxTypeEntries = 1 << 20 // entries read
	maxMembers     = 1 << 13 // members of a struct, values of an enum, parameters
	maxDimensions  = 16
	maxTypeText    = 16 << 20 // bytes of all names
)

// typeReader turns entries into types. It works through a list of those that
// have been referred to but not read, so that neither depth nor cycles matter:
// what is near the names asked for comes first.
type typeReader struct {
	tree  dwarfTree
	info  *debugInfo
	types []Type                  // 0 is void
	ids   map[dwarf.Offset]TypeID // of entries
	queue []dwarf.Offset          // referred to, not read yet
	looks map[dwarf.Offset]string // of types that others refer to
	cut   string
	room  int // bytes of names that may still be kept
}

func newTypeReader(info *debugInfo) *typeReader {
	return &typeReader{
		tree:  dwarfTree{data: info.data, budget: maxTypeEntries},
		info:  info,
		types: []Type{{Kind: TypeVoid}},
		ids:   make(map[dwarf.Offset]TypeID),
		looks: make(map[dwarf.Offset]string),
		room:  maxTypeText,
	}
}

// new makes a type that has no entry of its own.
func (t *typeReader) new(made Type) TypeID {
	t.types = append(t.types, made)
	return TypeID(len(t.types) - 1)
}

// id is the type of the entry at an offset, to be read later.
func (t *typeReader) id(at dwarf.Offset) TypeID {
	if id, ok := t.ids[at]; ok {
		return id
	}
	id := t.new(Type{Kind: TypeUnknown})
	if len(t.types) > maxTypeNodes {
		t.cut = cmp.Or(t.cut, "more types than a record holds")
		t.types[id].Cut = true
		return id
	}
	t.ids[at] = id
	t.queue = append(t.queue, at)
	return id
}

// of is the type that DW_AT_type of an entry refers to, void without it.
func (t *typeReader) of(e *dwarf.Entry) TypeID {
	field := e.AttrField(dwarf.AttrType)
	if field == nil {
		return 0
	}
	if at, ok := field.Val.(dwarf.Offset); ok {
		return t.id(at)
	}
	return t.new(Type{Kind: TypeUnknown}) // in a type unit, or a file that is not there
}

// drain reads everything that was referred to. An entry that cannot be read
// stays unknown.
func (t *typeReader) drain() {
	for len(t.queue) > 0 {
		at := t.queue[0]
		t.queue = t.queue[1:]
		t.read(at)
	}
}

// read reads one entry. debug/dwarf is known to panic on hostile input.
func (t *typeReader) read(at dwarf.Offset) {
	id := t.ids[at]
	defer func() {
		if recover() != nil {
			t.types[id] = Type{Kind: TypeUnknown}
		}
	}()
	r, e, err := t.tree.entry(at)
	if err != nil {
		t.fail(id)
		return
	}
	made := Type{Kind: typeKinds[e.Tag], Of: t.of(e), Size: size(e, dwarf.AttrByteSize), Align: size(e, dwarf.AttrAlignment)}
	if name, _ := e.Val(dwarf.AttrName).(string); name != "" {
		made.Name = t.name(t.info.scopes[at] + name)
	}
	made.Incomplete, _ = e.Val(dwarf.AttrDeclaration).(bool)
	switch e.Tag {
	case dwarf.TagBaseType, dwarf.TagUnspecifiedType:
		made.Encoding = encoding(e)
	case dwarf.TagPointerType, dwarf.TagReferenceType, dwarf.TagRvalueReferenceType:
		made.Size = cmp.Or(made.Size, 8)
	case dwarf.TagStructType, dwarf.TagClassType, dwarf.TagUnionType, dwarf.TagEnumerationType:
		err = t.contents(r, e, &made)
	case dwarf.TagArrayType:
		err = t.array(r, e, &made)
	case dwarf.TagSubroutineType:
		err = t.parameters(r, e, &made)
		made.Unprototyped = unprototyped(e, made)
	}
	if made.Kind == "" {
		made = Type{Kind: TypeUnknown}
	}
	t.types[id] = made
	if err != nil {
		t.fail(id)
	}
}

// fail marks a type whose contents are missing.
func (t *typeReader) fail(id TypeID) {
	made := &t.types[id]
	made.Cut, made.Members, made.Values, made.Parameters = true, nil, nil, nil
	t.cut = cmp.Or(t.cut, "some types could not be read, or hold too much")
}

var typeKinds = map[dwarf.Tag]TypeKind{
	dwarf.TagBaseType: TypeBase, dwarf.TagUnspecifiedType: TypeBase,
	dwarf.TagPointerType: TypePointer, dwarf.TagReferenceType: TypeReference,
	dwarf.TagRvalueReferenceType: TypeRvalue, dwarf.TagPtrToMemberType: TypeMemberPtr,
	dwarf.TagStructType: TypeStruct, dwarf.TagClassType: TypeStruct, dwarf.TagInterfaceType: TypeStruct,
	dwarf.TagUnionType: TypeUnion, dwarf.TagEnumerationType: TypeEnum, dwarf.TagArrayType: TypeArray,
	dwarf.TagSubroutineType: TypeFunction, dwarf.TagTypedef: TypeTypedef, dwarf.TagTemplateAlias: TypeTypedef,
	dwarf.TagConstType: TypeConst, dwarf.TagVolatileType: TypeVolatile,
	dwarf.TagRestrictType: TypeRestrict, dwarf.TagAtomicType: TypeAtomic,
}

// encoding names DW_AT_encoding (DWARF 5, section 5.1.1).
func encoding(e *dwarf.Entry) string {
	n, _ := e.Val(dwarf.AttrEncoding).(int64)
	switch n {
	case 0x02:
		return "bool"
	case 0x03:
		return "complex"
	case 0x04:
		return "float"
	case 0x05:
		return "signed"
	case 0x06, 0x08:
		return "char"
	case 0x07:
		return "unsigned"
	case 0x10, 0x11, 0x12:
		return "utf"
	}
	return "other"
}

// size is an attribute that counts bytes, 0 if it is absent or negative.
func size(e *dwarf.Entry, attr dwarf.Attr) uint64 {
	n, _ := e.Val(attr).(int64)
	return uint64(max(n, 0))
}

// attrGNUVector is DW_AT_GNU_vector: gcc marks vectors with it.
const attrGNUVector dwarf.Attr = 0x2107

// array makes an array of arrays of the dimensions, the last of which is the
// innermost. A vector is passed in a register of its own kind.
func (t *typeReader) array(r *dwarfReader, e *dwarf.Entry, made *Type) error {
	var counts []int64
	err := t.tree.children(r, e, func(child *dwarf.Entry) error {
		if child.Tag != dwarf.TagSubrangeType || len(counts) == maxDimensions {
			return nil
		}
		n := int64(UnknownCount)
		if count, ok := child.Val(dwarf.AttrCount).(int64); ok {
			n = count
		} else if upper, ok := child.Val(dwarf.AttrUpperBound).(int64); ok && upper >= -1 {
			n = upper + 1
		}
		counts = append(counts, max(n, UnknownCount))
		return nil
	})
	if vector, _ := e.Val(attrGNUVector).(bool); vector {
		made.Encoding = "vector"
	}
	if len(counts) == 0 {
		counts = []int64{UnknownCount}
	}
	for i := len(counts) - 1; i > 0; i-- {
		made.Of = t.new(Type{Kind: TypeArray, Of: made.Of, Count: counts[i]})
	}
	made.Count = counts[0]
	return err
}

// parameters reads the parameter list of a subprogram or function type.
func (t *typeReader) parameters(r *dwarfReader, e *dwarf.Entry, made *Type) error {
	return t.tree.children(r, e, func(child *dwarf.Entry) error {
		switch child.Tag {
		case dwarf.TagFormalParameter:
			if len(made.Parameters) == maxMembers {
				return errEntries
			}
			made.Parameters = append(made.Parameters, t.of(child))
		case dwarf.TagUnspecifiedParameters:
			made.Variadic = true
		}
		return nil
	})
}

// unprototyped says whether a function is declared as f(). gcc writes such a
// one with unspecified parameters.
func unprototyped(e *dwarf.Entry, made Type) bool {
	prototyped, _ := e.Val(dwarf.AttrPrototyped).(bool)
	return !prototyped && len(made.Parameters) == 0
}

// function is the type of the subprogram at an offset; 0 if it is not known.
func (t *typeReader) function(at dwarf.Offset) (id TypeID) {
	defer func() {
		if recover() != nil {
			id = 0
		}
	}()
	r, e, err := t.tree.entry(at)
	if err != nil || e.Tag != dwarf.TagSubprogram {
		return 0
	}
	made := Type{Kind: TypeFunction}
	if err := t.parameters(r, e, &made); err != nil {
		return 0
	}
	made.Unprototyped = unprototyped(e, made) && !t.info.cpp[t.info.subprograms[at].unit]
	if made.Unprototyped {
		made.Variadic = false
	}
	if spec, ok := e.Val(dwarf.AttrSpecification).(dwarf.Offset); ok && e.Val(dwarf.AttrType) == nil {
		if _, e, err = t.tree.entry(spec); err != nil {
			return 0
		}
	}
	if name, _ := e.Val(dwarf.AttrName).(string); name == "" {
		return 0 // the assembler says nothing of its functions
	}
	made.Of = t.of(e)
	id = t.new(made)
	t.drain()
	return id
}

// variable is the type of the variable at an offset; 0 if it is not known.
func (t *typeReader) variable(at dwarf.Offset) (id TypeID) {
	defer func() {
		if recover() != nil {
			id = 0
		}
	}()
	for range 4 {
		_, e, err := t.tree.entry(at)
		if err != nil {
			return 0
		}
		if e.AttrField(dwarf.AttrType) != nil {
			id = t.of(e)
			t.drain()
			return id
		}
		next, ok := e.Val(dwarf.AttrSpecification).(dwarf.Offset)
		if !ok {
			next, ok = e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset)
		}
		if !ok {
			return 0
		}
		at = next
	}
	return 0
}

// named reads the types of one name: of those that look the same one only,
// and declarations only if nobody defines it.
func (t *typeReader) named(name string) []TypeID {
	type candidate struct {
		at       dwarf.Offset
		declared bool
	}
	var candidates []candidate
	seen := make(map[string]bool)
	complete := false
	for _, at := range t.info.types[name] {
		look, declared := t.look(at)
		if look == "" || seen[look] {
			continue
		}
		seen[look] = true
		complete = complete || !declared
		candidates = append(candidates, candidate{at, declared})
	}
	ids := []TypeID{}
	for _, c := range candidates {
		if c.declared && complete {
			continue
		}
		if id := t.id(c.at); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	t.drain()
	return ids
}
