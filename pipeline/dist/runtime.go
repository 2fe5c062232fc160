package dist

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"github.com/google/rpmpack"

	"github.com/lpbuild/lpbuild/rpmhook"
)

// runtimeConflicts own /usr/lib/user-space-livepatch/rpm-helper and /usr/bin/ulp
// too, and patch processes in their own way.
var runtimeConflicts = []string{"libpulp-tools"}

// RuntimeRPM writes the package lpbuild-runtime, with the programs rpm-helper
// and lpctl (by the name ulp, too) from binDir, into OutDir and returns its
// path. It is a package of its own, because the hook still runs when the files
// of a live-patch package are gone. Of p, Version, OutDir and Time must be set, and Name is ignored.
func RuntimeRPM(ctx context.Context, p Package, binDir string) (string, error) {
	p.Name = RuntimeName
	if p.Summary == "" {
		p.Summary = "Applies live patches to running processes"
		p.Description = "rpm-helper, which the scriptlets of live-patch packages call, and lpctl, with\n" +
			"which an operator sees, applies and reverts live patches."
	}
	if p.License == "" {
		p.License = "Apache-2.0"
	}
	p = p.withDefaults()
	if err := p.validate(); err != nil {
		return "", err
	}
	w, err := newWriter(p)
	if err != nil {
		return "", err
	}
	w.folder(path.Dir(rpmhook.Helper))
	for _, f := range []struct{ program, installed string }{
		{"lpctl", "/usr/bin/lpctl"},
		{"rpm-helper", rpmhook.Helper},
	} {
		body, err := readProgram(filepath.Join(binDir, f.program))
		if err != nil {
			return "", err
		}
		w.file(f.installed, 0o755, body)
	}
	w.link("/usr/bin/ulp", "lpctl")
	for _, name := range runtimeConflicts {
		w.rpm.Conflicts = append(w.rpm.Conflicts, &rpmpack.Relation{Name: name})
	}
	if err := w.require(p.Requires); err != nil {
		return "", err
	}
	w.changelog([]string{"version " + p.Version})
	return w.write(ctx)
}

// readProgram reads a program that must be static: it works while the C library
// is being replaced.
func readProgram(name string) ([]byte, error) {
	body, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	f, err := elf.NewFile(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return nil, fmt.Errorf("%s: %w: not static", name, ErrPackage)
		}
	}
	return body, nil
}
