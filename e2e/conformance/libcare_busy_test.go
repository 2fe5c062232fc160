package conformance

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A sitting is how a function of testdata/busy.c stays in use.
type sitting struct {
	name, checks string
	// stay begins it; leave ends it and leaves a process that answers.
	stay  string
	leave func(p *process)
	// mute: meanwhile the process answers nothing.
	mute bool
	// traces: the stack is none of a thread, and what is on it outlasts the use.
	traces bool
}

func byCommand(command string) func(*process) {
	return func(p *process) { p.answers(command, "OUT") }
}

func bySignal(p *process) {
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		p.tb.Fatal(err)
	}
	p.says(startupTimeout, "OUT")
}

var sittings = []sitting{
	{"fail_busy_single", "in the middle of the only thread's stack", "stay 0", byCommand("leave"), false, false},
	{"fail_busy_single_top", "innermost of the only thread", "stay 1", bySignal, true, false},
	{"fail_busy_threads", "in one of three threads; no other function is patched either", "stay 2", byCommand("release"), false, false},
	{"fail_coro", "on the stack of a suspended coroutine, from malloc (swapcontext)", "stay 3", byCommand("release"), false, true},
	{"fail_coro_listed", "the same from mmap, in a list (longjmp)", "stay 4", byCommand("release"), false, true},
}

// libcareBusy are the cases in which the function that shall change is in use.
var libcareBusy = func() []row {
	rows := []row{
		{name: "frame_finish", checks: "a thread is in the function, and it is patched once that has left", test: frameFinish},
		{name: "fail_unpatch", checks: "reverted while the replacement is in use: BUSY, and still PATCHED", test: failUnpatch},
		{name: "fail_unpatch_immediate", checks: "the same with immediate consistency: the call under way ends as it began", test: failUnpatchImmediate},
		{name: "fail_threading", checks: "threads are started without end, each in the function: BUSY, unchanged", test: failThreading},
		{name: "fail_threading_immediate", checks: "the same with immediate consistency: patched and reverted", test: failThreadingImmediate},
	}
	for _, s := range sittings {
		rows = append(rows,
			row{name: s.name, checks: "the function is " + s.checks + ": BUSY, unchanged", test: s.refused},
			row{name: s.name + "_immediate", checks: "the same with immediate consistency: patched, and the call under way ends as it began", test: s.immediate},
			row{name: s.name + "_startup", checks: "the same with stack consistency before main: patched", test: s.startup})
	}
	return rows
}()

var careful = []string{"--consistency", "stack", "--wait", "200ms"}

// busy makes a program of testdata/busy.c and a live patch for both of its functions.
func busy(tb testing.TB, s style) (program, container string) {
	tb.Helper()
	program = obeying(tb, "busy")
	return program, patch{source: "busy", target: program, units: []string{"greet:greet_lp", "other:other_lp"}, style: s}.container(tb)
}

// stays has the function be in use.
func (s sitting) stays(p *process, as string) {
	p.tb.Helper()
	p.answers(s.stay, as)
	p.says(startupTimeout, "IN")
}

// inUse wants BUSY with the reason that a function is in use.
func (e engine) inUse(tb testing.TB, op string, p *process, function string, containers ...string) {
	tb.Helper()
	r := e.do(tb, request{op: op, pids: []int{p.pid}, containers: containers, options: careful, want: "BUSY"})[0]
	if !e.idle && !strings.Contains(r.Reason, " is in "+function+" ") {
		tb.Errorf("reason %q, want %s in it", r.Reason, function)
	}
}

// carefully wants success with stack consistency.
func (e engine) carefully(tb testing.TB, op string, p *process, containers ...string) {
	tb.Helper()
	e.do(tb, request{op: op, pids: []int{p.pid}, containers: containers, options: careful})
}

func (s sitting) refused(tb testing.TB, e engine) {
	eachStyle(tb, func(st style) {
		program, c := busy(tb, st)
		p := e.run(tb, program)
		s.stays(p, "UNPATCHED")
		e.inUse(tb, "apply", p, "greet", c)
		if !s.mute {
			p.answers("greet", "UNPATCHED")
			p.answers("other", "UNPATCHED")
		}
		s.leave(p)
		p.answers("greet", "UNPATCHED")
		if s.traces {
			e.apply(tb, p.pid, c)
		} else {
			e.carefully(tb, "apply", p, c)
		}
		p.answers("greet", "PATCHED")
		p.answers("other", "PATCHED")
	})
}

func (s sitting) immediate(tb testing.TB, e engine) {
	eachStyle(tb, func(st style) {
		program, c := busy(tb, st)
		p := e.run(tb, program)
		s.stays(p, "UNPATCHED")
		e.apply(tb, p.pid, c)
		if !s.mute {
			p.answers("greet", "PATCHED")
		}
		s.leave(p)
		p.answers("greet", "PATCHED")
		p.answers("other", "PATCHED")
		e.revert(tb, p.pid)
		p.answers("greet", "UNPATCHED")
	})
}

func (s sitting) startup(tb testing.TB, e engine) {
	eachStyle(tb, func(st style) {
		program, c := busy(tb, st)
		p := e.startGated(tb, exec.Command(program))
		e.carefully(tb, "apply", p, c)
		p.open()
		s.stays(p, "PATCHED")
		s.leave(p)
	})
}

// inThread has a thread be in the function, so that the process answers meanwhile.
var inThread = sittings[2]

func frameFinish(tb testing.TB, e engine) {
	program, c := busy(tb, ours)
	p := e.run(tb, program)
	inThread.stays(p, "UNPATCHED")
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		e.do(tb, request{op: "apply", pids: []int{p.pid}, containers: []string{c}, options: []string{"--consistency", "stack", "--wait", "20s"}})
	}()
	for began := time.Now(); time.Since(began) < 300*time.Millisecond; {
		p.answers("greet", "UNPATCHED") // nothing is held meanwhile
	}
	if !e.idle {
		select {
		case <-done:
			tb.Fatal("patched, or given up, while the function was in use")
		default:
		}
	}
	inThread.leave(p)
	<-done
	p.answers("greet", "PATCHED")
}

func failUnpatch(tb testing.TB, e engine) {
	eachStyle(tb, func(st style) {
		program, c := busy(tb, st)
		p := e.run(tb, program)
		e.carefully(tb, "apply", p, c)
		inThread.stays(p, "PATCHED")
		e.inUse(tb, "revert", p, "greet of busy_livepatch1.so")
		p.answers("greet", "PATCHED")
		p.answers("other", "PATCHED")
		inThread.leave(p)
		e.carefully(tb, "revert", p)
		p.answers("greet", "UNPATCHED")
		p.answers("other", "UNPATCHED")
	})
}

func failUnpatchImmediate(tb testing.TB, e engine) {
	eachStyle(tb, func(st style) {
		program, c := busy(tb, st)
		p := e.run(tb, program)
		e.apply(tb, p.pid, c)
		inThread.stays(p, "PATCHED")
		e.revert(tb, p.pid)
		p.answers("greet", "UNPATCHED")
		p.answers("other", "UNPATCHED")
		inThread.leave(p)
		p.answers("greet", "UNPATCHED")
	})
}

// chained makes a program of testdata/chain.c and a live patch for it.
func chained(tb testing.TB, s style) (program, container string) {
	tb.Helper()
	program = obeying(tb, "chain")
	return program, patch{source: "chain", target: program, units: []string{"chain:chain_lp", "greet:greet_lp"}, style: s}.container(tb)
}

func failThreading(tb testing.TB, e engine) {
	eachStyle(tb, func(st style) {
		program, c := chained(tb, st)
		p := e.run(tb, program)
		p.answers("begin", "IN")
		e.inUse(tb, "apply", p, "chain", c)
		p.answers("newest", "UNPATCHED")
		p.answers("greet", "UNPATCHED")
		p.answers("end", "OUT")
		e.carefully(tb, "apply", p, c)
		p.answers("greet", "PATCHED")
	})
}

func failThreadingImmediate(tb testing.TB, e engine) {
	eachStyle(tb, func(st style) {
		program, c := chained(tb, st)
		p := e.run(tb, program)
		p.answers("begin", "IN")
		p.answers("newest", "UNPATCHED")
		e.apply(tb, p.pid, c)
		p.becomes("newest", "PATCHED")
		e.revert(tb, p.pid)
		p.becomes("newest", "UNPATCHED")
		p.answers("end", "OUT")
	})
}
