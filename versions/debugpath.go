package versions

import (
	"path"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// debugRoot is the folder of debug files; GDB's manual ("Debugging Information
// in Separate Files") has the rules.
const debugRoot = "/usr/lib/debug"

// debugPath is where a distribution keeps the debug file of a build-id.
func debugPath(id elfinfo.BuildID) string {
	s := string(id)
	if len(s) < 3 {
		return debugRoot + "/.build-id/" + s
	}
	return debugRoot + "/.build-id/" + s[:2] + "/" + s[2:] + ".debug"
}

// linkPaths are where the file name of a .gnu_debuglink may be for a library:
// under its folder below debugRoot, as it was before or after /lib64 became a
// link to /usr/lib64.
func linkPaths(library, name string) []string {
	var paths []string
	for _, dir := range mergedPaths(path.Dir(library)) {
		paths = append(paths, debugRoot+dir+"/"+name)
	}
	return paths
}

// nameDebugFiles notes where packages of debug symbols may have those of the
// libraries, so that each package is unpacked once for all of them.
func (r *recorder) nameDebugFiles(libraries []string) error {
	for _, name := range libraries {
		f, err := openBeneath(r.root, name)
		if err != nil {
			return err
		}
		r.debugNames = append(r.debugNames, debugPath(f.BuildID()))
		if link, ok, err := f.DebugLink(); err == nil && ok {
			r.debugNames = append(r.debugNames, linkPaths(name, link.Name)...)
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// besides are the places in the folder of the library.
func besides(library, name string) []string {
	dir := path.Dir(library)
	return []string{path.Join(dir, name), path.Join(dir, ".debug", name)}
}

// mergedPaths are the names that a path of a library may have: itself, and what
// it is with or without /usr. Distributions moved /lib and /lib64 below /usr.
func mergedPaths(name string) []string {
	if rest, ok := strings.CutPrefix(name, "/usr"); ok && strings.HasPrefix(rest, "/lib") {
		return []string{name, rest}
	}
	if strings.HasPrefix(name, "/lib") {
		return []string{name, "/usr" + name}
	}
	return []string{name}
}

// alternatePaths are where the supplementary file may be that a debug file in
// the folder dir links to. Both are below the root of a package.
func alternatePaths(dir string, link elfinfo.AltLink) []string {
	byID := debugPath(link.BuildID)
	if path.IsAbs(link.Name) {
		return []string{byID, path.Clean(link.Name)}
	}
	return []string{byID, path.Join("/", dir, link.Name)}
}
