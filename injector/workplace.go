package injector

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// A workplace is memory in the target for the time of a few calls of functions:
//
//	code     the stub
//	stack    of the functions called
//	state    the thread's extended state while they run
//	words    signal masks, results
//
// It is taken away again when the thread is home.
type workplace struct {
	base uint64
	// functions is how many results it has room for.
	functions int
}

// A remoteFunction is a function of the target that is called with the
// arguments that the psABI passes in registers.
type remoteFunction struct {
	// name is for messages: "the constructor of ...".
	name    string
	address uint64
	args    [3]uint64
}

const (
	// callStack is the size of the stack, of which only the pages used cost memory.
	callStack = 256 << 10
	// stateRoom is enough for every extended state that there is today: 11,008
	// bytes with AMX.
	stateRoom = 16 << 10
	// maxCalls bounds how many functions one stub calls.
	maxCalls = 256
)

// The words: the signals to block, those that the thread itself blocks, the
// initial MXCSR, how many functions have returned, and what each returned.
const (
	wordBlocked = iota
	wordMask
	wordMXCSR
	wordReturned
	wordResults
)

func (w *workplace) codeSize() uint64 { return roundUp(callCodeSize(w.functions)) }

func (w *workplace) size() uint64 {
	return w.codeSize() + callStack + stateRoom + roundUp(uint64(8*(wordResults+w.functions)))
}

func (w *workplace) stackTop() uint64     { return w.base + w.codeSize() + callStack }
func (w *workplace) state() uint64        { return w.stackTop() }
func (w *workplace) word(n int) uint64    { return w.state() + stateRoom + 8*uint64(n) }
func (w *workplace) holds(pc uint64) bool { return pc >= w.base && pc < w.base+w.codeSize() }

// callFunctions has the target call functions in a workplace of their own.
func (j *job) callFunctions(t *tracer, functions []remoteFunction, rules callRules) ([]uint64, error) {
	w, err := j.openWorkplace(t, len(functions))
	if err != nil {
		return nil, err
	}
	results, err := t.call(w, functions, rules)
	if errors.Is(err, errStuck) || errors.Is(err, ErrGone) {
		return nil, err
	}
	return results, errors.Join(err, j.discard(t, span{w.base, w.base + w.size()}))
}

// openWorkplace has the target map a workplace.
func (j *job) openWorkplace(t *tracer, functions int) (*workplace, error) {
	if functions > maxCalls {
		return nil, blockedf("%d functions would have to be called in it, at most %d are", functions, maxCalls)
	}
	w := &workplace{functions: functions}
	g := region{size: w.size(), writable: []span{{w.codeSize(), w.size()}}}
	const tries = 4
	candidates := places(j.maps, g.size, []span{{j.objs[0].maps[0].start, j.objs[0].maps[0].end}})
	last := blockedf("there is no room of %d bytes in it", g.size)
	for _, base := range candidates[:min(len(candidates), tries)] {
		l, err := t.run(g.calls(base), tails(j.objs))
		if errors.As(err, &blocked{}) {
			last = err
			continue
		}
		if err != nil {
			return nil, err
		}
		w.base = base
		return w, l.dismiss()
	}
	return nil, last
}

// prepare writes the stub and its words for a thread with this signal mask.
func (w *workplace) prepare(p *process, code []byte, mask uint64) error {
	if uint64(len(code)) > w.codeSize() {
		return blockedf("the stub takes %d bytes, there are %d for it", len(code), w.codeSize())
	}
	const defaultMXCSR = 0x1f80
	words := make([]byte, 8*(wordResults+w.functions))
	binary.LittleEndian.PutUint64(words[8*wordBlocked:], blockable|mask)
	binary.LittleEndian.PutUint64(words[8*wordMask:], mask)
	binary.LittleEndian.PutUint64(words[8*wordMXCSR:], defaultMXCSR)
	return errors.Join(p.writeAt(code, w.base), p.writeAt(words, w.word(0)))
}

// results reads what those functions returned that have.
func (w *workplace) results(p *process) ([]uint64, error) {
	words := make([]byte, 8*(wordResults+w.functions))
	if err := p.readAt(words, w.word(0)); err != nil {
		return nil, err
	}
	returned := leUint64(words[8*wordReturned:])
	out := make([]uint64, min(returned, uint64(w.functions)))
	for i := range out {
		out[i] = leUint64(words[8*(wordResults+i):])
	}
	return out, nil
}

// discard has the target unmap memory that we had it map, and in which no thread
// is. Where that can't be done, the memory stays, to nobody's harm: nothing
// leads to it.
func (j *job) discard(t *tracer, memory span) error {
	err := t.unmap(memory, tails(j.objs))
	if err != nil && !errors.Is(err, ErrGone) {
		j.in.opts.Log.Debug("memory stays mapped", "pid", j.p.pid, "address", memory.start, "bytes", memory.end-memory.start, "reason", err)
		return nil
	}
	return err
}

func (t *tracer) unmap(memory span, room []tail) error {
	stub, err := t.freeTail(room, stubSize(1))
	if err != nil {
		return err
	}
	stub.size = stubSize(1)
	call := remoteCall{number: unix.SYS_MUNMAP, args: [6]uint64{memory.start, memory.end - memory.start}}
	const tries = 8
	for range tries {
		tids, err := t.lenders()
		if err != nil {
			return err
		}
		for _, tid := range tids {
			l, err := t.lend(tid, []remoteCall{call}, stub)
			if errors.As(err, &filtered{}) {
				continue
			}
			if err != nil {
				return err
			}
			if l == nil {
				continue
			}
			if made, err := l.once(); err != nil || made {
				return err
			}
		}
	}
	return busyf("there is no thread of it that could unmap memory")
}
