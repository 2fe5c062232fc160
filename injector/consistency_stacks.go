package injector

import (
	"errors"
	"os"
	"strconv"
	"strings"
)

// standing is where a thread stands: its program counter and stack pointer, and
// if it is stopped its fs base and registers that can hold a return address.
type standing struct {
	tid        int
	pc, sp, fs uint64
	words      []uint64
}

// population is what is known of a process's threads. stopped: all of them are,
// otherwise only those are listed that sleep. complete: of all of them the
// registers are known.
type population struct {
	threads           []standing
	stopped, complete bool
}

// sleepers are the threads that sleep at this moment.
func (j *job) sleepers() (population, error) {
	tids, err := j.p.tasks()
	if err != nil {
		return population{}, err
	}
	var out population
	for _, tid := range tids {
		_, sp, pc, running, err := taskSyscall(j.p.proc, j.p.pid, tid)
		if err == nil && !running {
			out.threads = append(out.threads, standing{tid: tid, pc: pc, sp: sp})
		}
	}
	return out, nil
}

// standing is where all threads stand. Of a thread that sleeps in the kernel
// and can't be stopped, the registers are those that the kernel shows.
// Precondition: stopAll has succeeded.
func (t *tracer) standing() (population, error) {
	out := population{stopped: true, complete: true}
	for _, th := range t.threads {
		if th.gone {
			continue
		}
		if th.stopped {
			out.threads = append(out.threads, standing{th.tid, th.regs.Rip, th.regs.Rsp, th.regs.Fs_base, th.registerWords()})
			continue
		}
		_, sp, pc, running, err := taskSyscall(t.p.proc, th.pid, th.tid)
		switch {
		case errors.Is(err, ErrGone):
			continue
		case err != nil:
			return population{}, err
		case running:
			return population{}, busyf("thread %d does not stop", th.tid)
		}
		out.complete = false
		words := syscallArguments(taskPath(t.p.proc, th.pid, th.tid, "syscall"))
		out.threads = append(out.threads, standing{tid: th.tid, pc: pc, sp: sp, words: words})
	}
	return out, nil
}

// syscallArguments are those of the system call in which a thread sleeps, as
// a syscall file of procfs shows them.
func syscallArguments(name string) []uint64 {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	var out []uint64
	for _, f := range strings.Fields(string(text)) {
		if n, err := strconv.ParseUint(f, 0, 64); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// A threadStack is memory of which is known that a thread uses it, or used it until
// it ended, as its stack and for nothing else: [low, high). What is below sp is
// of functions that have returned.
type threadStack struct {
	span
	// tid is who uses it; sp is the lowest stack pointer in it.
	tid  int
	sp   uint64
	used bool
	// over: the thread has ended.
	over bool
}

func (k threadStack) holds(addr uint64) bool { return addr >= k.start && addr < k.end }

// inStacks says whether a word can be part of a frame: it is on no stack, or in
// the part in use of one. tid is whose frame it is, 0 if not known.
func inStacks(stacks []threadStack, at uint64) (alive bool, tid int) {
	found := false
	for _, k := range stacks {
		switch {
		case !k.holds(at):
			continue
		case k.used && at >= k.sp, !k.used && !k.over:
			alive, tid = true, k.tid
		}
		found = true
	}
	return alive || !found, tid
}

// stacks are the stacks that can be told from other memory: the kernel's
// [stack], and those that glibc has made, of which each ends with the control
// block of its thread. In a process that is not stopped, those of which the
// stack pointer is not known count as unused.
func (s *frameSearch) stacks(threads population, maps []mapping) ([]threadStack, error) {
	var out []threadStack
	for _, m := range maps {
		if m.path == "[stack]" {
			k := threadStack{span: span{m.start, m.end}}
			k.occupy(threads, func(standing) bool { return true })
			k.over = !k.used && !threads.stopped
			out = append(out, k)
		}
	}
	for _, block := range s.blocks {
		if err := s.inTime(); err != nil {
			return nil, err
		}
		bounds, guard, ok, err := s.stackOf(block)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		k := threadStack{span: bounds}
		k.occupy(threads, func(th standing) bool { return th.fs == block || !threads.stopped })
		if !k.used {
			k.over = !threads.stopped || threads.complete && !threads.owner(block) && guarded(maps, guard)
		}
		out = append(out, k)
	}
	return out, nil
}

// occupy notes which threads are on the stack; it is used if one of them owns it.
func (k *threadStack) occupy(threads population, owns func(standing) bool) {
	for _, th := range threads.threads {
		if !k.holds(th.sp) {
			continue
		}
		if k.sp == 0 || th.sp < k.sp {
			k.sp = th.sp
		}
		if owns(th) {
			k.used, k.tid = true, th.tid
		}
	}
}

// owner says whether a thread has this control block.
func (p population) owner(block uint64) bool {
	for _, th := range p.threads {
		if th.fs == block {
			return true
		}
	}
	return false
}

// guarded says whether the kernel keeps everybody from a range: then glibc has
// mapped the stack behind it itself, and nobody else uses that.
func guarded(maps []mapping, s span) bool {
	m, ok := findMapping(maps, s.start)
	return ok && s.end > s.start && m.start == s.start && m.end == s.end && !m.read && !m.write && !m.exec
}

// stackOf reads from a thread's control block where its stack is: stackblock,
// stackblock_size and guardsize, three words of struct pthread whose place
// differs between releases of glibc.
func (s *frameSearch) stackOf(block uint64) (usable, guard span, ok bool, err error) {
	mem := make([]byte, tcbSize)
	n := min(uint64(len(mem)), roundUp(block+1)-block)
	if err := s.p.readAt(mem[:n], block); err != nil {
		if errors.Is(err, ErrGone) {
			return usable, guard, false, err
		}
		return usable, guard, false, nil // unmapped meanwhile
	}
	// The block may go on over the end of its page, but not over that of its stack.
	if rest := mem[n:]; len(rest) > 0 && s.p.readAt(rest, block+n) == nil {
		n = uint64(len(mem))
	}
	for i := uint64(0); i+24 <= n; i += 8 {
		start, size, keep := leUint64(mem[i:]), leUint64(mem[i+8:]), leUint64(mem[i+16:])
		end := start + size
		if start == 0 || start%pageSize != 0 || end <= block || start >= block || keep%pageSize != 0 || keep >= size {
			continue
		}
		if end < start || end-block > 2*tcbSize || start+keep >= block {
			continue
		}
		return span{start + keep, block}, span{start, start + keep}, true, nil
	}
	return usable, guard, false, nil
}
