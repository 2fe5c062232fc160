// Package dist makes packages of a live-patch project: the source package that
// a build service turns into an RPM, and the same binary RPM directly.
//
//	Source      NAME-VERSION.tar.xz, NAME.spec, NAME.changes, NAME-rpmlintrc
//	RPM         NAME-VERSION-RELEASE.ARCH.rpm
//	RuntimeRPM  the package with rpm-helper and lpctl that those require
//
// Both ways install the same files with the same owners, modes and digests, run
// the same scriptlets (package rpmhook writes them) and require the same.
//
// Every output depends on nothing but the project: entries are sorted, owners
// are root, times are Package.Time. Outputs appear whole or not at all.
package dist

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lpbuild/lpbuild/rpmhook"
)

// RuntimeName is the package that holds rpm-helper and lpctl.
const RuntimeName = "lpbuild-runtime"

// Errors that callers branch on.
var (
	// ErrNotMade says that there is no manifest: nothing has been made yet.
	ErrNotMade = errors.New("no live patches have been made")
	// ErrContainer says that a container is not fit to be shipped in this package.
	ErrContainer = errors.New("container refused")
	// ErrPackage says that a field of Package cannot be part of an RPM.
	ErrPackage = errors.New("not packageable")
	// ErrSource says that a file of the project cannot be part of the source package.
	ErrSource = errors.New("not a source file")
)

// A Package is what is to be packaged. Name, Version, ProjectDir and Time must
// be set, and BuildIDs to make an RPM.
type Package struct {
	// Name and Version are the project's; Release is RPM's (default: 1).
	Name    string
	Version string
	Release string
	// Arch is RPM's name of the architecture (default: x86_64).
	Arch string
	// Summary (default: "Live patches"), License (default: unspecified) and URL
	// are one line each; Description defaults to Summary and a full stop.
	Summary     string
	License     string
	URL         string
	Description string
	// Vendor is left out if empty. Packager is who signs the change log, as in
	// "Security Team <security@example.org>" (default: lpbuild).
	Vendor   string
	Packager string
	// Requires are further requirements in RPM's syntax, as in "foo >= 1".
	Requires []string
	// CXX says that live patches are written in C++ too: building the source
	// package then needs gcc-c++.
	CXX bool
	// ProjectDir is the project folder, BuildDir holds the containers and the
	// manifest (default: build in ProjectDir), OutDir gets the packages
	// (default: dist in ProjectDir).
	ProjectDir string
	BuildDir   string
	OutDir     string
	// BuildIDs are the builds that the project has records of, in hexadecimal.
	BuildIDs []string
	// Shards is into how many shares the source package divides the builds, for
	// the workers of a build service; up to 1 means that it does not.
	Shards int
	// Time is the one time of everything that is written. See SourceDate.
	Time time.Time
	// Compress is the RPM's payload compression: xz (the default, as SLE 15
	// has it) or zstd.
	Compress string
}

// SourceDate is the time for Package.Time: SOURCE_DATE_EPOCH (seconds since
// 1970) if it is set, else newest, which should be the build time of the newest
// library build that the project knows.
func SourceDate(newest time.Time) (time.Time, error) {
	value := os.Getenv("SOURCE_DATE_EPOCH")
	if value == "" {
		return newest.UTC().Truncate(time.Second), nil
	}
	seconds, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}

// withDefaults returns a copy with every empty field that has a default filled in.
func (p Package) withDefaults() Package {
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	set(&p.Release, "1")
	set(&p.Arch, "x86_64")
	set(&p.Summary, "Live patches")
	set(&p.License, "unspecified")
	p.Description = strings.TrimSpace(p.Description)
	set(&p.Description, p.Summary+".")
	set(&p.Packager, "lpbuild")
	set(&p.BuildDir, filepath.Join(p.ProjectDir, "build"))
	set(&p.OutDir, filepath.Join(p.ProjectDir, "dist"))
	set(&p.Compress, "xz")
	if p.Shards == 1 {
		p.Shards = 0
	}
	p.Time = p.Time.UTC()
	return p
}

// maxShards bounds Package.Shards: every shard is a build of its own.
const maxShards = 256

var versionShape = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._+~^]*$`)

// validate checks all that ends up in a spec file or in an RPM header.
func (p Package) validate() error {
	switch {
	case !rpmhook.ValidName(p.Name):
		return fmt.Errorf("%w: name %q", ErrPackage, p.Name)
	case !versionShape.MatchString(p.Version):
		return fmt.Errorf("%w: version %q", ErrPackage, p.Version)
	case !versionShape.MatchString(p.Release):
		return fmt.Errorf("%w: release %q", ErrPackage, p.Release)
	case p.Arch != "x86_64":
		return fmt.Errorf("%w: architecture %q", ErrPackage, p.Arch)
	case !slices.Contains([]string{"xz", "zstd"}, p.Compress):
		return fmt.Errorf("%w: compression %q is neither xz nor zstd", ErrPackage, p.Compress)
	case p.Shards < 0 || p.Shards > maxShards:
		return fmt.Errorf("%w: %d shards, at most %d", ErrPackage, p.Shards, maxShards)
	case p.Time.Unix() <= 0 || p.Time.Unix() >= 1<<31:
		return fmt.Errorf("%w: time %v", ErrPackage, p.Time)
	}
	lines := append([]string{p.Summary, p.License, p.URL, p.Vendor, p.Packager}, p.Requires...)
	for _, line := range lines {
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' }) {
			return fmt.Errorf("%w: %q is not one line", ErrPackage, line)
		}
	}
	for line := range strings.Lines(p.Description) {
		// rpmbuild takes such a line for the start of a section, escaped or not.
		if strings.HasPrefix(strings.TrimSpace(line), "%") {
			return fmt.Errorf("%w: line %q of the description begins with %%", ErrPackage, strings.TrimSpace(line))
		}
	}
	return nil
}

// file is the path of an RPM of this package.
func (p Package) file() string {
	return filepath.Join(p.OutDir, fmt.Sprintf("%s-%s-%s.%s.rpm", p.Name, p.Version, p.Release, p.Arch))
}

// setDir is the folder that the containers are installed in.
func (p Package) setDir() string { return rpmhook.SetRoot + "/" + p.Name }
