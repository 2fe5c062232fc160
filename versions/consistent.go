package versions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// consistent wants one content for each build-id: processes are recognised by
// it, so a patch made for one file would go into the other. Nothing is guessed,
// the error names both and wraps ErrBuildIDTwice.
func (d *downloader) consistent(builds []build) error {
	type content struct{ sha256, name string }
	known := make(map[elfinfo.BuildID]content)
	for _, b := range builds {
		record := b.record
		if record == nil {
			var err error
			if record, err = readRecord(d.req.ProjectDir, b.Locked); err != nil {
				continue // what is left of it is the lock's row, which has no digest
			}
		}
		c := content{record.LibrarySHA256, fmt.Sprintf("%s of %s (%s, package %.12s)", b.Library, b.NEVRA, b.Repository, b.RPMSHA256)}
		other, twice := known[b.BuildID]
		if twice && other.sha256 != c.sha256 {
			names := []string{other.name, c.name}
			slices.Sort(names)
			return fmt.Errorf("build-id %s: %w: %s", b.BuildID, ErrBuildIDTwice, strings.Join(names, " and "))
		}
		known[b.BuildID] = c
	}
	return nil
}

// remark tells the log what is odd about the builds and no error: packages with
// one name and different builds, and builds that have just left the repositories.
func (d *downloader) remark(builds []build) {
	type place struct{ nevra, library string }
	first := make(map[place]Locked)
	for _, b := range builds {
		at := place{b.NEVRA, b.Library}
		other, twice := first[at]
		if !twice {
			first[at] = b.Locked
		} else if other.BuildID != b.BuildID {
			packages := []string{fmt.Sprintf("%.12s (%s)", other.RPMSHA256, other.Repository), fmt.Sprintf("%.12s (%s)", b.RPMSHA256, b.Repository)}
			slices.Sort(packages)
			d.opts.Log.Warn("two packages of one name have different builds; both are kept",
				"package", b.NEVRA, "library", b.Library, "sha256", strings.Join(packages, " and "))
		}
		if b.Removed && d.lockedUntilNow(b.Locked) {
			d.opts.Log.Warn("left the repositories; it has shipped and stays in "+LockFile, "package", b.NEVRA, "repository", b.Repository)
		}
	}
}

// lockedUntilNow says that a repository had the package in the last run.
func (d *downloader) lockedUntilNow(l Locked) bool {
	return d.lock != nil && slices.ContainsFunc(d.lock.Builds, func(p Locked) bool {
		return p.RPMSHA256 == l.RPMSHA256 && !p.Removed
	})
}
