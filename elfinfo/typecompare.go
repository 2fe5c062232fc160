package elfinfo

import (
	"fmt"
	"slices"
)

// Comparison is what [CompareTypes] finds.
type Comparison struct {
	// Differences are what makes machine code for one type wrong for the
	// other, each one line for a person, in the order in which they are met:
	// "parameter 2: struct foo: member bar is at offset 16, not 24". The first
	// value is the replacement's, the second the original's.
	Differences []string
	// Unknown are the places where one side is not known, so that nothing is
	// said of them, in the same form.
	Unknown []string
}

// maxDifferences bounds what a comparison reports, maxPath the length of a
// place, maxPairs the types that are compared.
const (
	maxDifferences = 100
	maxPath        = 4 << 10
	maxPairs       = 1 << 16
)

// CompareTypes holds a type of a replacement against the type of the original
// in a shipped build: of a function, a variable, or a type that both declare.
// Every struct, union, enum and function that they reach is followed, also
// through pointers. It ignores what does not change machine code: names of
// parameters and of types, typedefs, const, volatile and restrict, the sign of
// an integer, an enum in place of an integer of its size, a pointer in place of
// a reference, and what a pointer to void, to a byte or to an incomplete type
// leads to. Names and places of members do count; an array of bytes of the
// replacement may stand for members that it does not need.
func CompareTypes(original *Build, o TypeID, replacement *Build, r TypeID) Comparison {
	c := &comparer{original: original, replacement: replacement, seen: make(map[typePair]bool)}
	c.later(typePair{o, r}, "")
	for len(c.queue) > 0 && len(c.found.Differences) < maxDifferences {
		next := c.queue[0]
		c.queue = c.queue[1:]
		c.compare(next)
	}
	return c.found
}

// typePair is a type of the original and one of the replacement.
type typePair struct{ o, r TypeID }

// comparison is a pair still to be compared, and where it is.
type comparison struct {
	typePair
	path string
}

// comparer compares in the order of distance from where it starts, each pair once.
type comparer struct {
	original, replacement *Build
	seen                  map[typePair]bool
	queue                 []comparison
	found                 Comparison
}

// later compares a pair once all that is nearer was compared.
func (c *comparer) later(p typePair, path string) {
	switch {
	case c.seen[p]:
	case len(c.seen) >= maxPairs || len(path) >= maxPath:
		c.unknown(path, "more types than are compared")
	default:
		c.seen[p] = true
		c.queue = append(c.queue, comparison{p, path})
	}
}

// under is a place in another one.
func under(path, format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	if path == "" {
		return text
	}
	return path + ": " + text
}

func (c *comparer) differ(path, format string, args ...any) {
	c.line(under(path, format, args...))
}

func (c *comparer) line(text string) {
	if len(c.found.Differences) < maxDifferences {
		c.found.Differences = append(c.found.Differences, text)
	}
}

func (c *comparer) unknown(path, text string) {
	if len(c.found.Unknown) < maxDifferences {
		c.found.Unknown = append(c.found.Unknown, under(path, "%s", text))
	}
}

// bare strips what does not matter: typedefs and qualifiers.
func (b *Build) bare(id TypeID) *Type {
	for range maxTextTypes {
		if id < 0 || int(id) >= len(b.Types) {
			break
		}
		t := &b.Types[id]
		switch t.Kind {
		case TypeTypedef, TypeConst, TypeVolatile, TypeRestrict, TypeAtomic:
			id = t.Of
		default:
			return t
		}
	}
	return &Type{Kind: TypeUnknown}
}

func (c *comparer) compare(p comparison) {
	o, r := c.original.bare(p.o), c.replacement.bare(p.r)
	switch {
	case o.Kind == TypeUnknown || r.Kind == TypeUnknown || o.Cut || r.Cut:
		c.unknown(p.path, "the type is not known")
	case o.Incomplete || r.Incomplete:
	case isInteger(o) && isInteger(r):
		c.integers(p.path, o, r)
	case class(o) != class(r), o.Kind == TypeBase && (o.Size != r.Size || o.Encoding != r.Encoding):
		c.other(p)
	case class(o) == TypePointer:
		c.pointers(p, o, r)
	case o.Kind == TypeStruct || o.Kind == TypeUnion:
		c.structs(p.path, o, r)
	case o.Kind == TypeArray:
		c.arrays(p, o, r)
	case o.Kind == TypeFunction:
		c.functions(p.path, o, r)
	case o.Kind == TypeMemberPtr:
		c.later(typePair{o.Of, r.Of}, under(p.path, "what it points to"))
	}
}

// other reports types that have nothing in common.
func (c *comparer) other(p comparison) {
	c.differ(p.path, "%s, not %s", c.replacement.sized(p.r), c.original.sized(p.o))
}

// sized is the text of a type, with the size if it is a number.
func (b *Build) sized(id TypeID) string {
	text := b.TypeText(id)
	if t := b.bare(id); t.Kind == TypeBase || t.Kind == TypeEnum {
		text = fmt.Sprintf("%s (%d bytes)", text, t.Size)
	}
	return text
}

// class makes one kind of those that machine code treats alike.
func class(t *Type) TypeKind {
	if t.Kind == TypeReference || t.Kind == TypeRvalue {
		return TypePointer
	}
	return t.Kind
}

func isInteger(t *Type) bool {
	return t.Kind == TypeEnum || t.Kind == TypeBase && slices.Contains([]string{"signed", "unsigned", "char", "utf"}, t.Encoding)
}

// integers compares sizes, and the values of names that both enums have.
func (c *comparer) integers(path string, o, r *Type) {
	if o.Size != r.Size {
		c.differ(path, "an integer of %d bytes, not %d", r.Size, o.Size)
	}
	values := make(map[string]int64, len(o.Values))
	for _, v := range o.Values {
		values[v.Name] = v.Value
	}
	for _, v := range r.Values {
		if was, ok := values[v.Name]; ok && was != v.Value {
			c.differ(path, "%s: %s is %d, not %d", tagged("enum", o.Name), v.Name, v.Value, was)
		}
	}
}

// pointers follows pointers. One to void or bytes may stand for any other.
func (c *comparer) pointers(p comparison, o, r *Type) {
	to, tr := c.original.bare(o.Of), c.replacement.bare(r.Of)
	if anything(to) || anything(tr) || to.Incomplete || tr.Incomplete {
		return
	}
	integers, unknown := isInteger(to) && isInteger(tr), to.Kind == TypeUnknown || tr.Kind == TypeUnknown
	if class(to) != class(tr) && !integers && !unknown {
		c.other(p)
		return
	}
	if to.Kind != TypeStruct && to.Kind != TypeUnion { // these say where they are
		p.path = under(p.path, "what it points to")
	}
	c.later(typePair{o.Of, r.Of}, p.path)
}

// anything says whether a pointer to the type says nothing of what is there.
func anything(t *Type) bool {
	return t.Kind == TypeVoid || isInteger(t) && t.Size == 1
}

func (c *comparer) arrays(p comparison, o, r *Type) {
	if o.Encoding != r.Encoding {
		c.other(p)
		return
	}
	if o.Count != r.Count && o.Count > 0 && r.Count > 0 {
		c.differ(p.path, "%d elements, not %d", r.Count, o.Count)
	}
	c.later(typePair{o.Of, r.Of}, under(p.path, "element"))
}

func (c *comparer) functions(path string, o, r *Type) {
	c.later(typePair{o.Of, r.Of}, under(path, "result"))
	if o.Unprototyped || r.Unprototyped {
		return
	}
	switch {
	case len(o.Parameters) != len(r.Parameters):
		c.differ(path, "%d parameters, not %d", len(r.Parameters), len(o.Parameters))
	case o.Variadic != r.Variadic:
		c.differ(path, "%s, not %s", variadic(r), variadic(o))
	}
	for i := range min(len(o.Parameters), len(r.Parameters)) {
		c.later(typePair{o.Parameters[i], r.Parameters[i]}, under(path, "parameter %d", i+1))
	}
}

func variadic(t *Type) string {
	if t.Variadic {
		return "a variable number of parameters"
	}
	return fmt.Sprintf("%d parameters", len(t.Parameters))
}
