package builder

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// plan is all that is known about one build's container before anything is
// linked: it decides what the container's bytes will be.
type plan struct {
	build *elfinfo.Build
	// functions and targets belong to the units and references of the
	// description, index by index. A target is an address in the library, or an
	// offset into its TLS block.
	functions []*elfinfo.Function
	targets   []uint64
	imports   *imports
	warnings  []string
}

// newPlan resolves the description and the object's imports in one build. An
// error is why that build cannot have a container.
func (m *maker) newPlan(b *elfinfo.Build) (*plan, error) {
	p := &plan{build: b}
	if want := path.Base(m.desc.Target); want != b.Soname && want != path.Base(b.Library) {
		return nil, refuse(ErrTarget, nil, "the description is for %s, this is %s", want, b.Soname)
	}
	if _, err := containerName(m.patch.Name, b.NEVRA, b); err != nil {
		return nil, err
	}
	for _, u := range m.desc.Units {
		f, err := p.function(u)
		if err != nil {
			return nil, err
		}
		p.functions = append(p.functions, f)
		p.warnUnit(m, u, f)
	}
	if err := p.overlap(m.desc.Units); err != nil {
		return nil, err
	}
	for _, r := range m.desc.References {
		t, err := p.target(r)
		if err != nil {
			return nil, err
		}
		p.targets = append(p.targets, t)
	}
	var err error
	p.imports, err = m.newResolver(b, m.object).resolve(m.object)
	return p, err
}

// function finds the function that u replaces and says why it cannot.
func (p *plan) function(u livepatch.Unit) (*elfinfo.Function, error) {
	name := u.Name()
	f, err := p.build.Function(name)
	if err != nil {
		return nil, lookupRefusal(err)
	}
	if f.Kind == "ifunc" {
		return nil, refuse(ErrNotLivepatchable, nil,
			"function %s: not livepatchable: it is resolved at run time (IFUNC): name the implementations instead", name)
	}
	if f.Entry.Kind == elfinfo.EntryNone {
		return nil, refuse(ErrNotLivepatchable, nil, "function %s: not livepatchable: %s", name, f.Entry.Reason)
	}
	return f, nil
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

// overlap refuses two units that would write to the same bytes.
func (p *plan) overlap(units []livepatch.Unit) error {
	for i, f := range p.functions {
		for j := range i {
			g := p.functions[j]
			if f.Address == g.Address {
				return refuse(ErrConflict, nil, "functions %s and %s: one function, at %#x, in this build",
					units[j].Name(), units[i].Name(), f.Address)
			}
			if f.Address < g.Address+g.Size && g.Address < f.Address+f.Size {
				return refuse(ErrConflict, nil, "functions %s and %s: overlap at %#x in this build",
					units[j].Name(), units[i].Name(), max(f.Address, g.Address))
			}
		}
	}
	return nil
}

// target finds what a reference points to.
func (p *plan) target(r livepatch.Reference) (uint64, error) {
	if r.Explicit && r.TargetOffset != 0 {
		return r.TargetOffset, nil
	}
	name := r.Name()
	v, err := p.build.Variable(name)
	if err == nil {
		if v.TLS != r.TLS {
			return 0, refuse(ErrConflict, nil, "variable %s: %s", name, tlsMismatch(v.TLS))
		}
		return v.Address, nil
	}
	// A reference may point to a function as well: its variable gets the address.
	if f, ferr := p.build.Function(name); ferr == nil && !r.TLS {
		return f.Address, nil
	} else if errors.Is(ferr, elfinfo.ErrAmbiguous) {
		err = ferr
	}
	return 0, lookupRefusal(err)
}

func tlsMismatch(tls bool) string {
	if tls {
		return "thread-local in this build: write #%"
	}
	return "not thread-local in this build: write # without %"
}

// warnUnit notes what the author should know about one replaced function.
func (p *plan) warnUnit(m *maker, u livepatch.Unit, f *elfinfo.Function) {
	if len(f.InlinedInto) > 0 {
		p.warnings = append(p.warnings, fmt.Sprintf("function %s is also inlined into %s: these keep the old code",
			u.Name(), strings.Join(f.InlinedInto, ", ")))
	}
	if diff := prototypeDifference(f.Prototype, m.prototypes[u.New]); diff != "" {
		p.warnings = append(p.warnings, fmt.Sprintf("replacement %s of %s: %s (the build has %s)",
			u.New, u.Name(), diff, f.Prototype))
	}
}
