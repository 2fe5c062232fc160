package injector

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// stopFiles are files of procfs that are opened beforehand, because they are
// read while threads are held: opening them costs more than reading them.
type stopFiles struct {
	pid           int
	tasks, status int
	// load is /proc/loadavg, -1 if there is none.
	load int
	buf  []byte
}

// openStopFiles opens them; buf is room for what is read of one.
func openStopFiles(p *process, buf []byte) (*stopFiles, error) {
	dir := filepath.Join(p.proc, strconv.Itoa(p.pid))
	open := func(name string, flags int) (int, error) {
		fd, err := unix.Open(filepath.Join(dir, name), unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
		if err != nil {
			return -1, fmt.Errorf("pid %d: %w", p.pid, procError(err))
		}
		return fd, nil
	}
	tasks, err := open("task", unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	status, err := open("status", 0)
	if err != nil {
		return nil, errors.Join(err, unix.Close(tasks))
	}
	load, err := unix.Open(filepath.Join(p.proc, "loadavg"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		load = -1
	}
	return &stopFiles{pid: p.pid, tasks: tasks, status: status, load: load, buf: buf}, nil
}

func (f *stopFiles) close() {
	_ = unix.Close(f.tasks)
	_ = unix.Close(f.status)
	if f.load >= 0 {
		_ = unix.Close(f.load)
	}
}

// listTasks lists the threads as the function of the same name does.
func (f *stopFiles) listTasks() ([]int, error) {
	if _, err := unix.Seek(f.tasks, 0, unix.SEEK_SET); err != nil {
		return nil, fmt.Errorf("pid %d: task: %w", f.pid, procError(err))
	}
	var names []string
	for {
		n, err := unix.Getdents(f.tasks, f.buf)
		if err != nil {
			return nil, fmt.Errorf("pid %d: task: %w", f.pid, procError(err))
		}
		if n == 0 {
			break
		}
		_, _, names = unix.ParseDirent(f.buf[:n], maxTasks-len(names), names)
		if len(names) >= maxTasks {
			return nil, fmt.Errorf("pid %d: more than %d threads", f.pid, maxTasks)
		}
	}
	tids := make([]int, 0, len(names))
	for _, name := range names {
		if tid, err := strconv.Atoi(name); err == nil {
			tids = append(tids, tid)
		}
	}
	if len(tids) == 0 {
		return nil, fmt.Errorf("pid %d: no threads: %w", f.pid, ErrGone)
	}
	return tids, nil
}

// readStatus reads the process's status; the kernel makes the text anew for
// every read from the start.
func (f *stopFiles) readStatus() (procStatus, error) {
	n, err := unix.Pread(f.status, f.buf, 0)
	if err != nil {
		return procStatus{}, fmt.Errorf("pid %d: status: %w", f.pid, procError(err))
	}
	return parseStatus(bytes.NewReader(f.buf[:n]))
}

// newestPID gives the id of the process or thread that was started last, in
// this program's namespace: the last word of proc(5)'s loadavg. 0: not known.
func (f *stopFiles) newestPID() int {
	n, err := unix.Pread(f.load, f.buf, 0)
	if err != nil {
		return 0
	}
	words := bytes.Fields(f.buf[:n])
	if len(words) == 0 {
		return 0
	}
	pid, err := strconv.Atoi(string(words[len(words)-1]))
	if err != nil {
		return 0
	}
	return pid
}
