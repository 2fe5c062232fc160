package ulp

import (
	"context"
	"time"

	"github.com/lpbuild/lpbuild/injector"
)

// messages prints what the ledger of a process says was done to it, in the form
// of the messages that libpulp.so keeps.
func messages(ctx context.Context, c *command) int {
	s, err := c.selection()
	if err != nil {
		c.warn("error gathering target process information: %s", describe(err))
		return 1
	}
	seen, failure := c.inspect(ctx, c.injector(), s)
	if failure != none || len(seen) == 0 {
		return 1
	}
	status := 0
	for _, p := range seen {
		if failure := codeOf(p.Result); failure != none {
			c.warn("message queue reading failed: %s", failure)
			status = 1
			continue
		}
		c.printHistory(p.History)
	}
	return status
}

// printHistory prints what was loaded when. When it was taken out of force is
// written down nowhere, so such a line has no time.
func (c *command) printHistory(history []injector.Loaded) {
	c.print("libpulp loaded...\n")
	for _, l := range history {
		at := l.Time.Local().Format(time.DateTime)
		c.print("[%s]  ulp: Patch path: %s\n", at, l.Name)
		for _, f := range l.Functions {
			c.print("[%s]  ulp: Patching function %#x to %#x\n", at, f.Address, f.New)
		}
		if l.InForce {
			continue
		}
		for _, f := range l.Functions {
			c.print(" ulp: Removing patch from %#x\n", f.Address)
		}
	}
}
