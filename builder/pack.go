package builder

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// containerName is the file name of the container of a set for build b, named
// after the package nevra: SET_NEVRA_SONAME_ID.so with the first 8 digits of
// the build-id. Records are files that others can edit: what would lead out of
// the folder is refused.
func containerName(set, nevra string, b *elfinfo.Build) (string, error) {
	id := string(b.BuildID)
	if raw, err := hex.DecodeString(id); err != nil || len(raw) < 4 {
		return "", refuse(elfinfo.ErrBuildID, err, "build-id %q: want at least 4 bytes in hexadecimal", id)
	}
	name := fmt.Sprintf("%s_%s_%s_%s.so", set, nevra, b.Soname, id[:8])
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
	name, err := containerName(m.setName(), t.nevras[0], b)
	if err != nil {
		return err
	}
	t.file = filepath.Join(m.opts.OutDir, name)
	id, err := hex.DecodeString(string(b.BuildID))
	if err != nil {
		return err
	}
	u := t.plan.union
	desc := *u.desc
	desc.Container = name
	t.input = livepatch.PackInput{Description: &desc, BuildID: id, Depends: u.depends, Info: m.info(t)}
	for _, p := range t.plan.parts {
		t.input.TargetOffsets = append(t.input.TargetOffsets, p.targets...)
	}
	for _, f := range t.input.Info.Functions {
		t.input.Addresses = append(t.input.Addresses, f.Address)
	}
	t.link.union, t.link.imports = u, t.plan.imports
	if t.link.key, err = m.linkKey(u, t.plan.imports); err != nil {
		return err
	}
	in := t.input
	t.key, err = keyOf("container", t.link.key, desc.Bytes(), in.BuildID, in.Depends, in.TargetOffsets,
		in.Addresses, in.Info, t.plan.content())
	return err
}

// info is the content of .lpbuild, as far as Pack does not fill it in.
func (m *maker) info(t *target) *livepatch.Info {
	b := t.plan.build
	info := &livepatch.Info{
		Set: m.opts.Set, SetVersion: m.opts.SetVersion,
		NEVRAs: t.nevras, Library: b.Library, Soname: b.Soname, Toolchain: m.tools.Version,
	}
	var names []string
	for _, p := range t.plan.parts {
		names = append(names, p.patch.Name)
		info.Patches = append(info.Patches, livepatch.InfoPatch{
			Name: p.patch.Name, References: livepatch.ScanReferences(p.desc.Comments),
		})
		for i, u := range p.desc.Units {
			f := p.functions[i]
			info.Functions = append(info.Functions, livepatch.Function{
				Old: u.Name(), New: u.New, Address: f.Address, Size: f.Size, SHA256: f.SHA256,
				Entry: string(f.Entry.Kind), Offset: f.Entry.Offset, Length: f.Entry.Length,
				Personality: f.Unwind.Personality, CallsBack: f.Unwind.CallsBack, Cancellation: f.Unwind.Cancellation,
				Patch: p.patch.Name,
			})
		}
	}
	info.Patch = joinNames(names)
	return info
}

// joinNames puts commas between names. What would fill a line of lpctl's table
// is cut short; livepatch.Info.Patches has them all.
func joinNames(names []string) string {
	const longest = 255
	all := strings.Join(names, ",")
	if len(names) > 1 && len(all) > longest {
		return fmt.Sprintf("%s and %d more", names[0], len(names)-1)
	}
	return all
}

// same reports whether two records give the same container.
func (p *plan) same(q *plan) bool {
	a, errA := keyOf(p.content(), p.imports, p.build.Library)
	b, errB := keyOf(q.content(), q.imports, q.build.Library)
	return p.union == q.union && errA == nil && errB == nil && a == b
}

// content is what the container says and depends on, for a cache key.
func (p *plan) content() []any {
	var all []any
	for _, part := range p.parts {
		all = append(all, part.functions, part.targets)
	}
	return all
}

// undefined are the symbols that the objects of p import.
func (p *plan) undefined() []undefinedSymbol {
	var all []undefinedSymbol
	for _, part := range p.parts {
		all = append(all, part.object.undefined...)
	}
	return all
}

// pack turns a linked file into t's container, proves it, and writes it.
func (m *maker) pack(t *target, linked []byte) (made, error) {
	data, err := livepatch.Pack(linked, t.input)
	if err != nil {
		return made{}, t.plan.union.place(err)
	}
	result := made{SHA256: digest(data)}
	if err := m.verify(t, data); err != nil {
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
	m.store.put("containers", t.key, note)
	return result, nil
}
