package injector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// DefaultState is the folder where SetPatchable keeps what it is told, by default.
const DefaultState = "/run/lpbuild"

// ErrDisabled means that a user or an administrator has forbidden live patches in the
// process, by SetPatchable or by a variable of its environment.
var ErrDisabled = errors.New("live patches are disabled by user")

// disabled is a blocked error that wraps ErrDisabled.
type disabled struct{ blocked }

func (d disabled) Unwrap() []error { return []error{d.blocked, ErrDisabled} }

func disabledf(format string, args ...any) error {
	return disabled{blocked{reason: fmt.Sprintf(format, args...)}}
}

// The folders of Options.State. A process is a file PID-STARTTIME in one of
// them, or in none.
const (
	stateDisabled = "disabled"
	stateEnabled  = "enabled"
)

// SetPatchable forbids live patches in a process that runs, or allows them
// again, even if its environment forbids them. What is in force stays, and may
// be reverted. It is known by pid and start time (Result.StartTime): it holds
// until the process ends, also after an exec, and not for its children.
//
// Every Injector with the same Options.State honours it. The folder must belong
// to this user and be writable by nobody else; entries of processes that have
// ended are removed.
func (in *Injector) SetPatchable(_ context.Context, pid int, start uint64, allow bool) error {
	st, err := readStat(in.opts.Proc, pid)
	switch {
	case err != nil:
		return err
	case st.start != start:
		return fmt.Errorf("pid %d: another process: %w", pid, ErrGone)
	}
	add, remove := stateDisabled, stateEnabled
	if allow {
		add, remove = remove, add
	}
	for _, name := range []string{add, remove} {
		if err := in.prepareState(name); err != nil {
			return err
		}
	}
	entry := stateEntry(pid, start)
	f, err := os.OpenFile(in.statePath(add, entry), os.O_CREATE|os.O_WRONLY|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Remove(in.statePath(remove, entry)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func stateEntry(pid int, start uint64) string { return fmt.Sprintf("%d-%d", pid, start) }

func (in *Injector) statePath(name, entry string) string {
	return filepath.Join(in.opts.State, name, entry)
}

// prepareState makes one of the folders, or checks and sweeps it.
func (in *Injector) prepareState(name string) error {
	dir := in.statePath(name, "")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, d := range []string{in.opts.State, dir} {
		var st unix.Stat_t
		if err := unix.Lstat(d, &st); err != nil {
			return &fs.PathError{Op: "stat", Path: d, Err: err}
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
			return fmt.Errorf("%s: not a folder that only this user may write", d)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		var (
			pid   int
			start uint64
		)
		if _, err := fmt.Sscanf(e.Name(), "%d-%d", &pid, &start); err != nil {
			continue // not ours
		}
		if st, err := readStat(in.opts.Proc, pid); errors.Is(err, ErrGone) || err == nil && st.start != start {
			_ = os.Remove(filepath.Join(dir, e.Name())) // the next call tries again
		}
	}
	return nil
}

// forbidden is why nothing may be put into force in the process, an error that
// wraps ErrDisabled; nil if it may.
func (j *job) forbidden() error {
	entry := stateEntry(j.p.pid, j.p.start)
	if there, err := exists(j.in.statePath(stateDisabled, entry)); err != nil {
		return err
	} else if there {
		return disabledf("live patches are disabled in it by user; ulp set_patchable enable -p %d allows them", j.p.pid)
	}
	err := j.forbiddenByEnvironment()
	if !errors.Is(err, ErrDisabled) {
		return err
	}
	if there, e := exists(j.in.statePath(stateEnabled, entry)); e != nil || there {
		return e
	}
	return err
}

// exists says whether there is a file; an error means that it can't be told.
func exists(name string) (bool, error) {
	_, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return false, nil
	}
	return err == nil, err
}

// maxEnvironment bounds an environment, in bytes: what execve(2) takes at most,
// and a bit.
const maxEnvironment = 8 << 20

// environments are kept: one is read for each process.
var environments = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, 8<<10)) }}

// environment reads the values of some variables; of one that is there more than
// once the first counts, as for getenv(3). What the process has written over the
// place where it was is not known here.
func (j *job) environment(names ...string) (map[string]string, error) {
	f, err := openProc(j.p.path("environ"), unix.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("pid %d: %w", j.p.pid, procError(err))
	}
	defer f.Close()
	buf := environments.Get().(*bytes.Buffer)
	defer environments.Put(buf)
	buf.Reset()
	if _, err := buf.ReadFrom(io.LimitReader(f, maxEnvironment)); err != nil {
		return nil, fmt.Errorf("pid %d: environment: %w", j.p.pid, procError(err))
	}
	values := make(map[string]string)
	for text := buf.Bytes(); len(text) > 0; {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{0})
		for _, name := range names {
			value, ok := bytes.CutPrefix(line, []byte(name+"="))
			if _, twice := values[name]; ok && !twice {
				values[name] = string(value)
			}
		}
	}
	return values, nil
}

// words are the elements of a list of libpulp's variables.
func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ':' })
}

// isNumber says whether a word is an id rather than a pattern.
func isNumber(word string) bool {
	_, err := strconv.ParseUint(word, 10, 32)
	return err == nil
}
