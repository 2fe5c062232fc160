package builder

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// checkTypes compares what the sources declare with what the build has. An
// error is a type that nobody has looked up in the build yet.
func (p *partPlan) checkTypes(b *elfinfo.Build) ([]Finding, error) {
	switch {
	case p.typesErr != nil:
		return nil, p.typesErr
	case !hasTypes(b):
		return found(checkDebug, "the build has no debug information: types and inlined copies were not checked"), nil
	}
	var list []Finding
	if b.TypesCut != "" {
		list = found(checkDebug, "not all types of the build were compared: "+b.TypesCut)
	}
	for i, u := range p.desc.Units {
		list = append(list, p.checkPrototype(b, u, p.functions[i])...)
	}
	for _, r := range p.desc.References {
		list = append(list, p.checkReference(b, r)...)
	}
	layouts, err := p.checkLayouts(b)
	return append(list, layouts...), err
}

// hasTypes says whether the record knows any type.
func hasTypes(b *elfinfo.Build) bool { return len(b.Types) > 1 }

func (p *partPlan) checkPrototype(b *elfinfo.Build, u livepatch.Unit, original *elfinfo.Function) []Finding {
	if isClone(u.Old) {
		return found(checkDebug, fmt.Sprintf("%s is a copy that the compiler made: which parameters it takes, and where, is not known", u.Name()))
	}
	replacement, err := p.types.Function(u.New)
	if err != nil || replacement.Type == 0 || original.Type == 0 {
		return found(checkDebug, fmt.Sprintf("the prototype of %s or of its replacement %s is not known", u.Name(), u.New))
	}
	c := elfinfo.CompareTypes(b, original.Type, p.types, replacement.Type)
	what := fmt.Sprintf("replacement %s of %s", u.New, u.Name())
	return append(found(checkPrototype, prefixed(what, c.Differences)...), found(checkDebug, prefixed(what, c.Unknown)...)...)
}

// isClone reports whether a symbol is one that the compiler made of a function
// and may call in its own way: NAME.constprop.0, but not NAME.1 of a local name.
func isClone(symbol string) bool {
	return slices.ContainsFunc([]string{".constprop.", ".isra.", ".part."}, func(s string) bool { return strings.Contains(symbol, s) })
}

func prefixed(what string, texts []string) []string {
	list := make([]string, len(texts))
	for i, t := range texts {
		list[i] = what + ": " + t
	}
	return list
}

// checkReference compares what a reference variable points to with what the
// build has under the name.
func (p *partPlan) checkReference(b *elfinfo.Build, r livepatch.Reference) []Finding {
	if r.TLS || r.Explicit && r.TargetOffset != 0 {
		return nil
	}
	v, err := p.types.Variable(r.Reference)
	if err != nil {
		return nil // found by its offset
	}
	to, ok := p.pointee(v.Type)
	if !ok {
		return found(checkRefType, fmt.Sprintf("%s, which receives the address of %s, is no pointer but %s",
			r.Reference, r.Name(), p.types.TypeText(v.Type)))
	}
	original := originalType(b, r.Name())
	if isBytes(p.types, to) {
		return nil
	}
	if original == 0 {
		return found(checkDebug, fmt.Sprintf("the type of %s is not known", r.Name()))
	}
	c := elfinfo.CompareTypes(b, original, p.types, to)
	what := fmt.Sprintf("%s, which points to %s", r.Reference, r.Name())
	return append(found(checkRefType, prefixed(what, c.Differences)...), found(checkDebug, prefixed(what, c.Unknown)...)...)
}

// originalType is the type of a variable or function of the build, 0 if unknown.
func originalType(b *elfinfo.Build, name string) elfinfo.TypeID {
	if v, err := b.Variable(name); err == nil {
		return v.Type
	}
	if f, err := b.Function(name); err == nil {
		return f.Type
	}
	return 0
}

// pointee is what the pointer of a type points to.
func (p *partPlan) pointee(id elfinfo.TypeID) (elfinfo.TypeID, bool) {
	t := strip(p.types, id)
	return t.Of, t.Kind == elfinfo.TypePointer
}

// isBytes reports whether a type is void or one byte: a pointer to it is meant
// to point to anything.
func isBytes(b *elfinfo.Build, id elfinfo.TypeID) bool {
	t := strip(b, id)
	return t.Kind == elfinfo.TypeVoid || t.Kind == elfinfo.TypeBase && t.Size == 1
}

// strip takes typedefs and qualifiers away. Decoded records have no type ids
// out of range; a cycle of typedefs ends as unknown.
func strip(b *elfinfo.Build, id elfinfo.TypeID) elfinfo.Type {
	for range b.Types {
		switch t := b.Types[id]; t.Kind {
		case elfinfo.TypeTypedef, elfinfo.TypeConst, elfinfo.TypeVolatile, elfinfo.TypeRestrict, elfinfo.TypeAtomic:
			id = t.Of
		default:
			return t
		}
	}
	return elfinfo.Type{Kind: elfinfo.TypeUnknown}
}

// checkLayouts compares the structs, unions and enums that the sources declare
// with those of the build that have the same name. A library can have several
// of one name, in files that don't know of each other: one that is alike will do.
func (p *partPlan) checkLayouts(b *elfinfo.Build) ([]Finding, error) {
	var list []Finding
	for _, name := range slices.Sorted(maps.Keys(p.types.TypeNames)) {
		for _, own := range p.types.TypeNames[name] {
			if p.types.Types[own].Incomplete {
				continue
			}
			theirs, recorded := b.TypeNames[name]
			if !recorded {
				return nil, refuse(ErrNotFound, elfinfo.ErrNotRecorded, "type %s: not recorded for this build: run lpbuild download", name)
			}
			const what = "the declaration in the source"
			c := p.nearestLayout(b, theirs, own)
			list = append(list, found(checkLayout, prefixed(what, c.Differences)...)...)
			list = append(list, found(checkDebug, prefixed(what, c.Unknown)...)...)
		}
	}
	return list, nil
}

// nearestLayout is the comparison with the nearest of several layouts, empty if
// there is no layout to differ from.
func (p *partPlan) nearestLayout(b *elfinfo.Build, theirs []elfinfo.TypeID, own elfinfo.TypeID) elfinfo.Comparison {
	all := make([]elfinfo.Comparison, len(theirs))
	for i, their := range theirs {
		all[i] = elfinfo.CompareTypes(b, their, p.types, own)
	}
	if len(all) == 0 {
		return elfinfo.Comparison{}
	}
	return slices.MinFunc(all, func(c, d elfinfo.Comparison) int {
		return cmp.Or(cmp.Compare(len(c.Differences), len(d.Differences)), cmp.Compare(len(c.Unknown), len(d.Unknown)))
	})
}
