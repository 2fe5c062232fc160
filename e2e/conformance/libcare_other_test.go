package conformance

import (
	"os/exec"
	"testing"
)

// libcareOther are the cases that are not one patch for one state.
var libcareOther = []row{
	{name: "both_separately", checks: "a program and a library, in both orders; each time the other is unaffected", test: bothSeparately},
	{name: "patchlevel", checks: "level 1, then level 2 instead of it, of a program and of a library: SEMIPATCHED, PATCHED", test: patchlevel},
	{name: "patchlevel_stacked", checks: "level 2 on top of level 1, reverted in both orders (LibcarePlus)", test: patchlevelStacked},
	{name: "patchlevel_startup", checks: "level 1, then level 2, before main", test: patchlevelStartup},
	{name: "execve", checks: "a patched process calls exec: it is UNPATCHED, and can be patched again before main", test: execve},
}

func bothSeparately(tb testing.TB, e engine) {
	eachStyle(tb, func(s style) {
		g := inBoth(tb, s)
		library, program := g.questions[0], g.questions[1]
		for _, order := range [][]int{{0, 1}, {1, 0}} {
			steps := []question{program, library}
			first, second := steps[order[0]], steps[order[1]]
			p := e.run(tb, g.program)
			e.apply(tb, p.pid, g.containers[order[0]])
			p.answers(first.ask, first.after)
			p.answers(second.ask, second.before)
			e.apply(tb, p.pid, g.containers[order[1]])
			p.answers(first.ask, first.after)
			p.answers(second.ask, second.after)
			e.revert(tb, p.pid, g.containers[order[0]])
			p.answers(first.ask, first.before)
			p.answers(second.ask, second.after)
			e.apply(tb, p.pid, g.containers[order[0]])
			p.answers(first.ask, first.after)
			e.revert(tb, p.pid)
			g.before(p)
		}
	})
}

// A leveled is a program with two versions of a patch.
type leveled struct {
	program     string
	first, then string
}

func newLeveled(tb testing.TB, s style, inLibrary bool) leveled {
	tb.Helper()
	l := leveled{program: obeying(tb, "greet")}
	target := l.program
	if inLibrary {
		target = library(tb, "greet", "libgreet.so.0")
		l.program = program(tb, "greeter", []string{target})
	}
	make := func(value int) string {
		return patch{source: "greet", target: target, units: []string{"greet:greet_lp"}, value: value, style: s}.container(tb)
	}
	l.first, l.then = make(2), make(3)
	return l
}

// eachLeveled runs the part of a row that must hold for programs and libraries.
func eachLeveled(tb testing.TB, f func(leveled)) {
	eachStyle(tb, func(s style) {
		for _, inLibrary := range []bool{false, true} {
			f(newLeveled(tb, s, inLibrary))
		}
	})
}

func patchlevel(tb testing.TB, e engine) {
	eachLeveled(tb, func(l leveled) {
		p := e.run(tb, l.program)
		p.answers("greet", "UNPATCHED")
		e.apply(tb, p.pid, l.first)
		p.answers("greet", "SEMIPATCHED")
		e.replace(tb, p.pid, l.then)
		p.answers("greet", "PATCHED")
		if s := e.status(tb, p.pid, "APPLIED"); len(s.Patches) != 1 {
			tb.Errorf("%d patches in force, want one", len(s.Patches))
		}
		e.revert(tb, p.pid)
		p.answers("greet", "UNPATCHED")
	})
}

func patchlevelStacked(tb testing.TB, e engine) {
	eachLeveled(tb, func(l leveled) {
		for _, order := range []struct{ first, between, second string }{
			{l.then, "SEMIPATCHED", l.first}, {l.first, "PATCHED", l.then},
		} {
			p := e.run(tb, l.program)
			e.apply(tb, p.pid, l.first)
			p.answers("greet", "SEMIPATCHED")
			e.apply(tb, p.pid, l.then)
			p.answers("greet", "PATCHED")
			e.revert(tb, p.pid, order.first)
			p.answers("greet", order.between)
			e.revert(tb, p.pid, order.second)
			p.answers("greet", "UNPATCHED")
		}
	})
}

func patchlevelStartup(tb testing.TB, e engine) {
	eachLeveled(tb, func(l leveled) {
		p := e.startGated(tb, exec.Command(l.program))
		e.apply(tb, p.pid, l.first)
		e.replace(tb, p.pid, l.then)
		p.open()
		p.answers("greet", "PATCHED")
	})
}

func execve(tb testing.TB, e engine) {
	eachStyle(tb, func(s style) {
		program := obeying(tb, "again")
		c := patch{source: "again", target: program, units: []string{"greet:greet_lp"}, style: s}.container(tb)
		p := e.startGated(tb, exec.Command(program))
		e.apply(tb, p.pid, c)
		p.open()
		p.answers("greet", "PATCHED")
		p.answers("again", "ready") // at the gate
		e.status(tb, p.pid, "NOT-APPLIED")
		e.apply(tb, p.pid, c)
		p.open()
		p.answers("greet", "PATCHED")
		p.answers("again", "ready")
		p.open()
		p.answers("greet", "UNPATCHED")
	})
}
