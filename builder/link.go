package builder

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// linkFlags make an ordinary shared object that is nothing but the
// replacement: no crt file (they bring _init and frame_dummy, code that would
// have to run in the target), everything bound before it is entered, no text
// relocation, own names bound to own definitions. The choices that link
// editors differ in are spelled out.
var linkFlags = []string{
	"-shared", "-Bsymbolic", "--strip-debug", "--eh-frame-hdr", "--build-id=sha1",
	"--hash-style=gnu", "-z", "relro", "-z", "now", "-z", "defs", "-z", "text",
	"-z", "noexecstack", "-z", "separate-code", "-z", "max-page-size=4096",
}

// linkJob is one distinct link: every build with the same imports shares it.
type linkJob struct {
	union   *union
	imports *imports
	key     string
}

// linkKey is the cache key of the container's code for one set of imports.
func (m *maker) linkKey(u *union, im *imports) (string, error) {
	var objects []any
	for _, v := range u.parts {
		objects = append(objects, v.patch.Name, v.object.sum, u.privateNames(v))
	}
	return keyOf("link", m.tools.identity(), linkFlags, m.setName(), objects, digest(wrapperSource), im)
}

// link returns the linked shared object of a job.
func (m *maker) link(ctx context.Context, job linkJob) ([]byte, error) {
	if data, ok := m.store.get("links", job.key); ok {
		return data, nil
	}
	dir, err := os.MkdirTemp(m.work, "link-")
	if err != nil {
		return nil, err
	}
	inputs, err := m.linkInputs(ctx, dir, job)
	if err != nil {
		return nil, keepLog(m.store, err)
	}
	out := filepath.Join(dir, "container.so")
	args := slices.Concat(linkFlags, []string{"-soname", m.setName() + ".so", "-o", out}, inputs)
	if _, err := run(ctx, command{path: m.tools.Linker, args: args, dir: dir}); err != nil {
		return nil, keepLog(m.store, err)
	}
	linked, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	m.store.put("links", job.key, linked)
	return linked, nil
}

// linkInputs writes what is linked into dir and returns the files in the order
// of the command line: the objects, with names as the build has them, wrappers,
// a stub for each library, the compiler's run-time library.
func (m *maker) linkInputs(ctx context.Context, dir string, job linkJob) (inputs []string, err error) {
	im := job.imports
	add := func(name string, data []byte) error {
		file := filepath.Join(dir, name)
		inputs = append(inputs, file)
		return os.WriteFile(file, data, 0o600)
	}
	for i, v := range job.union.parts {
		names := job.union.privateNames(v)
		maps.Copy(names, im.Renames)
		data, err := renameSymbols(v.object.data, names)
		if err != nil {
			return nil, err
		}
		if err := add(fmt.Sprintf("patch%d.o", i), data); err != nil {
			return nil, err
		}
	}
	if len(im.Wrappers) > 0 {
		data, err := wrapperObject(ctx, m.store, m.tools, im.Wrappers)
		if err != nil {
			return nil, err
		}
		if err := add("wrappers.o", data); err != nil {
			return nil, err
		}
	}
	for i, soname := range slices.Sorted(maps.Keys(im.Libraries)) {
		if err := add(fmt.Sprintf("stub%d.so", i), stubLibrary(soname, im.Libraries[soname])); err != nil {
			return nil, err
		}
	}
	if im.Libgcc {
		inputs = append(inputs, m.tools.Libgcc)
	}
	return inputs, nil
}
