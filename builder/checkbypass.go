package builder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// checkBypasses finds the ways on which callers still get to the old code of a
// function that the plan replaces. What another live patch of the set replaces
// is no such way.
func (p *plan) checkBypasses(part *partPlan) []Finding {
	var list []Finding
	for i, u := range part.desc.Units {
		f := part.functions[i]
		if callers := p.unpatchedCallers(f); len(callers) > 0 {
			list = append(list, found(checkInlined, fmt.Sprintf("function %s is also inlined into %s: these keep the old code",
				u.Name(), strings.Join(callers, ", ")))...)
		}
		for _, c := range f.Clones {
			if !c.Reached && !p.replaces(c.Address) {
				list = append(list, found(checkClones, fmt.Sprintf("function %s has a copy for some of its callers (%s, %s at %#x): it keeps the old code",
					u.Name(), c.Kind, symbolName(c.Name), c.Address))...)
			}
		}
		if others := p.unpatchedVariants(f); len(others) > 0 {
			list = append(list, found(checkVariants, fmt.Sprintf("function %s is one implementation of %s; on other processors it is %s, with the old code",
				u.Name(), strings.Join(f.Indirect, ", "), strings.Join(others, ", ")))...)
		}
	}
	return list
}

func symbolName(name string) string {
	if name == "" {
		return "without a symbol"
	}
	return name
}

// replaces reports whether a live patch of the plan replaces the function at
// an address.
func (p *plan) replaces(address uint64) bool {
	return slices.ContainsFunc(p.parts, func(part *partPlan) bool {
		return slices.ContainsFunc(part.functions, func(f *elfinfo.Function) bool { return f.Address == address })
	})
}

// unpatchedCallers are the functions, NAME@SOURCE or NAME, that hold a copy of f
// and stay as they are.
func (p *plan) unpatchedCallers(f *elfinfo.Function) []string {
	return slices.DeleteFunc(slices.Clone(f.InlinedInto), func(caller string) bool {
		name, source, _ := strings.Cut(caller, "@")
		return slices.ContainsFunc(p.parts, func(part *partPlan) bool {
			return slices.ContainsFunc(part.desc.Units, func(u livepatch.Unit) bool {
				return u.Old == name && (u.Source == "" || source == "" || u.Source == source)
			})
		})
	})
}

// unpatchedVariants are the other implementations that the resolver can choose
// and that stay as they are. Where the resolver's code does not tell, all that
// have a name like one count.
func (p *plan) unpatchedVariants(f *elfinfo.Function) []string {
	if f.Kind == "ifunc" {
		return nil
	}
	told := slices.ContainsFunc(f.Variants, func(v elfinfo.Variant) bool { return v.Resolver })
	var others []string
	for _, v := range f.Variants {
		if v.Resolver == told && v.Address != f.Address && !p.replaces(v.Address) {
			others = append(others, symbolName(v.Name))
		}
	}
	return others
}
