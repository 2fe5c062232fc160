package ulp

import (
	"context"
	"errors"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch/packer"
)

// livepatchable says whether a library has the section that lists the NOPs of
// -fpatchable-function-entry.
func livepatchable(_ context.Context, c *command) int {
	f, err := elfinfo.Open(c.arg())
	if err != nil {
		c.warn("Unable to open file '%s': %s.", c.arg(), describe(err))
		return 1
	}
	defer f.Close()
	if !f.HasSection(packer.PatchableEntries) {
		c.warn("file '%s' is not livepatchable: Missing %s section.", c.arg(), packer.PatchableEntries)
		return 1
	}
	c.warn("file '%s' is livepatchable.", c.arg())
	return 0
}

// extract writes the symbols of a library as JSON.
func extract(_ context.Context, c *command) int {
	list, err := packer.Extract(c.arg(), c.debugFile)
	if err != nil {
		c.warn("%s", err)
		return 1
	}
	switch c.output {
	case "-":
		c.print("%s", list.Encode())
		return 0
	case "":
		c.output = "out.json"
	}
	if err := list.WriteFile(c.output); err != nil {
		c.warn("unable to open output file: %s", err)
		return 1
	}
	return 0
}

// post merges the NOPs at a library's entries.
func post(_ context.Context, c *command) int {
	m, err := packer.MergeNops(c.arg())
	switch {
	case errors.Is(err, packer.ErrNoEntries):
		c.warn("Unable to find section %s in %s.", packer.PatchableEntries, c.arg())
		return 1
	case err != nil:
		c.warn("%s", err)
		return 1
	case m.Other > 0:
		c.warn("%d of %d entries are not those of -fpatchable-function-entry=16,14 and stay as they are", m.Other, m.Merged+m.Other)
	}
	return 0
}
