package builder

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// typeNames are the names of the types that the records have looked up: what
// the sources of the live patches declare.
func typeNames(builds []*elfinfo.Build) []string {
	names := map[string]bool{}
	for _, b := range builds {
		for name := range b.TypeNames {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// readTypes returns a record of the replacements: their prototypes, and the
// types that the source declares. It is read from the debug information of the
// object.
func (m *maker) readTypes(ctx context.Context, v *variant) (*elfinfo.Build, error) {
	wanted := elfinfo.Wanted{Types: m.typeNames}
	for _, u := range v.desc.Units {
		wanted.Names = append(wanted.Names, u.New)
	}
	key, err := keyOf("types", m.tools.identity(), v.object.sum, wanted, elfinfo.RecordFacts)
	if err != nil {
		return nil, err
	}
	if data, ok := m.store.get("types", key); ok {
		if record, err := elfinfo.DecodeBuild(bytes.NewReader(data)); err == nil {
			return record, nil
		}
	}
	record, err := m.recordObject(ctx, v, wanted)
	if err != nil {
		return nil, err
	}
	var data bytes.Buffer
	if err := record.Encode(&data); err != nil {
		return nil, err
	}
	m.store.put("types", key, data.Bytes())
	return record, nil
}

// recordObject links the object against nothing, because a relocatable file is
// not what elfinfo reads, and records it.
func (m *maker) recordObject(ctx context.Context, v *variant, wanted elfinfo.Wanted) (*elfinfo.Build, error) {
	dir, err := os.MkdirTemp(m.work, "probe-")
	if err != nil {
		return nil, err
	}
	object, probe := filepath.Join(dir, "probe.o"), filepath.Join(dir, "probe.so")
	if err := os.WriteFile(object, v.object.data, 0o600); err != nil {
		return nil, err
	}
	args := []string{"-shared", "--build-id=sha1", "-o", probe, object}
	if _, err := run(ctx, command{path: m.tools.Linker, args: args, dir: dir}); err != nil {
		return nil, err
	}
	f, err := elfinfo.Open(probe)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return elfinfo.NewRecord(f, nil, wanted)
}

// prototypeDifferences says how the prototype of the replacement called name,
// and the types that it reaches, differ from those of the function f of the
// build. The answer is empty if nothing differs, or one side has no debug
// information.
func (v *variant) prototypeDifferences(b *elfinfo.Build, f *elfinfo.Function, name string) elfinfo.Comparison {
	if v.types == nil || f.Type == 0 {
		return elfinfo.Comparison{}
	}
	replacement, err := v.types.Function(name)
	if err != nil || replacement.Type == 0 {
		return elfinfo.Comparison{}
	}
	return elfinfo.CompareTypes(b, f.Type, v.types, replacement.Type)
}

// layoutDifferences says, for each type that the source declares and the build
// has, how the layouts differ. Where units of the library give one name
// several layouts, one of them must match.
func (v *variant) layoutDifferences(b *elfinfo.Build) map[string][]string {
	found := map[string][]string{}
	if v.types == nil {
		return found
	}
	for name, own := range v.types.TypeNames {
		for _, id := range own {
			if diff := nearest(b, b.TypeNames[name], v.types, id); len(diff) > 0 {
				found[name] = diff
			}
		}
	}
	return found
}

// nearest are the differences from the layout that differs least.
func nearest(b *elfinfo.Build, layouts []elfinfo.TypeID, own *elfinfo.Build, id elfinfo.TypeID) (least []string) {
	for i, layout := range layouts {
		diff := elfinfo.CompareTypes(b, layout, own, id).Differences
		if len(diff) == 0 {
			return nil
		}
		if i == 0 || len(diff) < len(least) {
			least = diff
		}
	}
	return least
}

// bypasses says what else runs instead of a function, "" if nothing does:
// clones that are not reached through the function alone.
func bypasses(f *elfinfo.Function) string {
	var names []string
	for _, c := range f.Clones {
		if !c.Reached {
			names = append(names, fmt.Sprintf("%s at %#x", c.Name, c.Address))
		}
	}
	return strings.Join(names, ", ")
}
