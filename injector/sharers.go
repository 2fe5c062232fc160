package injector

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func (t *tracer) stopSharers() error {
	if err := t.seizeSharers(); err != nil {
		return err
	}
	for _, th := range t.threads {
		if th.pid == t.p.pid {
			continue
		}
		if err := t.interrupt(th); err != nil {
			return err
		}
		ok, err := t.wait(time.Now().Add(borrowLimit/4), func() bool { return th.stopped || th.gone })
		if err != nil {
			return err
		}
		if !ok {
			return busyf("process %d, which shares its memory, does not stop", th.pid)
		}
	}
	return nil
}

// seizeSharers attaches to child processes that share the memory (vfork,
// clone with CLONE_VM), and to theirs: they can execute the very bytes that are
// to change.
func (t *tracer) seizeSharers() error {
	const most = 1024
	sharers := []int{t.p.pid}
	for i := 0; i < len(sharers); i++ {
		if i == most {
			return blockedf("more than %d processes share its memory", most)
		}
		found, err := t.sharersOf(sharers[i])
		if err != nil && (i == 0 || !errors.Is(err, ErrGone)) {
			return err
		}
		sharers = append(sharers, found...)
	}
	return nil
}

// sharersOf attaches to the children of one process that share the memory.
func (t *tracer) sharersOf(pid int) ([]int, error) {
	tids, err := t.tasksOf(pid)
	if err != nil {
		return nil, err
	}
	var found []int
	for _, tid := range tids {
		for _, child := range children(t.p.proc, pid, tid) {
			if !sharesMemory(t.p.pid, child) {
				continue
			}
			if err := t.seizeTasks(child); err != nil && !errors.Is(err, ErrGone) {
				return nil, err
			}
			found = append(found, child)
		}
	}
	return found, nil
}

// tasksOf lists the threads of the target, or of a process that shares its memory.
func (t *tracer) tasksOf(pid int) ([]int, error) {
	if pid == t.p.pid {
		return t.files.listTasks()
	}
	return listTasks(t.p.proc, pid)
}

// children lists the child processes that one task has started; none where the
// kernel has no such list (CONFIG_PROC_CHILDREN).
func children(proc string, pid, tid int) []int {
	f, err := openProc(taskPath(proc, pid, tid, "children"), unix.O_RDONLY)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		return nil
	}
	var pids []int
	for _, f := range strings.Fields(string(text)) {
		if n, err := strconv.Atoi(f); err == nil {
			pids = append(pids, n)
		}
	}
	return pids
}

// sharesMemory asks the kernel whether two processes have one address space.
func sharesMemory(a, b int) bool {
	const kcmpVM = 1
	r, _, errno := unix.RawSyscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), kcmpVM, 0, 0, 0)
	return errno == 0 && r == 0
}

// seizeNewSharers attaches to processes that were started since the newest one
// had the given id, and share the memory. It gives the id that is newest now.
// Precondition: all threads are stopped that are attached to, so that only one
// that is not can start another.
func (t *tracer) seizeNewSharers(since int) (int, error) {
	few := max(256, 16*len(t.threads)) // to ask about one id takes less than to read a thread's list of children
	newest := t.files.newestPID()
	switch {
	case newest == since && newest > 0:
		return newest, nil
	case since <= 0 || newest < since || newest-since > few: // not known, or ids began anew, or too many
		return newest, t.seizeSharers()
	}
	for pid := since + 1; pid <= newest; pid++ {
		if t.byID[pid] != nil || !sharesMemory(t.p.pid, pid) {
			continue
		}
		if err := t.seizeTasks(pid); err != nil && !errors.Is(err, ErrGone) {
			return newest, err
		}
	}
	return newest, nil
}
