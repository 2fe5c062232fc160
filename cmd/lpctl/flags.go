package main

import (
	"errors"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/injector"
)

// Bounds of what an operator may ask for. Threads that are held for longer than
// that are noticed by whoever waits for the process.
const (
	minTimeout, maxTimeout = time.Millisecond, 10 * time.Second
	maxWait                = time.Hour
)

// everywhere are the options that every command takes.
func everywhere() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringSliceFlag{Name: "process", Aliases: []string{"p"},
			Usage: "select processes by `PID|GLOB`: by id, or by a pattern for the name of the process or of its program"},
		&urfave.StringSliceFlag{Name: "user", Aliases: []string{"u"},
			Usage: "select processes whose effective user is `NAME|UID`"},
		&urfave.StringSliceFlag{Name: "library",
			Usage: "select processes that map the library `SONAME|PATH`, which may be a pattern"},
		&urfave.StringSliceFlag{Name: "cgroup",
			Usage: "select processes in the control group `PATH|UNIT` or below it; a unit of systemd is one, and may be a pattern"},
		&urfave.DurationFlag{Name: "timeout", Value: injector.DefaultTimeout,
			Usage: "hold threads for at most `TIME` (1ms to 10s), then let them go and answer BUSY"},
		&urfave.StringFlag{Name: "consistency", Value: injector.Immediate.String(),
			Usage: "`KIND` is immediate: calls under way finish in the code in which they began; " +
				"or stack: a process changes only while none of its threads is anywhere in code that changes"},
		&urfave.DurationFlag{Name: "wait", Value: injector.DefaultWait,
			Usage: "with --consistency stack: try for `TIME` while code that changes is in use, then answer BUSY"},
		&urfave.IntFlag{Name: "jobs", Aliases: []string{"j"},
			Usage: "work on `N` processes at once; 0: one per processor"},
		&urfave.BoolFlag{Name: "json", Usage: "print results as JSON, one object per line"},
		&urfave.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "log what is done to stderr"},
	}
}

// dryRun is an option of the commands that change something.
func dryRun() urfave.Flag {
	return &urfave.BoolFlag{Name: "dry-run", Aliases: []string{"n"},
		Usage: "say what would happen, as far as that can be known without stopping anything, and change nothing"}
}

// restore is an option of the commands that take something out of force.
func restore() urfave.Flag {
	return &urfave.BoolFlag{Name: "restore",
		Usage: "put the shipped bytes back as well, for which every thread is stopped; else the jumps stay and lead to the old code"}
}

// selection reads which processes are meant.
func selection(c *urfave.Context) (injector.Selection, error) {
	sel := injector.Selection{Libraries: c.StringSlice("library")}
	for _, p := range c.StringSlice("process") {
		if pid, err := strconv.Atoi(p); err == nil {
			if pid <= 0 {
				return sel, cli.Usagef("--process %s: no process id", p)
			}
			sel.PIDs = append(sel.PIDs, pid)
			continue
		}
		sel.Globs = append(sel.Globs, p)
	}
	for _, name := range c.StringSlice("user") {
		uid, err := userID(name)
		if err != nil {
			return sel, err
		}
		sel.UIDs = append(sel.UIDs, uid)
	}
	for _, group := range c.StringSlice("cgroup") {
		sel.Cgroups = append(sel.Cgroups, cgroup(group))
	}
	units := slices.DeleteFunc(slices.Clone(sel.Cgroups), path.IsAbs)
	for name, values := range map[string][]string{"process": sel.Globs, "library": sel.Libraries, "cgroup": units} {
		for _, v := range values {
			if _, err := path.Match(v, ""); v == "" || err != nil {
				return sel, cli.Usagef("--%s %q: no pattern; see glob(7)", name, v)
			}
		}
	}
	return sel, nil
}

// userID finds the id of a user as /etc/passwd gives it: the program is static,
// and no module of nsswitch.conf(5) can be loaded into it.
func userID(name string) (int, error) {
	if uid, err := strconv.ParseUint(name, 10, 32); err == nil {
		return int(uid), nil
	}
	u, err := user.Lookup(name)
	if errors.As(err, new(user.UnknownUserError)) {
		return 0, cli.Usagef("--user %s: not in /etc/passwd; for users of a directory give the id, as id -u prints it", name)
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(u.Uid)
}

// cgroup takes a path below the mount point of the tree for one within it.
func cgroup(group string) string {
	for _, mount := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup"} {
		if rest, ok := strings.CutPrefix(group, mount); ok && (rest == "" || rest[0] == '/') {
			return path.Clean("/" + rest)
		}
	}
	if strings.Contains(group, "/") {
		return path.Clean("/" + group)
	}
	return group
}

// options reads how an operation is carried out.
func options(c *urfave.Context) (injector.Options, error) {
	opts := injector.Options{
		Timeout: c.Duration("timeout"), Wait: c.Duration("wait"), Jobs: c.Int("jobs"),
		DryRun: c.Bool("dry-run"), Restore: c.Bool("restore"),
	}
	var err error
	if opts.Consistency, err = injector.ParseConsistency(c.String("consistency")); err != nil {
		return opts, cli.Usagef("--%v", err)
	}
	switch {
	case opts.Timeout < minTimeout || opts.Timeout > maxTimeout:
		return opts, cli.Usagef("--timeout %v: want %v to %v", opts.Timeout, minTimeout, maxTimeout)
	case opts.Wait < 0 || opts.Wait > maxWait:
		return opts, cli.Usagef("--wait %v: want 0 to %v", opts.Wait, maxWait)
	case opts.Jobs < 0:
		return opts, cli.Usagef("--jobs %d: want 0 or more", opts.Jobs)
	}
	if opts.Wait == 0 {
		opts.Wait = 1 // for the injector 0 means its default
	}
	return opts, nil
}
