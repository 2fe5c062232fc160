package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// libcSoname is the library whose symbol versions say how new a C library has
// to be.
const libcSoname = "libc.so.6"

// A libcChoice are the C libraries that the test programs of other libraries
// can run with: this machine's, and those among the project's own builds.
type libcChoice struct {
	dir, loader string           // this machine's
	has         map[string]bool  // its symbol versions
	shipped     []*elfinfo.Build // the newest first
	store       libraries
}

func newLibcChoice(records []*elfinfo.Build, store libraries) (*libcChoice, error) {
	c := &libcChoice{store: store}
	if err := c.readHost(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err // a machine without glibc can test builds of glibc
	}
	for _, b := range records {
		if b.Soname == libcSoname && cannotRun(b) == "" {
			c.shipped = append(c.shipped, b)
		}
	}
	slices.SortStableFunc(c.shipped, func(x, y *elfinfo.Build) int {
		return cmp.Or(y.BuildTime.Compare(x.BuildTime), strings.Compare(x.NEVRA, y.NEVRA))
	})
	return c, nil
}

func (c *libcChoice) readHost() error {
	host, err := filepath.EvalSymlinks(hostLoader)
	if err != nil {
		return err
	}
	libc, err := elfinfo.Open(filepath.Join(filepath.Dir(host), libcSoname))
	if err != nil {
		return err
	}
	defer libc.Close()
	symbols, err := libc.DynamicSymbols()
	if err != nil {
		return err
	}
	c.dir, c.loader, c.has = filepath.Dir(host), host, symbolVersions(symbols)
	return nil
}

// symbolVersions are the versions of definitions.
func symbolVersions(symbols []elfinfo.Symbol) map[string]bool {
	found := map[string]bool{}
	for _, s := range symbols {
		if s.Version != "" && !s.Undefined {
			found[s.Version] = true
		}
	}
	return found
}

// lacks are the symbol versions of libc.so.6 that a build needs and has not, sorted.
func lacks(b *elfinfo.Build, has map[string]bool) []string {
	missing := map[string]bool{}
	for _, s := range b.Imports {
		if s.Library == libcSoname && s.Version != "" && !has[s.Version] {
			missing[s.Version] = true
		}
	}
	return slices.Sorted(maps.Keys(missing))
}

// choose returns the folder of the C library to run a build with, and its
// loader: this machine's if that is new enough, or else the newest of the
// project's own. reason says why there is none.
func (c *libcChoice) choose(b *elfinfo.Build) (dir, loaderPath, reason string, err error) {
	missing := lacks(b, c.has)
	if len(missing) == 0 {
		return c.dir, c.loader, "", nil
	}
	for _, libc := range c.shipped {
		if len(lacks(b, symbolVersions(libc.Symbols))) == 0 {
			dir, err := c.store.LibraryDir(libc)
			return dir, filepath.Join(dir, loader), "", err
		}
	}
	return "", "", fmt.Sprintf("needs %s, which this machine's C library lacks: name the package of a newer one in lpbuild.yaml too, "+
		"beside its %s in libraries:", strings.Join(missing, ", "), libcSoname), nil
}
