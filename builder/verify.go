package builder

import (
	"bytes"
	"debug/elf"
	"fmt"
	"maps"
	"slices"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// verify reads a finished container back and compares it with the record and
// the description: what the link editor made is not taken on trust. It returns
// warnings about code that must run before the replacement can.
func (m *maker) verify(t *target, data []byte) ([]string, error) {
	name := t.input.Description.Container
	c, err := livepatch.ReadContainer(name, data)
	if err != nil {
		return nil, err
	}
	if c.BuildID() != string(t.plan.build.BuildID) {
		return nil, fmt.Errorf("%s: made for build-id %s, not %s", name, c.BuildID(), t.plan.build.BuildID)
	}
	f, err := elfinfo.NewFile(name, bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	if want := slices.Sorted(maps.Keys(t.plan.imports.Libraries)); !slices.Equal(f.Needed(), want) {
		return nil, fmt.Errorf("%s: needs %q, want %q", name, f.Needed(), want)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return nil, err
	}
	r := m.newResolver(t.plan.build, t.plan.undefined())
	for _, s := range symbols {
		if err := r.prove(s); err != nil {
			return nil, err
		}
	}
	return startupWarnings(name, data)
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

// startupWarnings names what only a dynamic loader would do for a container. An
// injector does not, unless the container asks for it, and refuses.
func startupWarnings(name string, data []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var warnings []string
	for _, tag := range []elf.DynTag{elf.DT_INIT, elf.DT_INIT_ARRAY, elf.DT_FINI, elf.DT_FINI_ARRAY} {
		if v, err := f.DynValue(tag); err == nil && len(v) > 0 {
			warnings = append(warnings, fmt.Sprintf("the container has a constructor or destructor (%v): processes may refuse it", tag))
		}
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_TLS {
			warnings = append(warnings, "the container has thread-local variables of its own: processes may refuse it")
		}
	}
	return warnings, nil
}
