package builder

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// verify reads a finished container back and compares it with the record and
// the description: what the link editor made is not taken on trust.
func (m *maker) verify(t *target, data []byte) error {
	name := t.input.Description.Container
	c, err := livepatch.ReadContainer(name, data)
	if err != nil {
		return err
	}
	if c.BuildID() != string(t.plan.build.BuildID) {
		return fmt.Errorf("%s: made for build-id %s, not %s", name, c.BuildID(), t.plan.build.BuildID)
	}
	f, err := elfinfo.NewFile(name, bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	if want := slices.Sorted(maps.Keys(t.plan.imports.Libraries)); !slices.Equal(f.Needed(), want) {
		return fmt.Errorf("%s: needs %q, want %q", name, f.Needed(), want)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return err
	}
	r := m.newResolver(t.plan.build, t.plan.undefined())
	for _, s := range symbols {
		if err := r.prove(s); err != nil {
			return err
		}
	}
	return nil
}

// prove checks one dynamic symbol of a container: if it is imported, the build
// has it.
func (r *resolver) prove(s elfinfo.Symbol) error {
	if !s.Undefined {
		return nil
	}
	p, ok := r.find(s.Name, s.Version)
	if !ok && s.Binding == "weak" && s.Version == "" {
		return nil
	}
	if !ok || p.Version != s.Version || s.Version != "" && p.soname != s.Library {
		return refuse(ErrImport, nil, "unresolvable import: %s@%s of %s", s.Name, s.Version, s.Library)
	}
	return nil
}
