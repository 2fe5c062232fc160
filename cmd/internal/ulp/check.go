package ulp

import (
	"context"
	"slices"

	"github.com/lpbuild/lpbuild/injector"
	"github.com/lpbuild/lpbuild/livepatch"
)

// checkFailed is what check answers when it can't tell.
const checkFailed = 255

// check says whether a container is in force in every process that it is for:
// 1 if so, 0 if not.
func check(ctx context.Context, c *command) int {
	container, err := livepatch.OpenContainer(c.arg())
	if err != nil {
		c.warn("%s", err)
		c.warn("error parsing the metadata file (%s).", c.arg())
		return checkFailed
	}
	s, err := c.selection()
	if err != nil {
		c.warn("error gathering target process information: %s", describe(err))
		return checkFailed
	}
	seen, failure := c.inspect(ctx, c.injector(), s)
	if failure != none {
		return checkFailed
	}
	applied, concerned := true, 0
	for _, p := range seen {
		maps := slices.ContainsFunc(p.Libraries, func(l injector.Library) bool { return l.BuildID == container.BuildID() })
		if failure := codeOf(p.Result); failure != none && (maps || s.named) {
			c.warn("error checking live patch sanity: %s", failure)
			return checkFailed
		}
		if !maps {
			continue
		}
		concerned++
		applied = applied && slices.ContainsFunc(p.Patches, func(patch injector.Patch) bool { return patch.ID == container.ID })
	}
	switch {
	case concerned == 0:
		c.warn("error checking live patch sanity: %s", eNoTargetLib)
		return checkFailed
	case applied:
		c.warn("patch already applied")
		return 1
	}
	c.warn("patch not yet applied")
	return 0
}
