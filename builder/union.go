package builder

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/lpbuild/lpbuild/livepatch"
)

// union is several live patches, each compiled in one way, as one container
// holds them. It does not depend on the build: err, if not nil, is why they
// cannot be in one container.
type union struct {
	parts []*variant
	// desc has what all descriptions have, but for the container; its positions
	// are indexes into origins. depends has the patch ids of desc.Depends.
	desc    *livepatch.Description
	depends [][32]byte
	origins []origin
	err     error
}

// origin is a line of a patch's own description.
type origin struct {
	part *part
	pos  livepatch.Pos
}

// at is FILE:LINE of a place in the patch's description.
func (p *part) at(pos livepatch.Pos) string {
	return p.desc.File + ":" + strconv.Itoa(pos.Line) + ":"
}

// unite returns the union of the patches of a plan.
func (m *maker) unite(parts []*partPlan) (*union, error) {
	var variants []*variant
	var key strings.Builder
	for _, p := range parts {
		variants = append(variants, p.variant)
		fmt.Fprintf(&key, "%d ", slices.Index(m.variants, p.variant))
	}
	u := m.unions[key.String()]
	if u == nil {
		u = &union{parts: variants}
		u.err = u.conflict()
		u.merge()
		m.unions[key.String()] = u
	}
	return u, u.err
}

// conflict says which two patches cannot be in one container.
func (u *union) conflict() error {
	for i, v := range u.parts {
		for _, w := range u.parts[:i] {
			if err := symbolConflict(w, v); err != nil {
				return err
			}
			if err := referenceConflict(w, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// symbolConflict refuses a global symbol that both patches define, or that one
// defines and the other expects of the library: the link editor would bind the
// one to the other. Of two weak definitions, as C++ has for inline functions
// and templates, it takes one.
func symbolConflict(a, b *variant) error {
	for _, name := range slices.Sorted(maps.Keys(a.object.global)) {
		weak, both := b.object.global[name]
		if both && (!weak || !a.object.global[name]) {
			return refuse(ErrConflict, nil, "%s and %s both define %s: make one static or give it another name",
				a.definedAt(name), b.definedAt(name), name)
		}
	}
	for _, pair := range [][2]*variant{{a, b}, {b, a}} {
		for _, s := range pair[1].object.undefined {
			if _, ok := pair[0].object.global[s.Name]; ok {
				return refuse(ErrConflict, nil, "%s uses %s of the library, %s defines a function or variable of that name: give it another one",
					pair[1].sourceName(), s.Name, pair[0].definedAt(s.Name))
			}
		}
	}
	return nil
}

// definedAt is where the patch says that it has a symbol of that name: the line
// of its description, or its source.
func (v *variant) definedAt(name string) string {
	for _, u := range v.desc.Units {
		if u.New == name {
			return v.at(u.Pos) + " " + u.Name()
		}
	}
	for _, r := range v.desc.References {
		if r.Reference == name {
			return v.at(r.Pos) + " " + r.Name()
		}
	}
	return v.sourceName()
}

// referenceConflict refuses two references that fill one variable, or that
// say different things of one variable of the library.
func referenceConflict(a, b *variant) error {
	for _, r := range a.desc.References {
		for _, s := range b.desc.References {
			if r.Reference == s.Reference {
				return refuse(ErrConflict, nil, "%s and %s both fill the variable %s: give one another name",
					a.at(r.Pos), b.at(s.Pos), r.Reference)
			}
			if r.Name() == s.Name() && (r.TLS != s.TLS || r.Explicit && s.Explicit && r.TargetOffset != s.TargetOffset) {
				return refuse(ErrConflict, nil, "%s and %s refer differently to %s", a.at(r.Pos), b.at(s.Pos), r.Name())
			}
		}
	}
	return nil
}

// merge makes the one description of several.
func (u *union) merge() {
	first := u.parts[0].desc
	d := &livepatch.Description{File: first.File, Target: path.Base(first.Target)}
	seen := map[[32]byte]bool{}
	for _, v := range u.parts {
		d.Comments = append(d.Comments, v.desc.Comments...)
		for i, id := range v.depends {
			if !seen[id] {
				seen[id] = true
				d.Depends, u.depends = append(d.Depends, v.desc.Depends[i]), append(u.depends, id)
			}
		}
		for _, unit := range v.desc.Units {
			unit.Pos = u.origin(v.part, unit.Pos)
			d.Units = append(d.Units, unit)
		}
		for _, ref := range v.desc.References {
			ref.Pos = u.origin(v.part, ref.Pos)
			d.References = append(d.References, ref)
		}
	}
	u.desc = d
}

// origin notes where a line comes from and returns the position that stands
// for it. Lines count from 1.
func (u *union) origin(p *part, pos livepatch.Pos) livepatch.Pos {
	u.origins = append(u.origins, origin{p, pos})
	return livepatch.Pos{Line: len(u.origins), Col: 1}
}

// place makes an error about a line of the merged description one about the
// line that an author wrote.
func (u *union) place(err error) error {
	var syntax *livepatch.SyntaxError
	if !errors.As(err, &syntax) || syntax.Line < 1 || syntax.Line > len(u.origins) {
		return err
	}
	o := u.origins[syntax.Line-1]
	return o.part.desc.ErrorAt(o.pos, syntax.Msg)
}

// privateNames are, for the object of one part, the names that its local
// symbols must get so that they are not taken for another part's reference
// variables.
func (u *union) privateNames(v *variant) map[string]string {
	names := map[string]string{}
	for _, w := range u.parts {
		if w == v {
			continue
		}
		for _, r := range w.desc.References {
			if _, global := v.object.global[r.Reference]; !global && v.object.hidden[r.Reference] {
				names[r.Reference] = r.Reference + "." + v.patch.Name
			}
		}
	}
	return names
}
