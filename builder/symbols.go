package builder

import (
	"context"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// related are the records of the libraries that b needs and that its own
// package ships.
func (m *maker) related(b *elfinfo.Build) []*elfinfo.Build {
	var found []*elfinfo.Build
	for _, other := range m.shipped[b.NEVRA] {
		if slices.Contains(b.Needed, other.Soname) {
			found = append(found, other)
		}
	}
	return found
}

// byPackage are builds by the package that ships them.
func byPackage(builds []*elfinfo.Build) map[string][]*elfinfo.Build {
	shipped := map[string][]*elfinfo.Build{}
	for _, b := range builds {
		shipped[b.NEVRA] = append(shipped[b.NEVRA], b)
	}
	return shipped
}

// complete reads the symbols that the objects could import into the records.
func (m *maker) complete(ctx context.Context, sites []*site) error {
	if m.opts.Complete == nil {
		return nil
	}
	wanted := map[string]bool{}
	for _, v := range m.variants {
		if v.object != nil {
			maps.Copy(wanted, wantedNames(v.object.undefined))
		}
	}
	needed := map[*elfinfo.Build]bool{}
	for _, s := range sites {
		if len(s.cells) == 0 {
			continue
		}
		needed[s.build] = true
		for _, other := range m.related(s.build) {
			needed[other] = true
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(m.opts.jobs())
	for b := range needed {
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return m.opts.Complete(b, func(name string) bool { return wanted[name] })
		})
	}
	return g.Wait()
}
