package builder

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// plan is all that is known about one build's container before anything is
// linked: it decides what the container's bytes will be.
type plan struct {
	build   *elfinfo.Build
	parts   []*partPlan
	union   *union
	imports *imports
}

// partPlan is what one live patch contributes to a plan.
type partPlan struct {
	*variant
	// functions and targets belong to the units and references of the
	// description, index by index. A target is an address in the library, or an
	// offset into its TLS block.
	functions []*elfinfo.Function
	targets   []uint64
}

// newPlan resolves the descriptions and the objects' imports in one build. An
// error is why that build cannot have a container; each cell has its own if
// its patch is to blame.
func (m *maker) newPlan(s *site) (*plan, error) {
	if _, err := containerName(m.setName(), s.build.NEVRA, s.build); err != nil {
		return nil, err
	}
	p := &plan{build: s.build, imports: newImports()}
	r := m.newResolver(s.build, s.undefined())
	for _, c := range s.cells {
		if c.err != nil {
			continue
		}
		part, err := newPartPlan(c, s.build)
		if err == nil {
			err = r.resolve(c.variant.object, p.imports)
		}
		if err != nil {
			c.err = err
			continue
		}
		p.parts = append(p.parts, part)
	}
	if err := s.firstError(); err != nil {
		return nil, err
	}
	if err := p.overlap(); err != nil {
		return nil, failing(checkOverlap, err)
	}
	var err error
	if p.union, err = m.unite(p.parts); err != nil {
		return nil, failing(checkSymbols, err)
	}
	return p, p.check(s)
}

// check makes the checks that need no container. What they find stays with the
// cells of s, in the order of the parts.
func (p *plan) check(s *site) error {
	for i, c := range s.cells {
		part := p.parts[i]
		findings, err := part.checkTypes(p.build)
		findings = slices.Concat(c.findings, findings, p.checkBypasses(part))
		waive(findings, c.patch.Waive)
		if err == nil {
			err = refusedBy(findings)
		}
		c.findings, c.err = findings, err
	}
	return s.firstError()
}

// firstError is why the patches without an error of their own get no container.
func (s *site) firstError() error {
	for _, c := range s.cells {
		if c.err != nil {
			return refuse(nil, c.err, "no container for this build: %s: %v", c.patch.Name, c.err)
		}
	}
	return nil
}

// undefined are the symbols that the objects of s import.
func (s *site) undefined() []undefinedSymbol {
	var all []undefinedSymbol
	for _, c := range s.cells {
		if c.variant != nil && c.variant.object != nil {
			all = append(all, c.variant.object.undefined...)
		}
	}
	return all
}

func newPartPlan(c *cell, b *elfinfo.Build) (*partPlan, error) {
	if c.variant.err != nil {
		return nil, c.variant.err
	}
	c.findings = slices.Clone(c.variant.object.findings)
	if waive(c.findings, c.patch.Waive); refusedBy(c.findings) != nil {
		return nil, refusedBy(c.findings)
	}
	p := &partPlan{variant: c.variant}
	for _, u := range p.desc.Units {
		f, err := findFunction(b, u)
		if err != nil {
			return nil, err
		}
		p.functions = append(p.functions, f)
	}
	for _, r := range p.desc.References {
		t, err := findTarget(b, r)
		if err != nil {
			return nil, err
		}
		p.targets = append(p.targets, t)
	}
	return p, nil
}

// findFunction finds the function that u replaces and says why it cannot.
func findFunction(b *elfinfo.Build, u livepatch.Unit) (*elfinfo.Function, error) {
	name := u.Name()
	f, err := b.Function(name)
	if err != nil {
		return nil, failing(lookupCheck(checkFunction, err), lookupRefusal(err))
	}
	if f.Kind == "ifunc" {
		return nil, failing(checkIndirect, refuse(ErrNotLivepatchable, nil,
			"function %s: not livepatchable: it is resolved at run time (IFUNC): name the implementations instead%s", name, implementations(f)))
	}
	if f.Entry.Kind == elfinfo.EntryNone {
		return nil, failing(checkLivepatchable,
			refuse(ErrNotLivepatchable, nil, "function %s: not livepatchable: %s", name, f.Entry.Reason))
	}
	return f, nil
}

// implementations lists what an indirect function can be, as far as that is known.
func implementations(f *elfinfo.Function) string {
	var names []string
	for _, v := range f.Variants {
		if v.Name != "" {
			names = append(names, v.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ": " + strings.Join(names, ", ")
}

// lookupCheck is the check that a look-up fails: exists, that a name is unique,
// or none if nobody has looked yet.
func lookupCheck(exists string, err error) string {
	switch {
	case errors.Is(err, elfinfo.ErrNotRecorded):
		return ""
	case errors.Is(err, elfinfo.ErrAmbiguous):
		return checkUnique
	}
	return exists
}

// lookupRefusal takes over the error of a look-up in a record: it names the
// build, and says what to write or to do instead.
func lookupRefusal(err error) error {
	r := &refusal{reason: err.Error(), named: true, causes: []error{err}}
	if errors.Is(err, elfinfo.ErrNotRecorded) || errors.Is(err, elfinfo.ErrMissing) {
		r.causes = append(r.causes, ErrNotFound)
	}
	return r
}

// replaced is one function of a build with the line that replaces it.
type replaced struct {
	*elfinfo.Function
	unit livepatch.Unit
	part *part
}

func (r replaced) String() string { return r.part.at(r.unit.Pos) + " function " + r.unit.Name() }

// overlap refuses two units, of one patch or two, that would write to the same
// bytes.
func (p *plan) overlap() error {
	var all []replaced
	for _, part := range p.parts {
		for i, u := range part.desc.Units {
			all = append(all, replaced{part.functions[i], u, part.part})
		}
	}
	slices.SortStableFunc(all, func(a, b replaced) int { return cmp.Compare(a.Address, b.Address) })
	for i := 1; i < len(all); i++ {
		f, g := all[i-1], all[i]
		if f.Address == g.Address {
			return refuse(ErrConflict, nil, "%s and %s: one function, at %#x, in this build", f, g, f.Address)
		}
		if g.Address < f.Address+f.Size {
			return refuse(ErrConflict, nil, "%s and %s: overlap at %#x in this build", f, g, g.Address)
		}
	}
	return nil
}

// findTarget finds what a reference points to.
func findTarget(b *elfinfo.Build, r livepatch.Reference) (uint64, error) {
	if r.Explicit && r.TargetOffset != 0 {
		return r.TargetOffset, nil
	}
	name := r.Name()
	v, err := b.Variable(name)
	if err == nil {
		if v.TLS != r.TLS {
			return 0, failing(checkRefKind, refuse(ErrConflict, nil, "variable %s: %s", name, tlsMismatch(v.TLS)))
		}
		return v.Address, nil
	}
	// A reference may point to a function as well: its variable gets the address.
	if f, ferr := b.Function(name); ferr == nil && !r.TLS {
		return f.Address, nil
	} else if errors.Is(ferr, elfinfo.ErrAmbiguous) {
		err = ferr
	}
	return 0, failing(lookupCheck(checkReference, err), lookupRefusal(err))
}

func tlsMismatch(tls bool) string {
	if tls {
		return "thread-local in this build: write #%"
	}
	return "not thread-local in this build: write # without %"
}
