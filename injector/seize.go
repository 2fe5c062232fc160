package injector

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// seize attaches to one task without stopping it. It gives nil for one that is
// not there to be traced: it has ended meanwhile, or is the kernel's own.
func (t *tracer) seize(pid, tid int) (*thread, error) {
	if th := t.byID[tid]; th != nil {
		return th, nil
	}
	if t.worksForKernel(pid, tid) {
		return nil, nil
	}
	switch err := unix.PtraceSeize(tid); {
	case err == nil:
	case errors.Is(err, unix.ESRCH):
		return nil, nil
	case errors.Is(err, unix.EPERM):
		return nil, t.refusal(pid, tid)
	default:
		return nil, fmt.Errorf("pid %d: thread %d: attach: %w", pid, tid, err)
	}
	th := &thread{tid: tid, pid: pid}
	t.byID[tid] = th
	t.threads = append(t.threads, th)
	return th, nil
}

// refusal explains an EPERM of PTRACE_SEIZE; nil means that the task has ended.
func (t *tracer) refusal(pid, tid int) error {
	st, err := readTaskStatus(t.p.proc, pid, tid)
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case st.State == 'Z' || st.State == 'X':
		return nil
	case st.TracerPid != 0:
		// Another injector lets go soon, a debugger does not.
		return blocked{reason: fmt.Sprintf("thread %d is traced by process %d already", tid, leader(t.p.proc, st.TracerPid)), again: true}
	}
	return fmt.Errorf("pid %d: thread %d: attach: %w", pid, tid, ErrPermission)
}

// seizeAll attaches to every thread of the process that is listed. It reports
// whether all of them were attached before, and are all that there are: a thread
// that ends while the list is made cuts it short, and may have started another.
func (t *tracer) seizeAll() (bool, error) {
	tids, err := t.files.listTasks()
	if err != nil {
		return false, err
	}
	complete, err := t.seizeEach(t.p.pid, tids)
	if err != nil || !complete {
		return false, err
	}
	t.status, err = t.files.readStatus()
	return t.status.Threads == len(tids), err
}

func (t *tracer) seizeTasks(pid int) error {
	tids, err := listTasks(t.p.proc, pid)
	if err != nil {
		return err
	}
	_, err = t.seizeEach(pid, tids)
	return err
}

func (t *tracer) seizeEach(pid int, tids []int) (bool, error) {
	before := len(t.threads)
	complete := true
	for _, tid := range tids {
		th, err := t.seize(pid, tid)
		if err != nil {
			return false, err
		}
		if t.workers[tid] {
			continue
		}
		// A main thread that has ended stays in the list.
		if tid != pid && (th == nil || th.gone) {
			complete = false
		}
	}
	return complete && len(t.threads) == before, nil
}

// worksForKernel says whether a thread is a worker of io_uring: it executes no
// code of the process, and the request that it works on would end with an error
// if it were stopped. Only processes that have mapped a ring are looked at.
func (t *tracer) worksForKernel(pid, tid int) bool {
	if tid == pid || t.workers[tid] || !t.rings {
		return t.workers[tid]
	}
	const ioWorker = 0x10 // PF_IO_WORKER (include/linux/sched.h)
	st, err := readTaskStat(t.p.proc, pid, tid)
	if err != nil || st.flags&ioWorker == 0 || !kernelHasIOWorkers() {
		return false
	}
	if t.workers == nil {
		t.workers = make(map[int]bool)
	}
	t.workers[tid] = true
	return true
}

// kernelHasIOWorkers says whether this is Linux 5.12 or newer. Before, workers
// were no threads of the process, and the flag meant that one is in a virtual
// machine (PF_VCPU).
var kernelHasIOWorkers = sync.OnceValue(func() bool {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return false
	}
	var major, minor int
	n, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor)
	return err == nil && n == 2 && (major > 5 || major == 5 && minor >= 12)
})

// ring says whether it is memory that an io_uring shares with the kernel.
func (m mapping) ring() bool { return m.path == "anon_inode:[io_uring]" }
