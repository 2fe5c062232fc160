package conformance

import (
	"strconv"
	"strings"
	"testing"
)

// libpulpRunning: what the threads of the process are doing meanwhile.
var libpulpRunning = []row{
	{name: "blocked", checks: "a thread stays in the library: with `--consistency stack` the answer is `BUSY` and nothing changes, until it leaves", test: blocked},
	{name: "contract", checks: "with `--consistency stack` a call of the library is served by the old functions or by the new ones, never by both", test: contract},
	{name: "deadlock", checks: "applies and reverts under four threads in the allocator and one in the dynamic linker, each on the first try", test: deadlock},
	{name: "asunsafe_conversion", checks: "the function is called in 1000 signal handlers while it is applied and reverted: none is lost, each gets an old or a new answer", test: asunsafeConversion},
	{name: "redzone", checks: "the only thread computes in its red zone, which check, apply and revert leave alone", test: redzone},
	{name: "terminal", checks: "the parent of the process is told of no stop", test: terminal},
	{name: "syscall_restart", checks: "no read, poll, epoll_wait, recv, nanosleep or sem_timedwait ends early", test: syscallRestart},
	{name: "memory_protection", checks: "the process has made the function's page writable; it is so afterwards, and the process writes to it", test: memoryProtection},
}

// inside are a library of testdata/inside.c, a program that uses it and a patch of both functions.
func inside(tb testing.TB, s style) (asked, both string) {
	tb.Helper()
	l := library(tb, "inside", "libinside.so.0", "-pthread")
	both = patch{source: "inside", target: l, units: []string{"part:part_lp", "stay:stay_lp"}, style: s}.container(tb)
	return program(tb, "asked", []string{l}), both
}

func blocked(tb testing.TB, e engine) {
	eachStyle(tb, func(s style) {
		asked, both := inside(tb, s)
		p := e.run(tb, asked)
		stack := request{op: "apply", pids: []int{p.pid}, containers: []string{both}, options: []string{"--consistency", "stack", "--wait", "50ms"}}
		p.answers("enter", "0")
		refused := stack
		refused.want = "BUSY"
		e.do(tb, refused)
		p.answers("part", "1")
		p.answers("leave", "3")
		e.do(tb, stack)
		p.answers("part", "100")
		p.answers("stay", "600")
		e.revert(tb, p.pid)
		p.answers("part", "1")
	})
}

func contract(tb testing.TB, e engine) {
	eachStyle(tb, func(s style) {
		asked, both := inside(tb, s)
		p := e.run(tb, asked)
		stack := request{op: "apply", pids: []int{p.pid}, containers: []string{both}, options: []string{"--consistency", "stack", "--wait", "50ms"}}
		refused := stack
		refused.want = "BUSY"
		p.answers("enter", "0")
		e.do(tb, refused)
		p.answers("again", "0")
		e.do(tb, refused)
		p.answers("leave", "6") // all parts are old ones
		e.do(tb, stack)
		p.answers("part", "100")
		p.answers("stay", "600")
		// Without it, the call that is going on takes new parts.
		e.revert(tb, p.pid)
		p.answers("enter", "0")
		e.apply(tb, p.pid, both)
		p.answers("again", "0")
		p.answers("leave", "303")
	})
}

func deadlock(tb testing.TB, e engine) {
	n := newNumber(tb, "dozens", "12")
	asked := program(tb, "asked", []string{n.library}, testdata("allocates"), "-rdynamic")
	eachStyle(tb, func(s style) {
		c := n.patch(tb, s, 1)
		p := e.run(tb, asked)
		p.answers("begin", "5")
		for range rounds(6, 100) {
			p.answers("all_go_on", "5")
			e.apply(tb, p.pid, c)
			p.answers("dozens 3", "-36")
			p.answers("all_go_on", "5")
			e.revert(tb, p.pid)
			p.answers("dozens 3", "36")
		}
	})
}

func asunsafeConversion(tb testing.TB, e engine) {
	l := library(tb, "signals", "libsignals.so.0")
	asked := program(tb, "asked", []string{l}, testdata("signals"), "-rdynamic")
	const signals = 1000
	eachStyle(tb, func(s style) {
		c := patch{source: "signals", target: l, units: []string{"convert:convert_lp"}, style: s}.container(tb)
		p := e.run(tb, asked)
		for _, after := range []struct{ news, olds string }{{"1000", "0"}, {"0", "1000"}} {
			p.answers("barrage 1000", "0")
			if after.news == "1000" {
				e.apply(tb, p.pid, c)
			} else {
				e.revert(tb, p.pid)
			}
			p.answers("barraged", "1000")
			p.answers("wrongs", "0")
			olds, news := number64(tb, p.ask("olds")), number64(tb, p.ask("news"))
			if olds+news != signals {
				tb.Fatalf("%d old and %d new answers of %d", olds, news, signals)
			}
			p.answers("barrage 1000", "0")
			p.answers("barraged", "1000")
			p.answers("news", after.news)
			p.answers("olds", after.olds)
		}
	})
}

func number64(tb testing.TB, text string) int64 {
	tb.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func redzone(tb testing.TB, e engine) {
	l := library(tb, "redzone", "libredzone.so.0")
	computes := program(tb, "redzone", []string{l})
	eachStyle(tb, func(s style) {
		c := patch{source: "redzone", target: l, units: []string{"answer:answer_lp"}, style: s}.container(tb)
		p := e.run(tb, computes)
		for range rounds(8, 300) {
			e.check(tb, p.pid, "NOT-APPLIED", c)
			e.apply(tb, p.pid, c)
			p.answers("", "10")
			e.check(tb, p.pid, "ALREADY", c)
			e.revert(tb, p.pid)
			p.answers("", "1")
		}
	})
}

func terminal(tb testing.TB, e engine) {
	n := newNumber(tb, "dozens", "12")
	asked := program(tb, "asked", []string{n.library}, testdata("watched"))
	eachStyle(tb, func(s style) {
		p := e.run(tb, asked) // the parent: its exit code says what it saw
		child := int(number64(tb, p.ask("getpid")))
		for range rounds(5, 500) {
			e.apply(tb, child, n.patch(tb, s, 1))
			p.answers("dozens 3", "-36")
			e.revert(tb, child)
			p.answers("dozens 3", "36")
		}
	})
}

func syscallRestart(tb testing.TB, e engine) {
	n := newNumber(tb, "dozens", "12")
	asked := program(tb, "asked", []string{n.library}, testdata("waits"), "-rdynamic")
	eachStyle(tb, func(s style) {
		p := e.run(tb, asked)
		p.answers("wait_in_calls", "6")
		for range rounds(8, 300) {
			e.apply(tb, p.pid, n.patch(tb, s, 1))
			p.answers("dozens 3", "-36")
			e.revert(tb, p.pid)
			p.answers("dozens 3", "36")
			p.answers("ended_early", "0")
		}
	})
}

func memoryProtection(tb testing.TB, e engine) {
	n := newNumber(tb, "dozens", "12")
	asked := program(tb, "asked", []string{n.library}, testdata("rwx"), "-rdynamic")
	eachStyle(tb, func(s style) {
		p := e.run(tb, asked)
		p.answers("unprotect", "0")
		p.answers("scribble 7", "7")
		check := func(answer string) {
			tb.Helper()
			p.answers("dozens 3", answer)
			p.answers("scribble 7", "7")
			p.answers("scribble 0", "0")
			if !strings.Contains(p.mapping(p.base(n.library)+symbol(tb, n.library, "dozens").Value), " rwx") {
				tb.Errorf("the page is not writable and executable: %s", strings.Join(p.maps(), "\n"))
			}
		}
		check("36")
		e.apply(tb, p.pid, n.patch(tb, s, 1))
		check("-36")
		e.revert(tb, p.pid)
		check("36")
	})
}
