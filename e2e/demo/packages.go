package demo

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// released are the RPMs of a version of a project.
type released struct{ rpmbuild, direct string }

// build makes the RPM from the source package with rpmbuild, which has no
// network, then directly, and compares the files in both.
func (d *demo) buildBoth(ctx context.Context, p project) (*released, error) {
	top := d.path("rpmbuild", p.name)
	sources := filepath.Join(top, "SOURCES")
	if _, err := d.lpbuild(p, "--offline", "dist", "-o", sources).run(ctx); err != nil {
		return nil, err
	}
	spec := filepath.Join(sources, p.name+".spec")
	rpm, err := d.rpmbuild(ctx, p.name+" rpmbuild", top, spec)
	if err != nil {
		return nil, err
	}
	direct, err := d.direct(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := d.sameFiles(ctx, p, rpm, direct); err != nil {
		return nil, err
	}
	d.say("%s %s: dist, rpmbuild without network; rpm: the same files", p.name, oldVersion)
	return &released{rpm, direct}, nil
}

// direct makes the RPM without rpmbuild.
func (d *demo) direct(ctx context.Context, p project) (string, error) {
	c := d.lpbuild(p, "--offline", "rpm", "--compress", "zstd", "-o", d.path("rpms"))
	out, err := c.run(ctx)
	if err != nil {
		return "", err
	}
	return onlyPath(c, out)
}

// runtime makes the package with the programs.
func (d *demo) runtime(ctx context.Context, p project) (string, error) {
	c := d.lpbuild(p, "--offline", "rpm", "--compress", "zstd", "-o", d.path("rpms", "runtime"), "--runtime", d.Bin)
	out, err := c.run(ctx)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(out.stdout) {
		if strings.HasPrefix(filepath.Base(line), "lpbuild-runtime-") {
			return strings.TrimSpace(line), nil
		}
	}
	return "", c.fail(out, unexpected(c.step, "no runtime package was written"))
}

func onlyPath(c command, out *result) (string, error) {
	name := strings.TrimSpace(out.stdout)
	if info, err := os.Stat(name); err != nil {
		return "", c.fail(out, err)
	} else if !info.Mode().IsRegular() {
		return "", c.fail(out, unexpected(c.step, "%s is not a file", name))
	}
	return name, nil
}

// rpmbuild builds the one binary RPM of a spec file.
func (d *demo) rpmbuild(ctx context.Context, step, top, spec string) (string, error) {
	tmp := filepath.Join(top, "tmp")
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return "", err
	}
	// rpmbuild finds lpbuild by name; the packages that a spec file asks for are
	// Debian's here, and no RPM database knows of them.
	c := command{
		step: step, env: d.env, private: true,
		argv: []string{
			"rpmbuild", "-ba", "--nodeps", "--define", "_topdir " + top, "--define", "_tmppath " + tmp,
			"--define", "_dbpath " + filepath.Join(top, "db"), spec,
		},
	}
	out, err := c.run(ctx)
	if err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(top, "RPMS", "*", "*.rpm"))
	if err != nil || len(found) != 1 {
		return "", c.fail(out, unexpected(step, "RPMs %q", found))
	}
	return found[0], nil
}

// sameFiles checks that two RPMs hold the same files, to the byte.
func (d *demo) sameFiles(ctx context.Context, p project, a, b string) error {
	var lists [2][]string
	for i, name := range []string{a, b} {
		c := command{
			step: p.name + " files", env: d.env,
			argv: []string{"rpm", "--dbpath", d.path("tmp"), "-qp", "--qf", `[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME} %{FILEDIGESTS}\n]`, name},
		}
		out, err := c.run(ctx)
		if err != nil {
			return err
		}
		lists[i] = strings.Split(strings.TrimSpace(out.stdout), "\n")
	}
	for i, line := range lists[0] {
		if i >= len(lists[1]) || lists[1][i] != line {
			return unexpected(p.name+" files", "%s holds %q, which %s does not", a, line, b)
		}
	}
	if !slices.Equal(lists[0], lists[1]) {
		return unexpected(p.name+" files", "%s holds %d files, %s %d", a, len(lists[0]), b, len(lists[1]))
	}
	return nil
}

// baseSpec is a package that says what the scratch root has without one.
const baseSpec = `Name: scratch-base
Version: 1
Release: 1
Summary: What the scratch root has without a package
License: Apache-2.0
BuildArch: noarch
Provides: /bin/sh
%description
The shell.
%files
`

func (d *demo) base(ctx context.Context) (string, error) {
	top := d.path("rpmbuild", "base")
	if err := os.MkdirAll(top, 0o755); err != nil {
		return "", err
	}
	spec := filepath.Join(top, "scratch-base.spec")
	if err := os.WriteFile(spec, []byte(baseSpec), 0o644); err != nil {
		return "", err
	}
	return d.rpmbuild(ctx, "scratch-base", top, spec)
}
