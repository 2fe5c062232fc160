package pipeline

import (
	"bytes"
	"context"
	"debug/elf"
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// hammerFunction is what a test program defines to be hammered; hammerSource
// then becomes part of it, and hammerHeader goes before it in any case.
const hammerFunction = "lpbuild_hammer"

//go:embed hammer/hammer.c
var hammerSource []byte

//go:embed hammer/hammer.h
var hammerHeader []byte

// Hammer is what threads of the test program did while it was patched: each
// calls lpbuild_hammer without pause from before the first apply until after
// the last revert. docs/testing.md defines it.
type Hammer struct {
	Threads int `json:"threads"`
	// Calls that returned before the first apply, while the injector applied or
	// reverted, while the patch was in force, and while it was not in force again.
	Before  uint64 `json:"before"`
	During  uint64 `json:"during"`
	Patched uint64 `json:"patched"`
	After   uint64 `json:"after"`
}

// hammerPage is the page that lpbuild and the threads share, as struct page in
// hammer/hammer.c has it.
type hammerPage struct {
	command, threads, wrong uint32
	text                    [512]byte
	_                       [52]byte
	thread                  [hammerThreads]struct {
		calls   uint64
		resting uint32
		_       [52]byte
	}
}

// hammerThreads is THREADS of hammer/hammer.c: two can be inside at a time.
const hammerThreads = 2

// definesHammer says whether a test program was built with the threads.
func definesHammer(program string) (bool, error) {
	f, err := elf.Open(program)
	if err != nil {
		return false, err
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		return false, fmt.Errorf("%s: %w", program, err)
	}
	return slices.ContainsFunc(symbols, func(s elf.Symbol) bool {
		return s.Name == hammerFunction && s.Section != elf.SHN_UNDEF
	}), nil
}

// A hammerer makes the threads of one test program call and rest.
type hammerer struct {
	file *os.File
	mem  []byte
	page *hammerPage
	told uint64 // calls that fresh has returned
}

// newHammerer makes the page. Its file goes to the program.
func newHammerer() (*hammerer, error) {
	fd, err := unix.MemfdCreate("lpbuild-hammer", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	h := &hammerer{file: os.NewFile(uintptr(fd), "lpbuild-hammer")}
	size := int(unsafe.Sizeof(hammerPage{}))
	if err := h.file.Truncate(int64(size)); err != nil {
		h.file.Close()
		return nil, err
	}
	if h.mem, err = unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		h.file.Close()
		return nil, os.NewSyscallError("mmap", err)
	}
	h.page = (*hammerPage)(unsafe.Pointer(&h.mem[0]))
	return h, nil
}

// close gives the page back. Precondition: nothing else of h runs.
func (h *hammerer) close() {
	unix.Munmap(h.mem) //nolint:errcheck // it was mapped
	h.file.Close()
}

// fresh is how many calls have returned since it was last asked.
func (h *hammerer) fresh() uint64 {
	var n uint64
	for i := range h.page.thread {
		n += atomic.LoadUint64(&h.page.thread[i].calls)
	}
	n, h.told = n-h.told, n
	return n
}

// begin makes the threads call. Precondition: the program has got as far as main.
func (h *hammerer) begin() error {
	if n := atomic.LoadUint32(&h.page.threads); n != hammerThreads {
		return fmt.Errorf("%d threads to call %s, and not %d", n, hammerFunction, hammerThreads)
	}
	atomic.StoreUint32(&h.page.command, 1)
	return nil
}

// rest makes them stop calling, and returns when no call is under way.
func (h *hammerer) rest(ctx context.Context, p *program) error {
	atomic.StoreUint32(&h.page.command, 0)
	return h.await(ctx, p, func(i int) bool { return atomic.LoadUint32(&h.page.thread[i].resting) == 1 })
}

// progress returns when every thread has come back from two more calls: the
// second of them has seen nothing but what is there now.
func (h *hammerer) progress(ctx context.Context, p *program) error {
	var goal [hammerThreads]uint64
	for i := range goal {
		goal[i] = atomic.LoadUint64(&h.page.thread[i].calls) + 2
	}
	return h.await(ctx, p, func(i int) bool { return atomic.LoadUint64(&h.page.thread[i].calls) >= goal[i] })
}

// hammerLook is how often the page is looked at: the threads have better to do
// than to tell when something has come true.
const hammerLook = time.Millisecond

// await returns when something has come true of each thread.
func (h *hammerer) await(ctx context.Context, p *program, done func(thread int) bool) error {
	tick := time.NewTicker(hammerLook)
	defer tick.Stop()
	for i := 0; i < hammerThreads; {
		if err := h.wrong(); err != nil {
			return err
		}
		if done(i) {
			i++
			continue
		}
		select {
		case <-tick.C:
		case <-p.exited:
			return fmt.Errorf("%s has not come back", hammerFunction)
		case <-ctx.Done():
			return fmt.Errorf("thread %d has not come back from %s: %w", i+1, hammerFunction, context.Cause(ctx))
		}
	}
	return h.wrong()
}

// wrong is what lpbuild_hammer said is wrong, nil if nothing. The text is of
// the program's making.
func (h *hammerer) wrong() error {
	if atomic.LoadUint32(&h.page.wrong) != 2 {
		return nil
	}
	text, _, _ := bytes.Cut(h.page.text[:], []byte{0})
	return fmt.Errorf("%s: %q", hammerFunction, strings.ToValidUTF8(string(text), "?"))
}
