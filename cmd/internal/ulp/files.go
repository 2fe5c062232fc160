package ulp

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/lpbuild/lpbuild/injector/fnmatch"
	"github.com/lpbuild/lpbuild/livepatch"
	"github.com/lpbuild/lpbuild/livepatch/trust"
)

// A file is one container that trigger was given. failure says why it is none.
type file struct {
	path      string
	container *livepatch.Container
	failure   code
}

// maxDepth bounds how deep --recursive goes.
const maxDepth = 64

// open reads the container of a name, or all that a pattern matches. What is to
// be put into processes by root must be written by nobody else.
func (t *triggering) open(name string) ([]file, code) {
	if name == "" {
		return nil, none
	}
	if !strings.Contains(name, "*") {
		return []file{t.container(name)}, none
	}
	dir, pattern := filepath.Split(name)
	if dir == "" {
		dir = "./"
	}
	if st, err := os.Stat(t.rooted(dir)); err != nil || !st.IsDir() {
		t.warn("Unable to open directory: %s", dir)
		return nil, 1
	}
	names := t.glob(dir, pattern, 0)
	if len(names) == 0 {
		t.warn("%s: %s", name, eWildNoMatch)
	}
	var out []file
	for _, n := range names {
		out = append(out, t.container(n))
	}
	return out, none
}

// glob lists the files of a folder that a pattern matches and that end in .so,
// in the order of their names; with --recursive those of the folders below too.
func (t *triggering) glob(dir, pattern string, depth int) []string {
	entries, err := os.ReadDir(t.rooted(dir))
	if err != nil {
		t.warn("Unable to open directory: %s: %s", dir, describe(err))
		return nil
	}
	var names []string
	for _, e := range entries {
		name := strings.TrimSuffix(dir, "/") + "/" + e.Name()
		st, err := os.Stat(t.rooted(name))
		switch {
		case err != nil:
			t.warn("Error retrieving stats for %s. Skiping...", name)
		case st.IsDir():
			if t.recursive && e.Type()&fs.ModeSymlink == 0 && depth < maxDepth {
				names = append(names, t.glob(name, pattern, depth+1)...)
			}
		case filepath.Ext(name) == ".so":
			if ok, err := fnmatch.Match(pattern, e.Name()); ok && err == nil {
				names = append(names, name)
			}
		}
	}
	return names
}

// rooted is where a file is: at its own place or, if there is none, below the
// prefix of -R.
func (t *triggering) rooted(name string) string {
	if t.root == "" {
		return name
	}
	if _, err := os.Stat(name); err == nil {
		return name
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	return filepath.Join(t.root, abs)
}

// container reads one file.
func (t *triggering) container(name string) file {
	c, err := t.openContainer(t.rooted(name))
	switch {
	case errors.Is(err, trust.ErrUntrusted):
		t.warn("%s", err)
		return file{path: name, failure: eSysPerm}
	case err != nil:
		t.warn("%s", err)
		return file{path: name, failure: eNoMeta}
	}
	return file{path: name, container: c}
}

// openContainer opens what a name leads to. Where root puts it into processes,
// nobody else may have been able to write it.
func (t *triggering) openContainer(name string) (*livepatch.Container, error) {
	trusted := !t.revert && os.Geteuid() == 0
	const maxLinks = 8
	for range maxLinks {
		target, err := os.Readlink(name)
		if err != nil {
			break // no link, or not there
		}
		if trusted {
			if err := trustedLink(name); err != nil {
				return nil, err
			}
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(name), target)
		}
		name = target
	}
	if !trusted {
		return livepatch.OpenContainer(name)
	}
	f, err := trust.File(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return livepatch.ReadContainerFile(f)
}

// trustedLink refuses a link that somebody other than root could have made.
func trustedLink(name string) error {
	st, err := os.Lstat(name)
	if err != nil {
		return err
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); !ok || sys.Uid != 0 {
		return fmt.Errorf("%s: a link of user %d: %w", name, sys.Uid, trust.ErrUntrusted)
	}
	folder, err := trust.Folder(filepath.Dir(name) + "/.")
	if err != nil {
		return err
	}
	return folder.Close()
}
