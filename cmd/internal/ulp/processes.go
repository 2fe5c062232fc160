package ulp

import (
	"context"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/lpbuild/lpbuild/injector"
	"github.com/lpbuild/lpbuild/injector/fnmatch"
)

// A selection is what -p and -u say: the processes to look at.
type selection struct {
	injector.Selection
	// named: -p or -u was given, so that every process that it means gets an
	// answer. nobody: there is no such process.
	named, nobody bool
	// pid is the one process that -p names by its id, 0 if it does not.
	pid int
}

// selection finds the processes that -p and -u mean. A pattern is one of
// fnmatch(3) for the name of the process, or of its user.
func (c *command) selection() (selection, error) {
	s := selection{named: c.process != "" || c.user != ""}
	if pid, err := strconv.Atoi(c.process); err == nil && pid > 0 {
		s.pid, s.PIDs = pid, []int{pid}
		return s, nil
	}
	if !s.named {
		return s, nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return s, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join("/proc", e.Name())
		if _, err := os.Readlink(filepath.Join(dir, "exe")); err != nil {
			continue // a kernel thread, or one that has ended
		}
		if c.meansName(dir) && c.meansUser(dir) {
			s.PIDs = append(s.PIDs, pid)
		}
	}
	s.nobody = len(s.PIDs) == 0
	return s, nil
}

func (c *command) meansName(dir string) bool {
	if c.process == "" {
		return true
	}
	name, err := os.ReadFile(filepath.Join(dir, "comm"))
	if err != nil {
		return false
	}
	ok, err := fnmatch.Match(c.process, strings.TrimSuffix(string(name), "\n"))
	return ok && err == nil
}

// meansUser holds the effective user of a process against -u.
func (c *command) meansUser(dir string) bool {
	if c.user == "" {
		return true
	}
	st, err := os.Stat(dir)
	if err != nil {
		return false
	}
	uid := strconv.FormatUint(uint64(st.Sys().(*syscall.Stat_t).Uid), 10)
	if c.user == uid {
		return true
	}
	u, err := user.LookupId(uid)
	if err != nil {
		return false
	}
	ok, err := fnmatch.Match(c.user, u.Username)
	return ok && err == nil
}

// injector makes the engine as the options want it.
func (c *command) injector() *injector.Injector {
	opts := injector.Options{SuspendSeccomp: c.noSeccomp}
	if c.checkStack {
		opts.Consistency = injector.Stack
		opts.Wait = min(injector.DefaultWait, c.timeout)
	}
	if c.noThreads {
		opts.Jobs = 1
	}
	return injector.New(opts)
}

// inspect looks at the processes of a selection, and warns of those that it can't
// look at. The process that -p names must be there.
func (c *command) inspect(ctx context.Context, in *injector.Injector, s selection) ([]injector.Inspection, code) {
	if s.nobody {
		return nil, none
	}
	seen, err := in.Inspect(ctx, s.Selection)
	if err != nil {
		c.warn("error gathering target process information: %s", describe(err))
		return nil, eUnknown
	}
	var out []injector.Inspection
	hidden := 0
	for _, p := range seen {
		failure := codeOf(p.Result)
		switch {
		case s.pid != 0 && (failure == eSysGone || failure == eSysPerm):
			c.warn("error gathering target process information: %s", failure)
			return nil, failure
		case failure == eSysGone:
		case failure == eSysPerm:
			hidden++
		case failure != none && !s.named && len(p.Libraries) == 0:
			c.warn("process %d (%s) could not be looked at: %s", p.PID, p.Command, p.Reason)
		default:
			out = append(out, p)
		}
	}
	if hidden > 0 {
		c.debug("%d processes may not be looked at by this user", hidden)
		if len(out) == 0 {
			c.warn("error gathering target process information: %s", eSysPerm)
			return nil, eSysPerm
		}
	}
	return out, none
}
