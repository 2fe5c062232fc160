package elfinfo

import "fmt"

// TypeText writes a type for a person, as in C: "struct node *", "int [2][3]".
// A function is "int (link, ...)"; what is too deep is "…".
func (b *Build) TypeText(id TypeID) string {
	left := maxTextTypes
	return b.typeText(id, &left)
}

// maxTextTypes bounds what is written of a type, maxTextDepth the number of parameters.
const (
	maxTextTypes = 32
	maxTextDepth = 8
)

func (b *Build) typeText(id TypeID, left *int) string {
	if *left--; id < 0 || int(id) >= len(b.Types) || *left < 0 {
		return "…"
	}
	t := &b.Types[id]
	of := func() string { return b.typeText(t.Of, left) }
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
		return of() + " (" + b.parameterText(t, left) + ")"
	}
	return "unknown"
}

func (b *Build) parameterText(t *Type, left *int) (text string) {
	for i, p := range t.Parameters {
		if i > 0 {
			text += ", "
		}
		if i == maxTextDepth {
			return text + "…"
		}
		text += b.typeText(p, left)
	}
	switch {
	case t.Variadic:
		return text + ", ..."
	case len(t.Parameters) == 0 && !t.Unprototyped:
		return "void"
	}
	return text
}
