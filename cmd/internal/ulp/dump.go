package ulp

import (
	"context"
	"encoding/hex"
	"path/filepath"

	"github.com/lpbuild/lpbuild/livepatch"
)

// dump prints the metadata of a container.
func dump(_ context.Context, c *command) int {
	container, err := livepatch.OpenContainer(c.arg())
	if err != nil {
		c.warn("%s", err)
		c.warn("Unable to extract metadata file from %s", c.arg())
		return 1
	}
	m := container.Apply
	if c.revert {
		if m = container.Revert; m == nil {
			c.warn("Unable to extract metadata file from %s", c.arg())
			return 1
		}
	}
	if c.buildID {
		c.print("%x\n", m.BuildID)
		return 0
	}
	name := c.arg()
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	if abs, err := filepath.Abs(name); err == nil {
		name = abs
	}
	c.printMetadata(m, filepath.Join(c.root, name))
	if container.Comments != "" {
		c.print("* comments: \n%s\n", container.Comments)
	}
	return 0
}

// shownPatchID is how many bytes of a patch id libpulp prints: the length of a
// build id.
const shownPatchID = 20

func (c *command) printMetadata(m *livepatch.Metadata, name string) {
	c.print("patch id: %s\n", hex.EncodeToString(m.PatchID[:shownPatchID]))
	c.print("so filename: %s\n", name)
	c.print("\n* build id: %x\n* name: %s\n* units: %d\n", m.BuildID, m.Target, len(m.Units))
	for _, u := range m.Units {
		c.print("\n** old_fname: %s\n** new_fname: %s\n** old_faddr: %#x\n", u.Old, u.New, u.Address)
	}
	c.print("\nstatic references: %d\n", len(m.References))
	for _, r := range m.References {
		tls := "no"
		if r.TLS {
			tls = "yes"
		}
		c.print("*** ref_name: %s\n*** target_offset: %x\n*** patch_offset: %x\n*** tls variable: %s\n\n",
			r.Reference, r.TargetOffset, r.PatchOffset, tls)
	}
}
