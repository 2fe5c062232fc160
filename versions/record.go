package versions

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions/rpmfile"
)

// A recorder makes the records of one unpacked version.
type recorder struct {
	*downloader
	*shipped
	*proven
	root string // where it is unpacked
	task Task

	debugNames []string        // where debug files of the libraries may be in packages
	opened     []*debugPackage // debug packages opened so far, in the order of shipped.debug
}

// A debugPackage is a verified package of debug symbols.
type debugPackage struct {
	offer
	*proven
	files []rpmfile.File
}

func (r *recorder) close() {
	for _, d := range r.opened {
		d.Close()
	}
}

// record makes the record of the library at the path name of the package.
func (r *recorder) record(ctx context.Context, name string) (build, error) {
	lib, err := openBeneath(r.root, name)
	if err != nil {
		return build{}, err
	}
	defer lib.Close()
	if lib.BuildID() == "" {
		return build{}, fmt.Errorf("%s: %w: the library has no build-id", name, elfinfo.ErrBuildID)
	}
	found, err := r.findSymbols(ctx, &library{lib, name})
	if err != nil {
		return build{}, err
	}
	defer found.Close()
	if err := r.worse(lib.BuildID(), found.source); err != nil {
		return build{}, err
	}
	b, err := elfinfo.NewRecord(lib, found.file, elfinfo.Wanted{Names: r.req.Names, Types: r.req.Types})
	if err != nil {
		return build{}, err
	}
	b.DebugSource = found.source
	if !found.source.Variables() {
		// What is not found may be there all the same, as a private symbol: it
		// was not looked up.
		b.Absent = nil
	}
	r.describe(b, name, found)
	if b.Changelog, err = changelog(r.Package); err != nil {
		return build{}, err
	}
	l, err := r.locked(b, found)
	return build{Locked: l, record: b}, err
}

// describe fills in what the record says of the package.
func (r *recorder) describe(b *elfinfo.Build, name string, found *symbols) {
	n := r.NEVRA()
	b.NEVRA, b.Package, b.Arch = n.String(), n.Name, n.Arch
	b.RPMSHA256, b.Library = r.sum, name
	if from := found.from; from != nil {
		b.DebugRPMSHA256 = from.sum
	}
	b.BuildTime = r.proven.BuildTime()
	b.EndOfSupport = r.endOfSupport(r.shipped, b.BuildTime)
}

func (r *recorder) locked(b *elfinfo.Build, found *symbols) (Locked, error) {
	l := Locked{
		NEVRA: b.NEVRA, Arch: b.Arch, Repository: r.name, Location: r.pkg.Location, Products: r.products,
		RPMSHA256: r.sum, RPMSize: r.pkg.Size,
		Library: b.Library, Soname: b.Soname, BuildID: b.BuildID, DebugSource: b.DebugSource,
		BuildTime: b.BuildTime, EndOfSupport: b.EndOfSupport, Removed: r.repo == nil,
		SignedBy: r.signedBy, Layers: r.layers,
	}
	if a := found.answer; a != nil {
		l.DebugLocation, l.DebugFileSHA256 = a.location, a.sum
		l.Layers = slices.Concat(r.layers, answerLayers())
	}
	if from := found.from; from != nil {
		l.DebugLocation, l.DebugRPMSHA256, l.DebugRPMSize = from.pkg.Location, from.sum, from.pkg.Size
		l.DebugSignedBy, l.Layers = from.signedBy, slices.Concat(r.layers, debugLayers(from.layers))
		if from.name != r.name {
			l.DebugRepository = from.name
		}
	}
	var err error
	l.Record, err = recordName(b)
	return l, err
}

// recordName is NEVRA_SONAME_BUILDID.json, with the first eight digits of the
// build-id: several builds of one NEVRA differ in it.
func recordName(b *elfinfo.Build) (string, error) {
	id := string(b.BuildID)
	if len(id) > 8 {
		id = id[:8]
	}
	name := b.NEVRA + "_" + b.Soname + "_" + id + ".json"
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == '/' || r == 0x7f }) || len(name) > 255 {
		return "", fmt.Errorf("%w: %q is no name for a record", ErrUnsafePath, name)
	}
	return name, nil
}

// openBeneath opens an unpacked ELF file. Symlinks of the package are followed
// inside it: rpmfile.Extract writes no others.
func openBeneath(root, name string) (*elfinfo.File, error) {
	return elfinfo.Open(filepath.Join(root, filepath.FromSlash(name)))
}

// openDebug returns candidate i, opened once.
func (r *recorder) openDebug(ctx context.Context, i int) (*debugPackage, error) {
	if i < len(r.opened) {
		return r.opened[i], nil
	}
	p, err := r.open(ctx, r.debug[i], r.task)
	if err != nil {
		return nil, err
	}
	d := &debugPackage{offer: r.debug[i], proven: p}
	r.opened = append(r.opened, d)
	d.files, err = p.Files()
	return d, err
}

// chooseDebug chooses what is unpacked of a package of debug symbols: the file
// real, those of the package's other libraries, and what dwz has moved into
// files of its own.
func (r *recorder) chooseDebug(d *debugPackage, real string) func(*rpmfile.File) bool {
	wanted := map[string]bool{real: true}
	for _, name := range r.debugNames {
		if other, err := rpmfile.Resolve(d.files, name); err == nil {
			wanted[other] = true
		}
	}
	return func(f *rpmfile.File) bool { return wanted[f.Path] || path.Dir(f.Path) == debugRoot+"/.dwz" }
}
