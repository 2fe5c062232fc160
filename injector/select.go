package injector

import (
	"bytes"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Selection says which processes an operation is for; the zero value means all.
//
// There are four kinds: processes (PIDs and Globs), users, libraries and
// cgroups. A process is chosen if it fits one value of every kind that has any.
type Selection struct {
	// PIDs are process ids. A process chosen by its id gets a result even if the
	// operation does not concern it or it does not exist.
	PIDs []int
	// Globs are patterns (path.Match) for a process's name: its comm, or the
	// base name of its executable.
	Globs []string
	// UIDs are effective user ids, in the user namespace of this program.
	UIDs []int
	// Libraries are patterns (path.Match: a "*" matches no "/") for a file that
	// the process maps: one with a "/" is held against the path that
	// /proc/PID/maps shows, others against its base name and its DT_SONAME.
	Libraries []string
	// Cgroups are control groups, in the cgroup v2 tree and in the one that systemd
	// keeps beside cgroup v1: one that starts with "/" is a path and means what is
	// below it too; others are patterns (path.Match) for one component of a path,
	// as the name of a systemd unit is.
	Cgroups []string
	// All asks for a result for every process that is chosen; else those that the
	// operation does not concern get none, unless chosen by their ids.
	All bool
}

// check finds patterns that are malformed; the error wraps path.ErrBadPattern.
func (sel Selection) check() error {
	units := slices.DeleteFunc(slices.Clone(sel.Cgroups), path.IsAbs)
	for _, g := range slices.Concat(sel.Globs, sel.Libraries, units) {
		if _, err := path.Match(g, ""); err != nil {
			return fmt.Errorf("pattern %q: %w", g, err)
		}
	}
	return nil
}

// name says whether a process has a name that was asked for.
func (sel Selection) name(proc string, pid int, comm string) bool {
	return len(sel.Globs) == 0 || matches(sel.Globs, comm) || matches(sel.Globs, executable(proc, pid))
}

// owner says whether a process has a user and a cgroup that were asked for. An
// error means that it could not be told.
func (sel Selection) owner(proc string, pid int) (bool, error) {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	if len(sel.UIDs) > 0 {
		// The folder's own owner is root where a process can't be dumped.
		st, err := readStatusFile(filepath.Join(dir, "status"), pid)
		if err != nil || !slices.Contains(sel.UIDs, st.UID) {
			return false, err
		}
	}
	if len(sel.Cgroups) > 0 {
		b, err := readProcFile(filepath.Join(dir, "cgroup"))
		if err != nil || !slices.ContainsFunc(parseCgroups(b), sel.cgroup) {
			return false, err
		}
	}
	return true, nil
}

// parseCgroups reads the paths of a cgroup file (cgroups(7)) that say where
// somebody has put the process: in the v2 tree and, as long as systemd keeps one
// of its own, in that.
func parseCgroups(b []byte) []string {
	var paths []string
	for line := range bytes.Lines(b) {
		fields := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		if len(fields) == 3 && (fields[0] == "0" && fields[1] == "" || fields[1] == "name=systemd") {
			paths = append(paths, strings.TrimSuffix(fields[2], " (deleted)"))
		}
	}
	return paths
}

// cgroup says whether the control group at a path is one that was asked for.
func (sel Selection) cgroup(at string) bool {
	return slices.ContainsFunc(sel.Cgroups, func(want string) bool {
		if strings.HasPrefix(want, "/") {
			want = path.Clean(want)
			return at == want || strings.HasPrefix(at, strings.TrimSuffix(want, "/")+"/")
		}
		return slices.ContainsFunc(strings.Split(at, "/"), func(component string) bool {
			return matches([]string{want}, component)
		})
	})
}

// library says whether one of the libraries asked for is mapped: as an object
// that is loaded, or as whatever else, so that programs of another machine's
// kind are found as well.
func (sel Selection) library(maps []mapping, objs []*object) bool {
	if len(sel.Libraries) == 0 {
		return true
	}
	last := ""
	for _, m := range maps {
		if m.path == last || !m.file() {
			continue
		}
		last = m.path
		if sel.libraryName(m.path) {
			return true
		}
	}
	return slices.ContainsFunc(objs, func(o *object) bool { return o.soname != "" && sel.libraryName(o.soname) })
}

// libraryName holds a path or a soname against what was asked for.
func (sel Selection) libraryName(name string) bool {
	return slices.ContainsFunc(sel.Libraries, func(want string) bool {
		if strings.Contains(want, "/") {
			return matches([]string{want}, name)
		}
		return matches([]string{want}, path.Base(name))
	})
}
