package elfinfo

import (
	"fmt"
	"slices"
)

// checkTypes returns what is wrong with the types of a record, "" if nothing is.
func (b *Build) checkTypes() string {
	bad := ""
	check := func(id *TypeID) {
		if *id != 0 && (*id < 0 || int(*id) >= len(b.Types)) {
			bad = fmt.Sprintf("type %d of %d", *id, len(b.Types))
		}
	}
	b.typeRefs(check)
	for i := range b.Types {
		b.Types[i].refers(check)
		if reason := b.Types[i].check(); reason != "" {
			return fmt.Sprintf("type %d: %s", i, reason)
		}
	}
	for name := range b.TypeNames {
		if !validTypeName(name) {
			return fmt.Sprintf("type name %q", name)
		}
	}
	switch {
	case len(b.Types) > 0 && b.Types[0].Kind != TypeVoid:
		return "the first type is not void"
	case hasControl(b.TypesCut):
		return "unprintable text"
	}
	return bad
}

var knownKinds = []TypeKind{
	TypeVoid, TypeBase, TypePointer, TypeReference, TypeRvalue, TypeMemberPtr, TypeStruct, TypeUnion, TypeEnum,
	TypeArray, TypeFunction, TypeTypedef, TypeConst, TypeVolatile, TypeRestrict, TypeAtomic, TypeUnknown,
}

// check returns what is wrong with a type by itself, "" if nothing is.
func (t *Type) check() string {
	switch {
	case !slices.Contains(knownKinds, t.Kind):
		return fmt.Sprintf("kind %q", t.Kind)
	case len(t.Members) > maxMembers || len(t.Values) > maxMembers || len(t.Parameters) > maxMembers || len(t.Slots) > maxMembers:
		return "holds too much"
	case hasControl(t.Name) || len(t.Name) > 2*maxName || hasControl(t.Encoding) || slices.ContainsFunc(t.Slots, hasControl):
		return fmt.Sprintf("name %q", t.Name)
	case slices.ContainsFunc(t.Members, func(m Member) bool { return hasControl(m.Name) }),
		slices.ContainsFunc(t.Values, func(v EnumValue) bool { return hasControl(v.Name) }):
		return "unprintable name"
	}
	return ""
}
