package rpmhook

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

// Helper is where the runtime package installs rpm-helper. SUSE's libpulp tools
// own the same path, so the two packages conflict.
const Helper = "/usr/lib/user-space-livepatch/rpm-helper"

// SetRoot is the folder of the live-patch sets: that of package NAME is
// SetRoot/NAME.
const SetRoot = "/usr/lib64"

// ManifestName is the file name of the manifest in the folder of a set.
const ManifestName = "set.json"

// ErrUsage says that the arguments are not those of a scriptlet.
var ErrUsage = errors.New("usage")

// A Script is the scriptlet that calls: the first argument of rpm-helper.
type Script string

// The scriptlets that call the helper: RPM's %post, %posttrans, %preun and %postun.
const (
	Post      Script = "post"
	PostTrans Script = "posttrans"
	PreUn     Script = "preun"
	PostUn    Script = "postun"
)

// Scripts are all scriptlets of a live-patch package, in RPM's order.
var Scripts = []Script{Post, PostTrans, PreUn, PostUn}

// Body is the text of the scriptlet for the live-patch package with that name:
// a program for any POSIX /bin/sh which always succeeds, also where the runtime
// package is missing. It ends without a newline and holds nothing that a spec
// file would expand. It is the one source for the spec file and for packages
// written directly.
//
// Precondition: ValidName(name).
func (s Script) Body(name string) string {
	return fmt.Sprintf("if [ -x %s ]; then\n  %s %s %s \"${1:-}\" || :\nfi", Helper, Helper, s, name)
}

var nameShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,254}$`)

// ValidName reports whether the name is one that RPM accepts for a package and
// that is safe as a folder name and in a shell script.
func ValidName(name string) bool { return nameShape.MatchString(name) }

// An Event is one call of the helper.
type Event struct {
	Script Script
	// Name is the live-patch package, and the set that its containers belong to.
	Name string
	// Count is how many versions of the package will be installed when the
	// transaction is done, -1 if the caller did not say.
	Count int
}

// ParseEvent reads the arguments SCRIPT NAME [COUNT] of rpm-helper. Only %preun
// and %postun need COUNT: rpm and zypper differ in what they give %posttrans.
// The error wraps ErrUsage.
func ParseEvent(args []string) (Event, error) {
	if len(args) < 2 || len(args) > 3 {
		return Event{}, fmt.Errorf("%w: want SCRIPT NAME [COUNT], got %d arguments", ErrUsage, len(args))
	}
	e := Event{Script: Script(args[0]), Name: args[1], Count: -1}
	undoes := e.Script == PreUn || e.Script == PostUn
	if !undoes && e.Script != Post && e.Script != PostTrans {
		return Event{}, fmt.Errorf("%w: %q is not one of post, posttrans, preun, postun", ErrUsage, args[0])
	}
	if !ValidName(e.Name) {
		return Event{}, fmt.Errorf("%w: %q is not the name of a package", ErrUsage, args[1])
	}
	if len(args) == 3 && args[2] != "" {
		count, err := strconv.ParseUint(args[2], 10, 16)
		if err != nil {
			return Event{}, fmt.Errorf("%w: %q is not a count of packages", ErrUsage, args[2])
		}
		e.Count = int(count)
	}
	if undoes && e.Count < 0 {
		return Event{}, fmt.Errorf("%w: %s needs COUNT, or an upgrade could not be told from an erase", ErrUsage, e.Script)
	}
	return e, nil
}

// action is what an event asks for.
type action int

const (
	nothing action = iota
	replace
	revert
)

func (e Event) action() action {
	switch {
	case e.Script == Post, e.Script == PostTrans:
		return replace
	case e.Count == 0:
		return revert
	}
	return nothing
}
