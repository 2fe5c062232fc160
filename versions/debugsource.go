package versions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions/rpmfile"
)

// maxMini bounds an unpacked .gnu_debugdata, in bytes. That of the largest
// libraries has some 20 MiB.
const maxMini = 128 << 20

// ErrDebugSymbols says that debug symbols that a record was made with are not
// to be had any more.
var ErrDebugSymbols = errors.New("debug symbols are gone")

// symbols are what was found for one library.
type symbols struct {
	source elfinfo.DebugSource
	file   *elfinfo.File // nil: there is nothing beside the library
	from   *debugPackage // the package that has the file, if one has
	path   string        // there
	answer *answer       // of a debuginfod server, if one had the file
	open   []io.Closer
}

func (s *symbols) Close() error {
	var err error
	for _, c := range s.open {
		err = errors.Join(err, c.Close())
	}
	return err
}

// A library is an opened library of the package.
type library struct {
	*elfinfo.File
	path string // in the package
}

// findSymbols looks for the debug symbols of a library in the order of
// elfinfo's DebugSources. A file that is not of this build, or damaged, is
// passed over with a warning: the next source may have the right one. If none
// has, a wrong file where the right one must be is an error: symbols that exist
// must not go unnoticed.
func (r *recorder) findSymbols(ctx context.Context, lib *library) (*symbols, error) {
	var wrong error
	for _, find := range []func(context.Context, *library) (*symbols, error){
		r.byBuildID, r.byLink, r.fromServer, r.fromLibrary,
	} {
		s, err := find(ctx, lib)
		if err != nil && !notThisBuild(err) {
			return nil, err
		}
		if err == nil && s != nil {
			return s, nil
		}
		wrong = errors.Join(wrong, err)
	}
	s, err := r.fromMini(lib)
	if err != nil {
		r.opts.Log.Warn("minidebuginfo that cannot be used", "package", r.pkg.NEVRA.String(), "library", lib.path, "error", err)
	}
	if s != nil {
		r.opts.Log.Warn("only minidebuginfo: no private variable, prototype or type can be recorded",
			"package", r.pkg.NEVRA.String(), "library", lib.path, "build_id", string(lib.BuildID()))
		return s, nil
	}
	if wrong != nil {
		return nil, wrong
	}
	r.opts.Log.Warn("no debug symbols: private functions and variables cannot be recorded",
		"package", r.pkg.NEVRA.String(), "build_id", string(lib.BuildID()), "debug_package", strings.Join(r.req.DebugPackages, ", "))
	return &symbols{source: elfinfo.DebugNone}, nil
}

// notThisBuild says that an error is about a file that is of no use for the
// library, and not about a failed verification or the way to the file.
func notThisBuild(err error) bool {
	if failedVerification(err) {
		return false
	}
	return errors.Is(err, elfinfo.ErrBuildID) || errors.Is(err, elfinfo.ErrFormat) || errors.Is(err, elfinfo.ErrMachine)
}

// byBuildID looks into the packages of debug symbols for the build-id.
func (r *recorder) byBuildID(ctx context.Context, lib *library) (*symbols, error) {
	return r.inPackages(ctx, lib, elfinfo.DebugPackage, []string{debugPath(lib.BuildID())}, nil)
}

// inPackages returns the first file of the packages of debug symbols that has
// one of the names and belongs to the library, which accept may narrow.
func (r *recorder) inPackages(ctx context.Context, lib *library, source elfinfo.DebugSource, names []string, accept func(*elfinfo.File) error) (*symbols, error) {
	var wrong error
	for i := range r.debug {
		d, err := r.openDebug(ctx, i)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			s, err := r.inPackage(ctx, d, name)
			if errors.Is(err, rpmfile.ErrNotFound) {
				continue
			}
			if err == nil {
				s.source = source
				err = belongs(lib, s.file, accept)
			}
			if err == nil {
				return s, r.addAlternate(ctx, s)
			}
			if s != nil {
				err = errors.Join(err, s.Close())
			}
			if !notThisBuild(err) {
				return nil, err
			}
			r.opts.Log.Warn("debug symbols that are not of the library", "package", d.pkg.NEVRA.String(),
				"file", name, "library", lib.path, "error", err)
			wrong = errors.Join(wrong, fmt.Errorf("%s: %w", d.pkg.NEVRA, err))
		}
	}
	return nil, wrong
}

// inPackage unpacks and opens a file of a package of debug symbols.
func (r *recorder) inPackage(ctx context.Context, d *debugPackage, name string) (*symbols, error) {
	real, err := rpmfile.Resolve(d.files, name)
	if err != nil {
		return nil, err
	}
	root, err := r.store.tree(ctx, debug, d.Package, d.sum, r.chooseDebug(d, real), []string{real})
	if err != nil {
		return nil, err
	}
	f, err := openBeneath(root, real)
	if err != nil {
		return nil, err
	}
	return &symbols{file: f, from: d, path: real, open: []io.Closer{f}}, nil
}

// belongs checks that a debug file is of the library.
func belongs(lib *library, file *elfinfo.File, accept func(*elfinfo.File) error) error {
	if err := lib.CheckDebug(file); err != nil {
		return err
	}
	if accept == nil {
		return nil
	}
	return accept(file)
}

// byLink looks for the file that .gnu_debuglink names, with the CRC that it
// names: below /usr/lib/debug in the packages of debug symbols, and beside the
// library in its own package.
func (r *recorder) byLink(ctx context.Context, lib *library) (*symbols, error) {
	link, ok, err := lib.DebugLink()
	if err != nil || !ok {
		return nil, r.passOver(lib, err)
	}
	accept := func(f *elfinfo.File) error {
		sum, err := f.CRC32()
		if err == nil && sum != link.CRC32 {
			err = fmt.Errorf("%s: %w: CRC-32 %08x, .gnu_debuglink says %08x", f.Name(), elfinfo.ErrBuildID, sum, link.CRC32)
		}
		return err
	}
	s, err := r.inPackages(ctx, lib, elfinfo.DebugByName, linkPaths(lib.path, link.Name), accept)
	if s != nil || err != nil && !notThisBuild(err) {
		return s, err
	}
	for _, name := range besides(lib.path, link.Name) {
		f, err := openBeneath(r.root, name)
		if err != nil {
			continue // most libraries have none beside them
		}
		if err := belongs(lib, f, accept); err != nil {
			return nil, r.passOver(lib, errors.Join(err, f.Close()))
		}
		s := &symbols{source: elfinfo.DebugByName, file: f, path: name, open: []io.Closer{f}}
		return s, r.addAlternate(ctx, s)
	}
	return nil, nil // another file of that name says nothing: names are not unique
}

// passOver turns the error of a source that may be wrong into a warning.
func (r *recorder) passOver(lib *library, err error) error {
	if err == nil || !notThisBuild(err) {
		return err
	}
	r.opts.Log.Warn("debug symbols that are not of the library", "package", r.pkg.NEVRA.String(), "library", lib.path, "error", err)
	return nil
}

// fromLibrary says whether the library was not stripped.
func (r *recorder) fromLibrary(_ context.Context, lib *library) (*symbols, error) {
	if !lib.HasSection(".symtab") {
		return nil, nil
	}
	return &symbols{source: elfinfo.DebugLibrary}, nil
}

// fromMini unpacks the library's minidebuginfo.
func (r *recorder) fromMini(lib *library) (*symbols, error) {
	packed, err := lib.MiniDebugInfo()
	if err != nil || packed == nil {
		return nil, err
	}
	data, err := unpackMini(packed)
	if err != nil {
		return nil, fmt.Errorf("%s: .gnu_debugdata: %w", lib.path, err)
	}
	f, err := elfinfo.NewFile(lib.path+" (.gnu_debugdata)", bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	if err := lib.CheckDebug(f); err != nil {
		return nil, err
	}
	return &symbols{source: elfinfo.DebugMini, file: f}, nil
}

// unpackMini unpacks at most maxMini bytes.
func unpackMini(packed []byte) ([]byte, error) {
	z, err := rpmfile.Decompress("xz", bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	data, err := io.ReadAll(io.LimitReader(z, maxMini+1))
	if err == nil && len(data) > maxMini {
		err = fmt.Errorf("%w: unpacks to more than %d bytes", elfinfo.ErrFormat, maxMini)
	}
	return data, err
}

// worse says that a record made now would know less than the one that the
// project has, which must not happen because a server is down.
func (r *recorder) worse(id elfinfo.BuildID, now elfinfo.DebugSource) error {
	i := slices.IndexFunc(r.prior, func(l Locked) bool { return l.BuildID == id })
	if i < 0 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(r.req.ProjectDir, RecordsDir, r.prior[i].Record)); err != nil {
		return nil // somebody wants it so
	}
	was := r.prior[i].DebugSource
	if was == "" && r.prior[i].DebugRPMSHA256 != "" {
		was = elfinfo.DebugPackage
	}
	if was.Functions() && !now.Functions() || was.Variables() && !now.Variables() {
		return fmt.Errorf("%w: the record of build-id %s was made with those of %s (%s), now there is %s; "+
			"remove %s to do without", ErrDebugSymbols, id, r.prior[i].DebugLocation, was, now, path.Join(RecordsDir, r.prior[i].Record))
	}
	return nil
}
