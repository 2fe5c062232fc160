package builder

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// readTypes records the types of a compiled source, from its debug information.
func (m *maker) readTypes(ctx context.Context, v *variant) (*elfinfo.Build, error) {
	wanted := v.wanted()
	key, err := keyOf("types", elfinfo.RecordFacts, m.tools.identity(), v.object.sum, wanted)
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
		return nil, fmt.Errorf("types of %s: %w", v, err)
	}
	var data bytes.Buffer
	if err := record.Encode(&data); err != nil {
		return nil, err
	}
	m.store.put("types", key, data.Bytes())
	return record, nil
}

// wanted are the names that matter of the object of v.
func (v *variant) wanted() (w elfinfo.Wanted) {
	for _, u := range v.desc.Units {
		w.Names = append(w.Names, u.New)
	}
	for _, r := range v.desc.References {
		if !r.Explicit || r.PatchOffset == 0 {
			w.Names = append(w.Names, r.Reference)
		}
	}
	w.Types = v.patch.Types
	return w
}

// recordObject links the object against nothing, as package elfinfo does not
// read relocatable files, and records it.
func (m *maker) recordObject(ctx context.Context, v *variant, wanted elfinfo.Wanted) (*elfinfo.Build, error) {
	dir, err := os.MkdirTemp(m.work, "probe-")
	if err != nil {
		return nil, err
	}
	object, probe := filepath.Join(dir, "probe.o"), filepath.Join(dir, "probe.so")
	versioned := map[string]string{} // without a library that has the version, ld refuses it
	for _, u := range v.object.undefined {
		if u.Version != "" {
			versioned[u.String()] = u.Name
		}
	}
	data, err := renameSymbols(v.object.data, versioned)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(object, data, 0o600); err != nil {
		return nil, err
	}
	args := []string{"-shared", "--build-id=sha1", "-z", "notext", "-o", probe, object}
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
