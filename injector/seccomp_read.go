package injector

import (
	"bytes"
	"errors"

	"golang.org/x/sys/unix"
)

// A filtered is the refusal of one thread: its seccomp filters do not let it
// make the system calls of a stub, or are not known. Another thread may.
type filtered struct{ blocked }

func (f filtered) Unwrap() error { return f.blocked }

// A judge knows the seccomp filters of the threads of one process. Most threads
// have the same ones: each program is decoded once.
type judge struct {
	program []byte
	decoded map[string]seccompFilter
	// seen are the threads that had a filter when they were last looked at.
	seen map[int]bool
	// left bounds the work, in instructions: a process chooses how many
	// threads it has, and how many filters each.
	left int
}

// newJudge makes one; program is room for the longest filter.
func newJudge(program []byte) *judge {
	return &judge{
		program: program,
		decoded: make(map[string]seccompFilter),
		seen:    make(map[int]bool),
		left:    4 << 20,
	}
}

// seccompStrict is the mode in which a thread can read, write and exit.
const seccompStrict = 1

var errStrict = blockedf("it is in seccomp's strict mode, in which it can't map memory")

// permits answers a filtered error unless every filter of a stopped thread
// allows every call of a stub that lies at address; assemble gives its code.
// Nothing but the thread itself, or another one that installs a filter for all
// (SECCOMP_FILTER_FLAG_TSYNC), can change that before the calls are made.
func (t *tracer) permits(th *thread, calls []remoteCall, address uint64, assemble func(*unix.PtraceRegs) []byte) error {
	filters, err := t.filters(th)
	if err != nil || len(filters) == 0 || th.gone {
		return err
	}
	behind := syscallSites(assemble(&th.regs), calls, address)
	if behind == nil {
		return blockedf("the stub does not make the system calls that were judged")
	}
	for i, c := range calls {
		if err := judgeCall(filters, seccompCall{number: c.number, pointer: behind[i], args: c.args}); err != nil {
			return err
		}
	}
	return nil
}

// judgeCall answers a filtered error unless all filters allow a call.
func judgeCall(filters []seccompFilter, c seccompCall) error {
	for _, f := range filters {
		switch answer, err := f.answer(c); {
		case err != nil:
			return unreadable(err)
		case !allows(answer):
			return filteredf("its seccomp filter answers %s %s", callName(c.number), describeAnswer(answer))
		}
	}
	return nil
}

// filters reads the seccomp filters of a stopped thread.
func (t *tracer) filters(th *thread) ([]seccompFilter, error) {
	var out []seccompFilter
	for {
		n, err := seccompGetFilter(th.tid, len(out), t.judge.program)
		switch {
		case err == nil:
		case errors.Is(err, unix.ENOENT):
			return out, nil
		case errors.Is(err, unix.ESRCH):
			return nil, th.lost("read the seccomp filter", err)
		case errors.Is(err, unix.EINVAL) && len(out) == 0 && !t.judge.seen[th.tid]:
			return nil, nil // it has none
		default:
			return nil, t.unread(th, err)
		}
		f, err := t.judge.decode(t.judge.program[:n*seccompWord])
		if err != nil {
			return nil, unreadable(err)
		}
		out = append(out, f)
	}
}

// decode decodes a program that was read, once.
func (j *judge) decode(program []byte) (seccompFilter, error) {
	if j.left -= len(program) / seccompWord; j.left < 0 {
		return seccompFilter{}, errors.New("there are too many")
	}
	if f, ok := j.decoded[string(program)]; ok {
		return f, nil
	}
	f, err := decodeFilter(program)
	if err == nil {
		j.decoded[string(program)] = f
	}
	return f, err
}

// unread deals with filters that this program may not read (without
// CAP_SYS_ADMIN, or with a filter of its own) or that the kernel does not show
// (without CONFIG_CHECKPOINT_RESTORE): no error if there are none.
func (t *tracer) unread(th *thread, err error) error {
	st, e := readTaskStatus(t.p.proc, th.pid, th.tid)
	switch {
	case e != nil:
		return e
	case st.Seccomp == 0:
		return nil
	case errors.Is(err, unix.EACCES):
		err = errors.New("to read it takes CAP_SYS_ADMIN, and no filter of one's own")
	case errors.Is(err, unix.EINVAL):
		err = errors.New("this kernel does not show it (CONFIG_CHECKPOINT_RESTORE)")
	}
	return unreadable(err)
}

func unreadable(err error) error {
	return filteredf("a seccomp filter is in force, and it is not known to allow that memory is mapped: %v", err)
}

func filteredf(format string, args ...any) error {
	var b blocked
	errors.As(blockedf(format, args...), &b)
	return filtered{b}
}

// syscallSites gives for each call of a stub that lies at address where it goes
// on behind the syscall instruction; nil if the code does not make them.
func syscallSites(code []byte, calls []remoteCall, address uint64) []uint64 {
	var behind []uint64
	at := 0
	for _, c := range calls {
		makes := appendSyscall(nil, c)
		i := bytes.Index(code[at:], makes)
		if i < 0 {
			return nil
		}
		at += i + len(makes)
		behind = append(behind, address+uint64(at))
	}
	return behind
}

// refusals are the threads of a process that can't be borrowed because of their
// seccomp filters.
type refusals struct {
	n    int
	last error
}

// add notes what lend answered, and reports whether it was that.
func (r *refusals) add(err error) bool {
	if !errors.As(err, &filtered{}) {
		return false
	}
	r.n, r.last = r.n+1, err
	return true
}

// all says that there is no other thread to ask.
func (r *refusals) all(tids []int) bool { return r.n > 0 && r.n == len(tids) }

// notFiltered leaves out the refusal of one thread.
func notFiltered(err error) error {
	if errors.As(err, &filtered{}) {
		return nil
	}
	return err
}

// mustNotRestart says whether a stopped thread may not make the call by which the
// kernel lets an interrupted wait go on (restart_syscall(2)): a filter that was
// written without a thought of it ends the process.
func (t *tracer) mustNotRestart(th *thread) (bool, error) {
	filters, err := t.filters(th)
	switch {
	case errors.As(err, &filtered{}):
		return true, nil
	case err != nil || len(filters) == 0:
		return false, err
	}
	c := seccompCall{
		number: unix.SYS_RESTART_SYSCALL, pointer: th.regs.Rip,
		args: [6]uint64{th.regs.Rdi, th.regs.Rsi, th.regs.Rdx, th.regs.R10, th.regs.R8, th.regs.R9},
	}
	return judgeCall(filters, c) != nil, nil
}

// hideStop prepares a stopped thread to go on in its system call as if nothing
// had been. Where a filter forbids the call by which the kernel lets a wait with
// a relative timeout go on, the wait begins anew.
// Precondition: its registers are known.
func (t *tracer) hideStop(th *thread) error {
	if hideStop(&th.regs) {
		th.dirty = true
	}
	if !waitsOn(&th.regs) {
		return nil
	}
	forbidden, err := t.mustNotRestart(th)
	if forbidden {
		beginAnew(&th.regs)
		th.dirty = true
	}
	return err
}
