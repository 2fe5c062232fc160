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
	imports *imports
	key     string
}

// linkKey is the cache key of the container's code for one set of imports.
func (m *maker) linkKey(im *imports) (string, error) {
	return keyOf("link", m.tools.identity(), linkFlags, m.patch.Name, m.object.sum, im)
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
	data, err := renameSymbols(m.object.data, job.imports.Renames)
	if err != nil {
		return nil, err
	}
	objectFile := filepath.Join(dir, "patch.o")
	if err := os.WriteFile(objectFile, data, 0o600); err != nil {
		return nil, err
	}
	out := filepath.Join(dir, "container.so")
	args := append(slices.Clone(linkFlags), "-soname", m.patch.Name+".so", "-o", out, objectFile)
	for i, soname := range slices.Sorted(maps.Keys(job.imports.Libraries)) {
		stub := filepath.Join(dir, fmt.Sprintf("stub%d.so", i))
		if err := os.WriteFile(stub, stubLibrary(soname, job.imports.Libraries[soname]), 0o600); err != nil {
			return nil, err
		}
		args = append(args, stub)
	}
	if job.imports.Libgcc {
		args = append(args, m.tools.Libgcc)
	}
	if _, err := run(ctx, command{path: m.tools.Linker, args: args, dir: dir}); err != nil {
		return nil, keepLog(m.store, err)
	}
	linked, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	return linked, m.store.put("links", job.key, linked)
}
