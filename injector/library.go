package injector

import (
	"context"
	"path"
	"slices"

	"github.com/lpbuild/lpbuild/livepatch"
)

// RevertLibrary takes every container for one library out of force; library is
// its soname or the base name of its file. NOT-LOADED means that the process
// does not map it.
func (in *Injector) RevertLibrary(ctx context.Context, sel Selection, library string) ([]Result, error) {
	return in.each(ctx, sel, operation{
		kind: opRevert, match: ofLibrary(library), library: library, restore: in.opts.Restore,
	})
}

// ReplaceLibrary puts containers into force instead of all earlier ones for one
// library, in one change. Unlike Replace it leaves a process alone for whose
// builds none of the containers is.
func (in *Injector) ReplaceLibrary(ctx context.Context, sel Selection, library string, set []*livepatch.Container) ([]Result, error) {
	return in.each(ctx, sel, operation{
		kind: opReplace, set: set, match: ofLibrary(library), library: library, restore: in.opts.Restore,
	})
}

// ofLibrary accepts containers whose target library has a name.
func ofLibrary(name string) func(*recordContainer) bool {
	return func(c *recordContainer) bool { return c.Soname == name || path.Base(c.Library) == name }
}

// mapsLibrary says whether the process maps a library.
func (j *job) mapsLibrary(name string) bool {
	return slices.ContainsFunc(j.objs, func(o *object) bool { return o.soname == name || path.Base(o.path) == name })
}
