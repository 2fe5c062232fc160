package injector

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Limits on what is read from one file or folder of procfs.
const (
	maxProcFile = 64 << 10
	maxTasks    = 1 << 20
)

// errMalformed: a file of procfs is not what proc(5) says.
var errMalformed = errors.New("malformed")

// procStat is what is needed of /proc/PID/stat.
type procStat struct {
	comm   string
	state  byte
	parent uint64
	flags  uint64
	start  uint64
	layout memoryLayout
}

// kernelThread says that PF_KTHREAD is set (include/linux/sched.h).
func (s procStat) kernelThread() bool { return s.flags&0x00200000 != 0 }

// ended says that the task is a zombie or about to vanish.
func (s procStat) ended() bool { return s.state == 'Z' || s.state == 'X' || s.state == 'x' }

// readStat reads /proc/PID/stat.
func readStat(proc string, pid int) (procStat, error) {
	return parseStatFile(filepath.Join(proc, strconv.Itoa(pid), "stat"), pid)
}

// readTaskStat reads /proc/PID/task/TID/stat.
func readTaskStat(proc string, pid, tid int) (procStat, error) {
	return parseStatFile(taskPath(proc, pid, tid, "stat"), pid)
}

func taskPath(proc string, pid, tid int, name string) string {
	return filepath.Join(proc, strconv.Itoa(pid), "task", strconv.Itoa(tid), name)
}

func parseStatFile(name string, pid int) (procStat, error) {
	b, err := readProcFile(name)
	if err != nil {
		return procStat{}, fmt.Errorf("pid %d: %w", pid, err)
	}
	st, err := parseStat(b)
	if err != nil {
		return procStat{}, fmt.Errorf("%s: %w", name, err)
	}
	return st, nil
}

// parseStat parses the one line of a stat file (proc(5)). The name may hold
// any byte, parentheses and newlines too.
func parseStat(b []byte) (procStat, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return procStat{}, errMalformed
	}
	st := procStat{comm: string(b[open+1 : end])}
	const first, last = 3, 28 // field numbers of proc(5)
	number := first
	for field := range bytes.FieldsSeq(b[end+1:]) {
		if !st.set(number, field) {
			return procStat{}, errMalformed
		}
		if number++; number > last {
			return st, nil
		}
	}
	return procStat{}, errMalformed
}

// set takes one field, by its number in proc(5). It reports whether the field is
// well-formed.
func (s *procStat) set(number int, field []byte) bool {
	var value *uint64
	switch number {
	case 3:
		s.state = field[0]
		return len(field) == 1
	case 4:
		value = &s.parent
	case 9:
		value = &s.flags
	case 22:
		value = &s.start
	case 26:
		value = &s.layout.code
	case 28:
		value = &s.layout.stack
	default:
		return true
	}
	n, err := strconv.ParseUint(string(field), 10, 64)
	*value = n
	return err == nil
}

// procStatus is what is needed of /proc/PID/status or of a thread's.
type procStatus struct {
	// State is the letter of proc(5): R, S, D, T, t, Z, X, I ...
	State byte
	// TGID is the process that the thread belongs to.
	TGID int
	// TracerPid is the thread that traces it, 0 if none does.
	TracerPid int
	Threads   int
	// UID is the effective user id.
	UID int
	// RealUID and RealGID are those of getuid(2) and getgid(2).
	RealUID, RealGID int
	// NSpid is its id in each pid namespace, outermost first.
	NSpid []int
	// Signal masks: bit n-1 is signal n. SigPnd is the thread's, ShdPnd the process's.
	SigPnd, ShdPnd, SigBlk, SigCgt uint64
	NoNewPrivs                     bool
	// Seccomp is 0 (off), 1 (strict) or 2 (filter).
	Seccomp int
}

// status reads /proc/PID/status.
func (p *process) status() (procStatus, error) {
	return readStatusFile(filepath.Join(p.proc, strconv.Itoa(p.pid), "status"), p.pid)
}

// readTaskStatus reads /proc/PID/task/TID/status. A thread that has ended is ErrGone.
func readTaskStatus(proc string, pid, tid int) (procStatus, error) {
	return readStatusFile(taskPath(proc, pid, tid, "status"), pid)
}

func readStatusFile(name string, pid int) (procStatus, error) {
	b, err := readProcFile(name)
	if err != nil {
		return procStatus{}, fmt.Errorf("pid %d: %w", pid, err)
	}
	st, err := parseStatus(bytes.NewReader(b))
	if err != nil {
		return procStatus{}, fmt.Errorf("%s: %w", name, err)
	}
	return st, nil
}

// parseStatus parses a status file. Lines that an older kernel lacks leave
// their field zero; a State there must be.
func parseStatus(r io.Reader) (procStatus, error) {
	var st procStatus
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxProcFile)
	for s.Scan() {
		key, value, ok := bytes.Cut(s.Bytes(), []byte(":"))
		if value = bytes.TrimSpace(value); !ok || len(value) == 0 {
			continue
		}
		if err := st.set(key, value); err != nil {
			return procStatus{}, fmt.Errorf("%s: %w", key, err)
		}
	}
	if err := s.Err(); err != nil {
		return procStatus{}, err
	}
	if st.State == 0 {
		return procStatus{}, errMalformed
	}
	return st, nil
}

// set takes one line, whose value is not empty.
func (st *procStatus) set(key, value []byte) error {
	var err error
	number := func(s []byte, base int) uint64 {
		v, e := strconv.ParseUint(string(s), base, 64)
		err = errors.Join(err, e)
		return v
	}
	switch string(key) {
	case "State":
		st.State = value[0]
	case "Tgid":
		st.TGID = int(number(value, 10))
	case "TracerPid":
		st.TracerPid = int(number(value, 10))
	case "Threads":
		st.Threads = int(number(value, 10))
	case "Uid":
		id, rest := cutWord(value)
		st.RealUID, st.UID = int(number(id, 10)), int(number(id, 10))
		if id, _ = cutWord(rest); len(id) > 0 {
			st.UID = int(number(id, 10))
		}
	case "Gid":
		id, _ := cutWord(value)
		st.RealGID = int(number(id, 10))
	case "NSpid":
		for v := range bytes.FieldsSeq(value) {
			st.NSpid = append(st.NSpid, int(number(v, 10)))
		}
	case "SigPnd":
		st.SigPnd = number(value, 16)
	case "ShdPnd":
		st.ShdPnd = number(value, 16)
	case "SigBlk":
		st.SigBlk = number(value, 16)
	case "SigCgt":
		st.SigCgt = number(value, 16)
	case "NoNewPrivs":
		st.NoNewPrivs = string(value) == "1"
	case "Seccomp":
		st.Seccomp = int(number(value, 10))
	}
	return err
}

// cutWord cuts the first word off.
func cutWord(s []byte) (first, rest []byte) {
	s = bytes.TrimLeft(s, " \t")
	if end := bytes.IndexAny(s, " \t"); end >= 0 {
		return s[:end], s[end:]
	}
	return s, nil
}

// tasks lists the ids of the process's threads.
func (p *process) tasks() ([]int, error) { return listTasks(p.proc, p.pid) }

// listTasks reads /proc/PID/task. The listing of a process that starts
// threads meanwhile may miss some.
func listTasks(proc string, pid int) ([]int, error) {
	f, err := openProc(filepath.Join(proc, strconv.Itoa(pid), "task"), unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, fmt.Errorf("pid %d: %w", pid, procError(err))
	}
	defer f.Close()
	names, err := f.Readdirnames(maxTasks)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("pid %d: %w", pid, procError(err))
	}
	if len(names) == maxTasks {
		return nil, fmt.Errorf("pid %d: more than %d threads", pid, maxTasks)
	}
	tids := make([]int, 0, len(names))
	for _, n := range names {
		if tid, err := strconv.Atoi(n); err == nil {
			tids = append(tids, tid)
		}
	}
	if len(tids) == 0 {
		return nil, fmt.Errorf("pid %d: no threads: %w", pid, ErrGone)
	}
	return tids, nil
}

// taskSyscall reads /proc/PID/task/TID/syscall: where a thread is blocked.
// nr is the system call, -1 if it is blocked outside of one; sp and pc are its
// user registers. While it runs, running is true and the others mean nothing.
func taskSyscall(proc string, pid, tid int) (nr int64, sp, pc uint64, running bool, err error) {
	name := taskPath(proc, pid, tid, "syscall")
	b, err := readProcFile(name)
	if err != nil {
		return 0, 0, 0, false, fmt.Errorf("pid %d: thread %d: %w", pid, tid, err)
	}
	fields := strings.Fields(string(b))
	if len(fields) == 1 && fields[0] == "running" {
		return 0, 0, 0, true, nil
	}
	if len(fields) != 3 && len(fields) != 9 {
		return 0, 0, 0, false, fmt.Errorf("%s: %w", name, errMalformed)
	}
	n := len(fields)
	nr, e1 := strconv.ParseInt(fields[0], 10, 64)
	sp, e2 := strconv.ParseUint(fields[n-2], 0, 64)
	pc, e3 := strconv.ParseUint(fields[n-1], 0, 64)
	if err := errors.Join(e1, e2, e3); err != nil {
		return 0, 0, 0, false, fmt.Errorf("%s: %w", name, err)
	}
	return nr, sp, pc, false, nil
}
