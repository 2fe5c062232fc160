package injector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxProcesses bounds a listing of procfs: the kernel's PID_MAX_LIMIT.
const maxProcesses = 4 << 20

// A candidate is a process that a Selection chose.
type candidate struct {
	pid int
	// start tells it from a later process with the same pid; 0 if the pid was
	// named by the caller, who can mean only the one that has it now.
	start uint64
}

// candidates lists the processes that sel chooses by what can be known without
// looking at their memory, by ascending pid, without this one. Ids in sel.PIDs
// need not exist. Kernel threads are left out where they are not named.
func (in *Injector) candidates(ctx context.Context, sel Selection) ([]candidate, error) {
	if err := sel.check(); err != nil {
		return nil, err
	}
	chosen := make([]candidate, 0, len(sel.PIDs))
	for _, pid := range sel.PIDs {
		// One that has ended stays: that is what is to be said of it.
		if fits, err := sel.owner(in.opts.Proc, pid); fits || err != nil {
			chosen = append(chosen, candidate{pid: pid})
		}
	}
	if len(sel.Globs) > 0 || len(sel.PIDs) == 0 {
		running, err := listProcesses(ctx, in.opts.Proc, sel)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, running...)
	}
	// Stable: a pid that the caller named stays as it was named.
	slices.SortStableFunc(chosen, func(a, b candidate) int { return a.pid - b.pid })
	chosen = slices.CompactFunc(chosen, func(a, b candidate) bool { return a.pid == b.pid })
	self := os.Getpid()
	return slices.DeleteFunc(chosen, func(c candidate) bool { return c.pid == self }), nil
}

// listProcesses lists what runs and is chosen by name, user and cgroup.
func listProcesses(ctx context.Context, proc string, sel Selection) ([]candidate, error) {
	f, err := openProc(proc, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(maxProcesses)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var found []candidate
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		st, err := readStat(proc, pid)
		if err != nil || st.kernelThread() {
			continue // ended since it was listed, or hidden from this user
		}
		if !sel.name(proc, pid, st.comm) {
			continue
		}
		if fits, err := sel.owner(proc, pid); fits && err == nil {
			found = append(found, candidate{pid: pid, start: st.start})
		}
	}
	return found, nil
}

// executable is the base name of the program that a process runs, "" if that
// may not be known.
func executable(proc string, pid int) string {
	target, err := os.Readlink(filepath.Join(proc, strconv.Itoa(pid), "exe"))
	if err != nil {
		return ""
	}
	return path.Base(strings.TrimSuffix(target, " (deleted)"))
}

// matches says whether a pattern matches one of the names. The patterns are
// known to be well-formed.
func matches(globs []string, names ...string) bool {
	return slices.ContainsFunc(globs, func(g string) bool {
		return slices.ContainsFunc(names, func(n string) bool {
			ok, _ := path.Match(g, n)
			return ok && n != ""
		})
	})
}

// open takes hold of a candidate: ErrGone if its pid belongs to another
// process by now. The caller closes it.
func (c candidate) open(proc string) (*process, error) {
	p, err := openProcess(proc, c.pid)
	if err != nil {
		return nil, err
	}
	if c.start != 0 && p.start != c.start {
		p.close()
		return nil, fmt.Errorf("pid %d: another process: %w", c.pid, ErrGone)
	}
	// A child of vfork: its memory belongs to the threads of its parent, with
	// which it is patched.
	if sharesMemory(p.pid, p.parent) {
		p.close()
		return nil, fmt.Errorf("pid %d: shares the memory of process %d: %w", p.pid, p.parent, errNotProcess)
	}
	return p, nil
}
