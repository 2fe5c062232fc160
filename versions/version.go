package versions

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions/rpmfile"
)

// hwcaps is the folder, beside a library, with builds of it for newer
// processors: glibc-hwcaps/x86-64-v3/libc.so.6 (ld.so(8)).
const hwcaps = "glibc-hwcaps"

// version verifies, unpacks and records one version of the package.
func (d *downloader) version(ctx context.Context, v *shipped, task Task) ([]build, error) {
	p, err := d.open(ctx, v.offer, task)
	if err != nil {
		// The project's records do without the packages.
		if (errors.Is(err, ErrOffline) || errors.Is(err, ErrNotInStore)) && d.recorded(v) {
			return d.update(v, nil), nil
		}
		return nil, err
	}
	defer p.Close()
	files, err := p.Files()
	if err != nil {
		return nil, err
	}
	found, err := match(files, d.req.Libraries)
	if err != nil {
		return nil, err
	}
	root, err := d.store.tree(ctx, libraries, p.Package, p.sum, chooseLibraries(found), found)
	if err != nil {
		return nil, err
	}
	if found, err = distinct(root, found); err != nil {
		return nil, err
	}
	if d.complete(v, p.sum, found) {
		return d.update(v, p), nil
	}
	b := &recorder{downloader: d, shipped: v, proven: p, root: root, task: task}
	defer b.close()
	if err := b.nameDebugFiles(found); err != nil {
		return nil, err
	}
	builds := make([]build, len(found))
	for i, name := range found {
		if builds[i], err = b.record(ctx, name); err != nil {
			return nil, err
		}
	}
	return builds, nil
}

// A proven is an open package that was verified.
type proven struct {
	*rpmfile.Package
	sum      string // SHA-256
	signedBy string // fingerprint of the primary key
	layers   []Layer
}

// open fetches and verifies one package. The caller closes it.
func (d *downloader) open(ctx context.Context, o offer, task Task) (*proven, error) {
	name, sum, err := d.fetch(ctx, o, task)
	if err != nil {
		return nil, err
	}
	rpm, err := rpmfile.Open(name)
	if err != nil {
		return nil, err
	}
	v, err := rpm.Verify(o.keys)
	if err == nil {
		err = o.describes(rpm)
	}
	if err != nil {
		rpm.Close()
		return nil, err
	}
	return &proven{Package: rpm, sum: sum, signedBy: v.Signer.Fingerprint, layers: packageLayers(o, v)}, nil
}

// describes compares what the metadata says of a package with what the package
// says itself. Its size and digest have been compared before.
func (o offer) describes(rpm *rpmfile.Package) error {
	if have, want := rpm.NEVRA(), o.pkg.NEVRA; have != want {
		return fmt.Errorf("%s: %w: the package is %s, the metadata says %s", o.pkg.Location, ErrChecksum, have, want)
	}
	if have, want := rpm.BuildTime(), o.pkg.BuildTime; want.Unix() > 0 && !have.Equal(want) {
		return fmt.Errorf("%s: %w: the package was built %s, the metadata says %s",
			o.pkg.NEVRA, ErrChecksum, have.Format(time.RFC3339), want.Format(time.RFC3339))
	}
	return nil
}

// match returns the paths that the patterns choose, sorted, one for each real
// file: the name that a pattern gives it, which is mostly its soname. Beside
// each match, glibc-hwcaps folders are looked into for the same name.
func match(files []rpmfile.File, patterns []string) ([]string, error) {
	chosen := make(map[string]string) // real file → the name it was found by
	for _, pattern := range anywhere(patterns) {
		beside := path.Join(path.Dir(pattern), hwcaps, "*", path.Base(pattern))
		for i := range files {
			f := &files[i]
			ok, err := path.Match(pattern, f.Path)
			if err != nil {
				return nil, fmt.Errorf("pattern %q: %w", pattern, err)
			}
			if !ok {
				ok, _ = path.Match(beside, f.Path)
			}
			if !ok || !f.Regular() && !f.Symlink() {
				continue
			}
			real, err := rpmfile.Resolve(files, f.Path)
			if errors.Is(err, rpmfile.ErrNotFound) {
				continue // a link to a file of another package
			}
			if err != nil {
				return nil, err
			}
			if _, known := chosen[real]; !known {
				chosen[real] = f.Path
			}
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNoLibrary, strings.Join(patterns, ", "))
	}
	found := make([]string, 0, len(chosen))
	for _, name := range chosen {
		found = append(found, name)
	}
	slices.Sort(found)
	return found, nil
}

// anywhere adds to each pattern what it is where libraries have moved below
// /usr, or have not yet.
func anywhere(patterns []string) []string {
	var all []string
	for _, p := range patterns {
		all = append(all, mergedPaths(p)...)
	}
	return all
}

// distinct leaves one path of each content, the first: hard links, and copies
// of a library under a second name, are one build. root is where the paths are
// unpacked.
func distinct(root string, found []string) ([]string, error) {
	seen := make(map[string]bool)
	var one []string
	for _, name := range found {
		sum, err := sumFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		if !seen[sum] {
			seen[sum] = true
			one = append(one, name)
		}
	}
	return one, nil
}

// chooseLibraries chooses what is unpacked: the whole library folders, so that
// programs can run with a build's own ld.so and everything that it loads.
func chooseLibraries(found []string) func(*rpmfile.File) bool {
	dirs := []string{"/lib64/", "/usr/lib64/"}
	for _, name := range found {
		dirs = append(dirs, path.Dir(name)+"/")
	}
	return func(f *rpmfile.File) bool {
		return slices.ContainsFunc(dirs, func(dir string) bool { return strings.HasPrefix(f.Path, dir) })
	}
}

// complete says that the project's records hold all that is asked of the
// version: the libraries, the names, and debug symbols if there are any now.
func (d *downloader) complete(v *shipped, sum string, found []string) bool {
	if len(v.prior) != len(found) || !d.recorded(v) {
		return false
	}
	for _, l := range v.prior {
		// Records of an earlier lpbuild do without the changelog.
		if b, err := readRecord(d.req.ProjectDir, l); err != nil || b.Changelog == nil {
			return false
		}
		if l.RPMSHA256 != sum || !slices.Contains(found, l.Library) {
			return false
		}
		known := slices.ContainsFunc(v.debug, func(o offer) bool { return o.pkg.Checksum.Value == l.DebugRPMSHA256 })
		if len(v.debug) > 0 && !known && l.DebugFileSHA256 == "" {
			return false
		}
		if len(d.servers) > 0 && !l.DebugSource.Variables() {
			return false // a server may have them now
		}
	}
	return true
}

// recorded says that the project has records of the version with all the names.
func (d *downloader) recorded(v *shipped) bool {
	for _, l := range v.prior {
		b, err := readRecord(d.req.ProjectDir, l)
		if err != nil || !covers(b, &d.req) {
			return false
		}
	}
	return len(v.prior) > 0
}

// covers says that every name was looked up in the build, of types too. A
// record of an older lpbuild is not read at all ([elfinfo.RecordFacts]).
func covers(b *elfinfo.Build, req *Request) bool {
	for _, n := range req.Names {
		n, _, _ = strings.Cut(n, "@")
		if b.Functions[n] == nil && b.Variables[n] == nil && !slices.Contains(b.Absent, n) {
			return false
		}
	}
	for _, n := range req.Types {
		if _, ok := b.TypeNames[n]; !ok {
			return false
		}
	}
	return true
}

// update takes the project's records over, with today's answers to where the
// package is, how long it is supported, and what proved it; p is nil if the
// package is not at hand.
func (d *downloader) update(v *shipped, p *proven) []build {
	builds := keep(v.prior)
	for i := range builds {
		b := &builds[i]
		if p != nil {
			b.SignedBy, b.Layers = p.signedBy, p.layers
		}
		b.Removed = v.repo == nil
		if !b.Removed {
			b.Repository, b.Location, b.Products = v.name, v.pkg.Location, v.products
		}
		end := d.endOfSupport(v, b.BuildTime)
		if record, err := readRecord(d.req.ProjectDir, b.Locked); err == nil {
			record.EndOfSupport = end
			b.record = record
		}
		b.EndOfSupport = end
	}
	return builds
}
