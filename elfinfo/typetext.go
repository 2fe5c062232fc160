package elfinfo

import "fmt"

// TypeText writes a type for a person, as in C: "struct node *", "int [2][3]".
// A function is "int (link, ...)"; what is too deep is "…".
func (b *Build) TypeText(id TypeID) string {
	return b.typeText(id, 0)
}

// maxTextDepth bounds the nesting of what is written of a type.
const maxTextDepth = 8

func (b *Build) typeText(id TypeID, depth int) string {
	if id < 0 || int(id) >= len(b.Types) || depth > maxTextDepth {
		return "…"
	}
	t := &b.Types[id]
	of := func() string { return b.typeText(t.Of, depth+1) }
	switch t.Kind {
	case TypeVoid:
		return "void"
	case TypeStruct, TypeUnion, TypeEnum:
		return tagged(string(t.Kind), t.Name)
	case TypeBase, TypeTypedef:
		return t.Name
	case TypePointer:
		return of() + " *"
	case TypeReference:
		return of() + " &"
	case TypeRvalue:
		return of() + " &&"
	case TypeMemberPtr:
		return of() + " ::*"
	case TypeConst, TypeVolatile, TypeRestrict, TypeAtomic:
		return string(t.Kind) + " " + of()
	case TypeArray:
		if t.Count == UnknownCount {
			return of() + " []"
		}
		return fmt.Sprintf("%s [%d]", of(), t.Count)
	case TypeFunction:
		return of() + " (" + b.parameterText(t, depth) + ")"
	}
	return "unknown"
}

func (b *Build) parameterText(t *Type, depth int) (text string) {
	for i, p := range t.Parameters {
		if i > 0 {
			text += ", "
		}
		if i == maxTextDepth {
			return text + "…"
		}
		text += b.typeText(p, depth+1)
	}
	switch {
	case t.Variadic:
		return text + ", ..."
	case len(t.Parameters) == 0 && !t.Unprototyped:
		return "void"
	}
	return text
}
