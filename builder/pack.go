package builder

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// containerName is the file name of the container of patch for build b, named
// after the package nevra: NAME_NEVRA_SONAME_ID.so with the first 8 digits of
// the build-id. Records are files that others can edit: what would lead out of
// the folder is refused.
func containerName(patch, nevra string, b *elfinfo.Build) (string, error) {
	id := string(b.BuildID)
	if raw, err := hex.DecodeString(id); err != nil || len(raw) < 4 {
		return "", refuse(elfinfo.ErrBuildID, err, "build-id %q: want at least 4 bytes in hexadecimal", id)
	}
	name := fmt.Sprintf("%s_%s_%s_%s.so", patch, nevra, b.Soname, id[:8])
	if strings.ContainsAny(name, "/\x00\n") || strings.HasPrefix(name, ".") {
		return "", refuse(elfinfo.ErrFormat, nil, "%q would not be a file name", name)
	}
	return name, nil
}

// describe fills in what t's container will say, and the keys of the cache.
func (m *maker) describe(t *target) error {
	slices.Sort(t.nevras)
	t.nevras = slices.Compact(t.nevras)
	b := t.plan.build
	name, err := containerName(m.patch.Name, t.nevras[0], b)
	if err != nil {
		return err
	}
	t.file = filepath.Join(m.opts.OutDir, name)
	id, err := hex.DecodeString(string(b.BuildID))
	if err != nil {
		return err
	}
	desc := *m.desc
	desc.Container, desc.Target = name, path.Base(desc.Target)
	t.input = livepatch.PackInput{
		Description: &desc, BuildID: id, Depends: m.depends,
		TargetOffsets: t.plan.targets, Info: m.info(t),
	}
	for _, f := range t.plan.functions {
		t.input.Addresses = append(t.input.Addresses, f.Address)
	}
	if t.link.key, err = m.linkKey(t.plan.imports); err != nil {
		return err
	}
	t.link.imports = t.plan.imports
	in := t.input
	t.key, err = keyOf("container", t.link.key, desc.Bytes(), in.BuildID, in.Depends, in.TargetOffsets,
		in.Addresses, in.Info, t.plan.functions)
	return err
}

// info is the content of .lpbuild, as far as Pack does not fill it in.
func (m *maker) info(t *target) *livepatch.Info {
	b := t.plan.build
	info := &livepatch.Info{
		Set: m.opts.Set, SetVersion: m.opts.SetVersion, Patch: m.patch.Name,
		NEVRAs: t.nevras, Library: b.Library, Soname: b.Soname, Toolchain: m.tools.Version,
	}
	for i, u := range m.desc.Units {
		f := t.plan.functions[i]
		info.Functions = append(info.Functions, livepatch.Function{
			Old: u.Name(), New: u.New, Address: f.Address, Size: f.Size, SHA256: f.SHA256,
			Entry: string(f.Entry.Kind), Offset: f.Entry.Offset, Length: f.Entry.Length,
			Personality: f.Unwind.Personality, CallsBack: f.Unwind.CallsBack, Cancellation: f.Unwind.Cancellation,
		})
	}
	return info
}

// same reports whether two records give the same container.
func (p *plan) same(q *plan) bool {
	a, errA := keyOf(p.functions, p.targets, p.imports, p.build.Library)
	b, errB := keyOf(q.functions, q.targets, q.imports, q.build.Library)
	return errA == nil && errB == nil && a == b
}

// pack turns a linked file into t's container, proves it, and writes it.
func (m *maker) pack(t *target, linked []byte) (made, error) {
	data, err := livepatch.Pack(linked, t.input)
	if err != nil {
		return made{}, err
	}
	result := made{SHA256: digest(data)}
	if result.Warnings, err = m.verify(t, data); err != nil {
		return made{}, err
	}
	if m.write {
		if err := writeAtomic(t.file, data, 0o644, true); err != nil {
			return made{}, err
		}
	}
	note, err := json.Marshal(result)
	if err != nil {
		return made{}, err
	}
	return result, m.store.put("containers", t.key, note)
}
