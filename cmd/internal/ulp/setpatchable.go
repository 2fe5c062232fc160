package ulp

import (
	"context"
	"strings"
)

// setPatchable forbids live patches in processes, or allows them again.
func setPatchable(ctx context.Context, c *command) int {
	var allow bool
	switch strings.ToLower(c.arg()) {
	case "enable":
		allow = true
	case "disable":
	default:
		c.warn("Empty argument. Expected: 'enable' or 'disable'")
		return 1
	}
	s, err := c.selection()
	if err != nil {
		c.warn("error gathering target process information: %s", describe(err))
		return 1
	}
	in := c.injector()
	seen, failure := c.inspect(ctx, in, s)
	if failure != none {
		return exitStatus(failure)
	}
	status := 0
	word := map[bool]string{true: "enabled", false: "disabled"}[allow]
	for _, p := range seen {
		if err := in.SetPatchable(ctx, p.PID, p.StartTime, allow); err != nil {
			c.warn("Unable to change status of process %d: %s", p.PID, err)
			status = 1
			continue
		}
		c.warn("Process %s (pid: %d): livepatching is now %s.", p.Command, p.PID, word)
	}
	return status
}
