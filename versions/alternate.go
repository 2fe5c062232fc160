package versions

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions/rpmfile"
)

// addAlternate gives a debug file the supplementary file that it needs. Without
// it nothing is known of types and inlined functions, which the log says.
func (r *recorder) addAlternate(ctx context.Context, s *symbols) error {
	link, needs, err := s.file.AltLink()
	if err != nil || !needs {
		return err
	}
	alt, err := r.findAlternate(ctx, s, link)
	if err != nil {
		return errors.Join(err, s.Close())
	}
	if alt == nil {
		r.opts.Log.Warn("the file that dwz moved debug information to is missing: no prototype or type can be recorded",
			"package", r.pkg.NEVRA.String(), "file", s.file.Name(), "needs", link.Name, "build_id", string(link.BuildID),
			"debug_package", strings.Join(r.req.DebugPackages, ", "))
		return nil
	}
	s.open = append(s.open, alt)
	s.file, err = s.file.WithAlternate(alt)
	return err
}

// findAlternate returns the supplementary file; nil if it is nowhere. It is
// looked for first in the package that has the debug file.
func (r *recorder) findAlternate(ctx context.Context, s *symbols, link elfinfo.AltLink) (*elfinfo.File, error) {
	for i := range r.debug {
		d, err := r.openDebug(ctx, i)
		if err != nil {
			return nil, err
		}
		if f, err := r.alternateIn(ctx, d, s, link); f != nil || err != nil {
			return f, err
		}
	}
	a, err := r.askServers(ctx, link.BuildID, func(f *elfinfo.File) error {
		_, err := s.file.WithAlternate(f)
		return err
	})
	if a == nil || err != nil {
		return nil, err
	}
	return a.file, nil
}

// alternateIn looks for the supplementary file in one package.
func (r *recorder) alternateIn(ctx context.Context, d *debugPackage, s *symbols, link elfinfo.AltLink) (*elfinfo.File, error) {
	for _, name := range slices.Compact(alternatePaths(path.Dir(s.path), link)) {
		alt, err := r.inPackage(ctx, d, name)
		if errors.Is(err, rpmfile.ErrNotFound) {
			continue
		}
		if err == nil {
			if _, err = s.file.WithAlternate(alt.file); err == nil {
				return alt.file, nil
			}
			err = errors.Join(err, alt.Close())
		}
		if !notThisBuild(err) {
			return nil, err
		}
		r.opts.Log.Warn("not the file that dwz moved debug information to", "package", d.pkg.NEVRA.String(), "file", name, "error", err)
	}
	return nil, nil
}
