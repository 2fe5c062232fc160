package elfinfo

import (
	"fmt"
	"maps"
	"slices"
)

// debugWanted is what the walk over the debug information is to note.
func (r *recorder) debugWanted() debugWanted {
	w := debugWanted{types: make(map[string]bool), variables: make(map[place]bool)}
	for _, name := range r.wantedTypes {
		w.types[name] = true
	}
	for _, name := range r.wanted {
		for _, d := range r.found[name] {
			if d.Kind == kindObject || d.Kind == kindTLS {
				w.variables[place{d.Address, d.Kind == kindTLS}] = true
			}
		}
	}
	return w
}

// checkTypeNames refuses what is no name of a type.
func checkTypeNames(names []string) error {
	for _, n := range names {
		if !validTypeName(n) {
			return fmt.Errorf("%w: type name %q: want struct NAME, union NAME, enum NAME or NAME", ErrFormat, n)
		}
	}
	return nil
}

// types records the types of what was found, and of the names of types.
func (r *recorder) types(b *Build) {
	if len(r.wantedTypes) > 0 {
		b.TypeNames = make(map[string][]TypeID)
		for _, name := range r.wantedTypes {
			b.TypeNames[name] = []TypeID{}
		}
	}
	if r.info == nil {
		return
	}
	t := newTypeReader(r.info)
	for _, name := range slices.Sorted(maps.Keys(b.Functions)) {
		for i := range b.Functions[name] {
			if at, ok := r.info.function(b.Functions[name][i].Address, name); ok {
				b.Functions[name][i].Type = t.function(r.info.root(at))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Variables)) {
		for i, v := range b.Variables[name] {
			if at, ok := r.info.variables[place{v.Address, v.TLS}]; ok {
				b.Variables[name][i].Type = t.variable(at)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.TypeNames)) {
		b.TypeNames[name] = t.named(name)
	}
	b.TypesCut = t.cut
	b.mergeTypes(t.types)
}

// typeRefs visits every reference to a type from outside of Types, in order.
func (b *Build) typeRefs(visit func(*TypeID)) {
	for _, name := range slices.Sorted(maps.Keys(b.Functions)) {
		for i := range b.Functions[name] {
			visit(&b.Functions[name][i].Type)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.Variables)) {
		for i := range b.Variables[name] {
			visit(&b.Variables[name][i].Type)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.TypeNames)) {
		for i := range b.TypeNames[name] {
			visit(&b.TypeNames[name][i])
		}
	}
}

// mergeTypes sets Types and what refers to it.
func (b *Build) mergeTypes(types []Type) {
	var roots []TypeID
	b.typeRefs(func(id *TypeID) { roots = append(roots, *id) })
	merged, place := mergeTypes(types, roots)
	b.typeRefs(func(id *TypeID) { *id = place[*id] })
	for name, ids := range b.TypeNames {
		slices.Sort(ids)
		b.TypeNames[name] = slices.Compact(ids)
	}
	b.Types = merged
}
