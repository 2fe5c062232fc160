package injector

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A crew are the operating-system threads of the tracers of one operation.
// Those that have nothing to do wait for the next process: to start one, and to
// make its buffers, takes longer than many system calls. The zero value is one.
type crew struct {
	mu   sync.Mutex
	idle []chan traceTask
	// dismissed: nobody waits any more.
	dismissed bool
}

// A traceTask is what a thread of a crew does for one process.
type traceTask struct {
	p    *process
	f    func(*tracer) error
	done chan<- traced
}

// traced is how a tracer ended: the id of its thread, and whether something is
// attached until that thread is gone.
type traced struct {
	err      error
	tid      int
	attached bool
}

// trace runs f with a new tracer on an operating-system thread that is nobody
// else's meanwhile, and that ends if anything could not be detached: the kernel
// then lets it go. The main thread is never used, because Go parks it rather
// than let it end (runtime.mexit), and its tracees would stay frozen; nor is one
// that has children, whose end poll would take from whoever waits for them.
func (c *crew) trace(p *process, f func(*tracer) error) error {
	done := make(chan traced, 1)
	task := traceTask{p, f, done}
	if waiting := c.take(); waiting != nil {
		waiting <- task
	} else {
		go c.work(task)
	}
	r := <-done
	if r.attached {
		awaitExit(r.tid)
	}
	return r.err
}

// take gives what a thread waits on that has nothing to do, nil if none has.
func (c *crew) take() chan traceTask {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.idle) - 1
	if last < 0 {
		return nil
	}
	waiting := c.idle[last]
	c.idle = c.idle[:last]
	return waiting
}

// rest has a thread wait for tasks; false if there will be none.
func (c *crew) rest(tasks chan traceTask) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dismissed {
		c.idle = append(c.idle, tasks)
	}
	return !c.dismissed
}

// dismiss ends the threads that wait, and the others as soon as they have done
// what they are at.
func (c *crew) dismiss() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dismissed = true
	for _, tasks := range c.idle {
		close(tasks)
	}
	c.idle = nil
}

// work is what a thread of a crew does: one task after the other. It returns,
// and the thread ends, when the crew is dismissed or something stays attached.
func (c *crew) work(task traceTask) {
	runtime.LockOSThread()
	b := newTraceBuffers()
	tasks := make(chan traceTask, 1)
	for more := true; more; task, more = <-tasks {
		if unix.Gettid() == unix.Getpid() || hasTasks() {
			inner := make(chan traced, 1)
			go c.work(traceTask{task.p, task.f, inner})
			r := <-inner
			runtime.UnlockOSThread()
			task.done <- r
			return
		}
		err := traceWith(b, task.p, task.f)
		r := traced{err: err, tid: unix.Gettid(), attached: hasTasks()}
		rests := !r.attached && c.rest(tasks)
		task.done <- r
		if !rests {
			return
		}
	}
}

func traceWith(b *traceBuffers, p *process, f func(*tracer) error) error {
	t := &tracer{
		p: p, buffers: b, byID: make(map[int]*thread), judge: newJudge(b.program),
		rings: slices.ContainsFunc(p.maps, mapping.ring),
	}
	return t.begin(f)
}

// hasTasks reports whether anything is this thread's to be waited for: a process
// that it has forked, or a task that it has attached to, also one that has ended.
func hasTasks() bool {
	const options = unix.WEXITED | unix.WNOHANG | unix.WNOWAIT | unix.WALL | unix.WNOTHREAD
	return !errors.Is(unix.Waitid(unix.P_ALL, 0, nil, options, nil), unix.ECHILD)
}

// awaitExit waits until a thread of this program has ended, which it is about to.
func awaitExit(tid int) {
	const most = time.Second
	for deadline := time.Now().Add(most); time.Now().Before(deadline); {
		if errors.Is(unix.Tgkill(unix.Getpid(), tid, 0), unix.ESRCH) {
			return
		}
		nanosleep(20 * time.Microsecond)
	}
}

// traceBuffers is memory that tracers need while threads are held, one after the
// other. It is made beforehand, since a garbage collection may come with it.
type traceBuffers struct {
	// file is room for a file of procfs, stack for a part of a stack, program for
	// a seccomp filter.
	file, stack, program []byte
}

func newTraceBuffers() *traceBuffers {
	return &traceBuffers{
		file: make([]byte, maxProcFile), stack: make([]byte, stackChunk+frameSize),
		program: make([]byte, seccompMost*seccompWord),
	}
}
