package injector

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// A process is one running program, held so that another one can never be
// mistaken for it: the pidfd keeps its pid from meaning somebody else, start
// tells it from others that had the pid, and mem is bound to its address space
// from the moment it was opened, so that an exec shows as the end of memory.
type process struct {
	pid int
	// start is when it was started, in clock ticks since boot (/proc/PID/stat,
	// field 22).
	start uint64
	pidfd int
	mem   *os.File
	// comm is the name of its main thread, at most 15 bytes.
	comm string
	// parent is the process that started it.
	parent int
	// proc is where procfs is mounted.
	proc string
	// view is the thread through whose /proc folder memory is reached: the
	// main thread, or another one where the main thread has ended before the
	// rest of the process (its folder then shows no memory).
	view int
	// layout tells address spaces apart that take turns in one process.
	layout memoryLayout
	// files caches what was read of the files that it maps.
	files *fileCache
	// mapsFile is /proc/PID/maps, nil until it is needed, mapName room for the
	// kernel's answers. As mem it is bound to the address space.
	mapsFile *os.File
	mapName  [64]byte
	// maps is what mappings returned last, links what linkOrder found.
	maps  []mapping
	links *linkList
	// locked is what keeps other injectors away, nil if nothing does.
	locked *os.File
}

// memoryLayout is where the kernel put a program at exec.
type memoryLayout struct{ code, stack uint64 }

// openProcess takes hold of a process. It answers ErrGone if there is none,
// errNotProcess for kernel threads, zombies and ids of threads, and
// ErrPermission if its memory may not be written. The caller closes it.
func openProcess(proc string, pid int) (*process, error) {
	p := &process{pid: pid, proc: proc, view: pid}
	var err error
	if p.pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
		return nil, fmt.Errorf("pid %d: %w", pid, pidfdError(err))
	}
	if err := p.identify(); err != nil {
		return nil, errors.Join(err, unix.Close(p.pidfd))
	}
	return p, nil
}

// pidfdError translates what pidfd_open(2) answers for an id that is no process.
func pidfdError(err error) error {
	switch {
	case errors.Is(err, unix.ESRCH):
		return ErrGone
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		return errNotProcess // the id of a thread that leads no process
	}
	return err
}

// identify reads who the process is and opens its memory. What was read is
// about the process of the pidfd, because that still runs afterwards.
func (p *process) identify() error {
	st, err := readStat(p.proc, p.pid)
	if err != nil {
		return err
	}
	if st.kernelThread() {
		return fmt.Errorf("pid %d: kernel thread: %w", p.pid, errNotProcess)
	}
	p.start, p.comm, p.layout, p.parent = st.start, st.comm, st.layout, int(st.parent)
	if st.ended() {
		if p.view, p.layout, err = p.liveThread(); err != nil {
			return err
		}
	}
	if err := p.openMem(); err != nil {
		return err
	}
	if err := p.verify(); err != nil {
		return errors.Join(err, p.mem.Close())
	}
	return nil
}

// liveThread finds a thread that shows the process's memory: the main thread
// if that has not ended.
func (p *process) liveThread() (int, memoryLayout, error) {
	if st, err := readTaskStat(p.proc, p.pid, p.view); err == nil && !st.ended() {
		return p.view, st.layout, nil
	}
	tids, err := p.tasks()
	if err != nil {
		return 0, memoryLayout{}, err
	}
	for _, tid := range tids {
		if st, err := readTaskStat(p.proc, p.pid, tid); err == nil && !st.ended() {
			return tid, st.layout, nil
		}
	}
	return 0, memoryLayout{}, fmt.Errorf("pid %d: has ended and waits for its parent: %w", p.pid, errNotProcess)
}

func (p *process) openMem() error {
	mem, err := openProc(p.path("mem"), unix.O_RDWR)
	if err != nil {
		return fmt.Errorf("pid %d: %w", p.pid, procError(err))
	}
	p.mem = mem
	return nil
}

// procError translates the errors of files in /proc/PID.
func procError(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return ErrGone
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return ErrPermission
	}
	return err
}

// path is a file of the process's folder in procfs that shows its memory.
func (p *process) path(name string) string {
	return filepath.Join(p.proc, strconv.Itoa(p.view), name)
}

func (p *process) close() {
	if p.locked != nil {
		_ = p.locked.Close()
	}
	if p.mapsFile != nil {
		_ = p.mapsFile.Close()
	}
	_ = p.mem.Close() // nothing is buffered
	_ = unix.Close(p.pidfd)
}

// verify answers ErrGone unless the process still runs, in the address space
// that mem is of.
func (p *process) verify() error {
	fds := []unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 0); err == nil && n > 0 {
		return fmt.Errorf("pid %d: %w", p.pid, ErrGone)
	}
	// Whatever the address, a read of memory that nobody uses any more gives 0 bytes.
	if n, err := p.mem.ReadAt(make([]byte, 1), 0); n == 0 && errors.Is(err, io.EOF) {
		return fmt.Errorf("pid %d: another program: %w", p.pid, ErrGone)
	}
	// A child of vfork leaves memory behind that its parent still uses.
	view, layout, err := p.liveThread()
	if err != nil || layout != p.layout {
		return fmt.Errorf("pid %d: another program: %w", p.pid, ErrGone)
	}
	p.view = view
	return nil
}

// readAt fills buf from the process's memory. It answers ErrGone if that
// memory is no longer in use.
func (p *process) readAt(buf []byte, addr uint64) error {
	if addr > math.MaxInt64-uint64(len(buf)) {
		return fmt.Errorf("pid %d: read %d bytes at %#x: %w", p.pid, len(buf), addr, unix.EFAULT)
	}
	n, err := p.mem.ReadAt(buf, int64(addr))
	return p.memError("read", addr, n, len(buf), err)
}

// writeAt writes buf to the process's memory, whatever its protection: a
// page of a private mapping is copied first. Memory already written is not
// restored when it fails half-way.
func (p *process) writeAt(buf []byte, addr uint64) error {
	if addr > math.MaxInt64-uint64(len(buf)) {
		return fmt.Errorf("pid %d: write %d bytes at %#x: %w", p.pid, len(buf), addr, unix.EFAULT)
	}
	n, err := p.mem.WriteAt(buf, int64(addr))
	return p.memError("write", addr, n, len(buf), err)
}

func (p *process) memError(what string, addr uint64, n, want int, err error) error {
	if n == want {
		return nil
	}
	// Memory that is in use but not mapped answers EIO.
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrShortWrite) {
		return fmt.Errorf("pid %d: %w", p.pid, ErrGone)
	}
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("pid %d: %s %d bytes at %#x: %w", p.pid, what, want, addr, err)
}

// ReadAt lets the process's memory be read by absolute address (io.ReaderAt).
func (p *process) ReadAt(buf []byte, off int64) (int, error) {
	if err := p.readAt(buf, uint64(off)); err != nil {
		return 0, err
	}
	return len(buf), nil
}
