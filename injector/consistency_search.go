package injector

import (
	"errors"
	"fmt"
	"sort"
	"time"
)

// A frameSearch looks for frames of some code in all that a process has
// written: on the stacks of threads, and wherever else a stack may lie.
type frameSearch struct {
	p *process
	// code is in order and does not overlap; all of it is in [low, high].
	code      []codeRange
	low, high uint64
	pages     *pageList
	buf       []byte

	// What one run finds.
	blocks   []uint64
	traces   []frameTrace
	scanned  uint64
	deadline time.Time
}

// A frameTrace is a word of memory that can be a frame of code.
type frameTrace struct {
	at, value uint64
	kind      traceKind
}

type traceKind int

const (
	returnAddress traceKind = iota
	interrupted
)

// Bounds of one run: maxWritten is how many bytes that a process has written
// are looked through, of which the slowest machines do about 1 MiB in a
// millisecond; a process with more is not changed. maxTraces is how many words
// are remembered, maxBlocks how many thread control blocks.
const (
	maxWritten = 64 << 20
	maxTraces  = 1 << 16
	maxBlocks  = 1 << 16
	scanChunk  = 256 << 10
)

func newFrameSearch(p *process, code []codeRange) (*frameSearch, error) {
	pages, err := openPageList(p)
	if err != nil {
		return nil, err
	}
	s := &frameSearch{p: p, code: code, pages: pages, buf: make([]byte, scanChunk)}
	s.low, s.high = code[0].start, code[len(code)-1].end
	return s, nil
}

func (s *frameSearch) close() { s.pages.close() }

// run answers an inUse error for the first frame that it finds.
func (s *frameSearch) run(threads population, deadline time.Time) error {
	for _, th := range threads.threads {
		if err := s.registers(th); err != nil {
			return err
		}
	}
	maps, err := s.p.mappings()
	if err != nil {
		return err
	}
	s.blocks, s.traces, s.scanned, s.deadline = s.blocks[:0], s.traces[:0], 0, deadline
	for _, part := range writtenParts(maps) {
		err := s.pages.touched(part, func(pages span) error { return s.scan(pages, threads.stopped) })
		if errors.Is(err, errWide) {
			return &inUse{fmt.Sprintf("where its stacks are can't be found out: %v", err)}
		}
		if err != nil {
			return err
		}
	}
	return s.judge(threads, maps)
}

// registers looks at one thread's program counter and registers.
func (s *frameSearch) registers(th standing) error {
	if r := s.find(th.pc); r != nil && th.pc < r.end {
		return &inUse{fmt.Sprintf("thread %d is in %s (its program counter is %#x)", th.tid, r.at(th.pc), th.pc)}
	}
	for _, w := range th.words {
		if r := s.find(w); r != nil && r.returnsTo(w) {
			return &inUse{fmt.Sprintf("thread %d is in %s (return address %#x in a register)", th.tid, r.at(w), w)}
		}
	}
	return nil
}

// find returns the code that an address is in, or is the end of.
func (s *frameSearch) find(addr uint64) *codeRange {
	if addr < s.low || addr > s.high {
		return nil
	}
	i := sort.Search(len(s.code), func(i int) bool { return s.code[i].end >= addr })
	if i == len(s.code) || addr < s.code[i].start {
		return nil
	}
	if r := &s.code[i]; addr < r.end || r.returnsTo(addr) || i+1 == len(s.code) || s.code[i+1].start != addr {
		return r
	}
	return &s.code[i+1]
}

// returnsTo says whether an address of the code is behind a call.
func (r *codeRange) returnsTo(addr uint64) bool { return r.returns[addr-r.start] }

// writtenParts are the ranges that hold a process's private writable memory.
// Memory that is not accessible at all, as between stacks, joins them.
func writtenParts(maps []mapping) []span {
	var out []span
	open := false
	for _, m := range maps {
		none := !m.read && !m.write && !m.exec && !m.file()
		switch {
		case m.write && !m.shared:
			if !open {
				out = append(out, span{start: m.start})
			}
			open, out[len(out)-1].end = true, m.end
		case !none:
			open = false
		}
	}
	return out
}

// scan looks through written pages. In a process that is not stopped, pages
// may be gone meanwhile.
func (s *frameSearch) scan(pages span, stopped bool) error {
	if s.scanned += pages.end - pages.start; s.scanned > maxWritten {
		return &inUse{fmt.Sprintf("it has written more than the %d MiB of memory that are looked through for suspended code", maxWritten>>20)}
	}
	for at := pages.start; at < pages.end; {
		if err := s.inTime(); err != nil {
			return err
		}
		b := s.buf[:min(uint64(len(s.buf)), pages.end-at)]
		if err := s.p.readAt(b, at); err != nil {
			if stopped || errors.Is(err, ErrGone) {
				return err
			}
			return nil
		}
		if err := s.words(b, at); err != nil {
			return err
		}
		at += uint64(len(b))
	}
	return nil
}

// inTime answers an inUse error when the deadline has passed.
func (s *frameSearch) inTime() error {
	if time.Now().Before(s.deadline) {
		return nil
	}
	return &inUse{fmt.Sprintf("its memory could not be looked through for suspended code in time (%d MiB)", s.scanned>>20)}
}

// words looks at every word of a piece of memory.
func (s *frameSearch) words(b []byte, at uint64) error {
	width := s.high - s.low
	for i := 0; i+8 <= len(b); i += 8 {
		w := leUint64(b[i:])
		if w-s.low <= width {
			s.plain(b, i, at)
		}
		if w == at+uint64(i) && i+tcbSelf+8 <= len(b) && leUint64(b[i+tcbSelf:]) == w {
			s.blocks = append(s.blocks, w)
		}
	}
	if len(s.traces) > maxTraces || len(s.blocks) > maxBlocks {
		return &inUse{"its memory holds more places that look like suspended code than are looked at"}
	}
	return nil
}

func (s *frameSearch) plain(b []byte, i int, at uint64) {
	w := leUint64(b[i:])
	r := s.find(w)
	switch {
	case r == nil:
	case r.returnsTo(w):
		s.traces = append(s.traces, frameTrace{at: at + uint64(i), value: w})
	case w < r.end && savedContext(b, i):
		s.traces = append(s.traces, frameTrace{at: at + uint64(i), value: w, kind: interrupted})
	}
}

// judge answers for the first trace that is a frame.
func (s *frameSearch) judge(threads population, maps []mapping) error {
	if len(s.traces) == 0 {
		return nil
	}
	stacks, err := s.stacks(threads, maps)
	if err != nil {
		return err
	}
	for _, f := range s.traces {
		if err := s.inTime(); err != nil {
			return err
		}
		if alive, tid := inStacks(stacks, f.at); alive {
			return s.describe(f, tid)
		}
	}
	return nil
}

func (s *frameSearch) describe(f frameTrace, tid int) error {
	who := fmt.Sprintf("thread %d", tid)
	if tid == 0 {
		who = "suspended code"
	}
	where := fmt.Sprintf("return address %#x on its stack", f.value)
	switch {
	case f.kind == interrupted:
		where = fmt.Sprintf("a signal handler will return to %#x", f.value)
	case tid == 0:
		where = fmt.Sprintf("return address %#x at %#x, on no thread's stack", f.value, f.at)
	}
	return &inUse{fmt.Sprintf("%s is in %s (%s)", who, s.find(f.value).at(f.value), where)}
}
