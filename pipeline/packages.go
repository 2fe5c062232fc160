package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/pipeline/dist"
	"github.com/lpbuild/lpbuild/rpmhook"
)

// What Dist and RPM refuse to package; see package dist.
var (
	ErrNotMade   = dist.ErrNotMade
	ErrContainer = dist.ErrContainer
	ErrPackage   = dist.ErrPackage
	ErrSource    = dist.ErrSource
)

// PackageOptions are those of a stage and of what it packages.
type PackageOptions struct {
	Options
	// Release is RPM's release (default: 1).
	Release string
	// OutDir gets the packages (default: dist/ of the project).
	OutDir string
	// Shards is into how many shares Dist divides the builds; see dist.Package.
	Shards int
	// Compress is the payload compression of an RPM, xz (default) or zstd.
	Compress string
}

// distPackage is what package dist is to write.
func (p *Project) distPackage(opts PackageOptions) (dist.Package, error) {
	read, err := p.brief()
	if err != nil {
		return dist.Package{}, err
	}
	records := read.Builds
	out := dist.Package{
		Name: p.Name, Version: p.Version, Release: opts.Release,
		Summary: p.Summary, License: p.License, URL: p.URL, Description: p.Config.Description,
		Requires: p.Requires, ProjectDir: p.Dir, OutDir: opts.OutDir, Compress: opts.Compress, Shards: opts.Shards,
		CXX: p.hasCXX(),
	}
	for _, b := range records {
		out.BuildIDs = append(out.BuildIDs, string(b.BuildID))
	}
	out.Time, err = dist.SourceDate(newest(records))
	return out, err
}

// hasCXX reports whether a source of a live patch is C++.
func (p *Project) hasCXX() bool {
	return slices.ContainsFunc(p.Patches, func(patch Patch) bool {
		return slices.ContainsFunc(patch.Sources, func(file string) bool { return filepath.Ext(file) != ".c" })
	})
}

func newest(records []*elfinfo.Build) time.Time {
	var t time.Time
	for _, b := range records {
		if b.BuildTime.After(t) {
			t = b.BuildTime
		}
	}
	return t
}

// Dist writes the source package into dist/ and returns the paths of its files.
func (p *Project) Dist(ctx context.Context, opts PackageOptions) ([]string, error) {
	pkg, err := p.distPackage(opts)
	if err != nil {
		return nil, err
	}
	files, err := dist.Source(ctx, pkg)
	if err != nil {
		return nil, err
	}
	written := []string{files.Tarball, files.Spec, files.Changes}
	if files.Multibuild != "" {
		written = append(written, files.Multibuild)
	}
	return written, nil
}

// RPM makes all containers, writes the binary RPM into dist/ and returns its
// path. If any container fails there is no RPM: the path is then "" and the
// report says why.
func (p *Project) RPM(ctx context.Context, opts PackageOptions) (string, *Report, error) {
	pkg, err := p.distPackage(opts)
	if err != nil {
		return "", nil, err
	}
	unlock, err := p.lock(ctx, opts.Options)
	if err != nil {
		return "", nil, err
	}
	defer unlock()
	report, err := p.makeSet(ctx, opts.Options)
	if err != nil || report.Err() != nil {
		return "", report, err
	}
	file, err := dist.RPM(ctx, pkg)
	return file, report, err
}

// RuntimeRPM writes the package that the live-patch RPM requires, in lpbuild's
// own version, with the programs rpm-helper and lpctl from binDir. Its path is
// returned.
func (p *Project) RuntimeRPM(ctx context.Context, version, binDir string, opts PackageOptions) (string, error) {
	pkg, err := p.distPackage(opts)
	if err != nil {
		return "", err
	}
	return dist.RuntimeRPM(ctx, dist.Package{
		Version: version, Release: pkg.Release, ProjectDir: pkg.ProjectDir,
		OutDir: pkg.OutDir, Compress: pkg.Compress, Time: pkg.Time,
	}, binDir)
}

// writeManifest notes in build/ which containers are the set. A set of which a
// container failed has no manifest, and neither has one without any.
func (p *Project) writeManifest(report *Report) error {
	dir := filepath.Join(p.Dir, BuildDir)
	if report.Err() != nil || len(report.containers()) == 0 {
		err := os.Remove(filepath.Join(dir, rpmhook.ManifestName))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return dist.WriteManifest(dir, p.Name, p.Version, report.containers())
}
