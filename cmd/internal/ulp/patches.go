package ulp

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/lpbuild/lpbuild/injector"
)

// patches lists processes with the libraries that were built for live patching
// or have a live patch in force, and the live patches, newest first.
func patches(ctx context.Context, c *command) int {
	s, err := c.selection()
	if err != nil {
		c.warn("error gathering target process information: %s", describe(err))
		return 1
	}
	seen, failure := c.inspect(ctx, c.injector(), s)
	for _, p := range seen {
		c.printProcess(p, s.named)
	}
	if failure != none {
		return 1
	}
	return 0
}

// printProcess prints one process; one that was not named only if there is
// something to say.
func (c *command) printProcess(p injector.Inspection, named bool) {
	libraries := slices.DeleteFunc(slices.Clone(p.Libraries), func(l injector.Library) bool {
		patched := len(patchesOf(p, l)) > 0
		return !patched && (c.onlyPatched || !l.Padded)
	})
	failure := codeOf(p.Result)
	if len(libraries) == 0 && (!named || c.onlyPatched) && failure == none {
		return
	}
	c.print("PID: %d, name: %s\n", p.PID, p.Command)
	status, color := "enabled", green
	switch {
	case failure != none:
		status, color = "disabled (internal error: "+p.Reason+")", red
	case p.Disabled != "":
		status, color = "disabled by user", yellow
	}
	c.print("  Livepatching status: %s\n", c.paint(color, status))
	c.print("  Livepatchable libraries:\n")
	for _, l := range libraries {
		c.print("    in %s", l.Path)
		if c.buildID {
			c.print(" (%s)", l.BuildID)
		}
		c.print(":\n")
		for _, patch := range slices.Backward(patchesOf(p, l)) {
			c.print("      livepatch: %s loaded on %s\n", patch.Name, patch.Time.Local().Format(time.ANSIC))
			if len(patch.References) > 0 {
				c.print("        bug labels: %s\n", strings.Join(patch.References, " "))
			}
		}
	}
	c.print("\n")
}

// patchesOf are the live patches of one library, oldest first.
func patchesOf(p injector.Inspection, l injector.Library) []injector.Patch {
	var out []injector.Patch
	for _, patch := range p.Patches {
		if patch.BuildID == l.BuildID {
			out = append(out, patch)
		}
	}
	return out
}
