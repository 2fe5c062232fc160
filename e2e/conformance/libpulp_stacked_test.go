package conformance

import (
	"strconv"
	"testing"
)

// libpulpStacked: several live patches, in any order.
var libpulpStacked = []row{
	{name: "revert", checks: "three patches of one function are reverted in every order; the newest that is left is in force", test: revert},
	{name: "process", checks: "a function of the program itself", test: processRow},
	{name: "process_revert", checks: "the same, reverted, and applied again", test: processRevert},
	{name: "process_access", checks: "a private variable of the program itself", test: processAccess},
}

func revert(tb testing.TB, e engine) {
	n := newNumber(tb, "hundreds", "100")
	asked := program(tb, "asked", []string{n.library})
	eachStyle(tb, func(s style) {
		patches := []string{n.patch(tb, s, 1), n.patch(tb, s, 2), n.patch(tb, s, 3)}
		for _, order := range [][]int{{1, 2, 0}, {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {2, 0, 1}, {2, 1, 0}} {
			p := e.run(tb, asked)
			in := make([]bool, len(patches))
			expect := func() {
				tb.Helper()
				want := "100"
				for i, applied := range in {
					if applied {
						want = strconv.Itoa(-100 * (i + 1))
					}
				}
				p.answers("hundreds 1", want)
			}
			expect()
			for i := range patches {
				e.apply(tb, p.pid, patches[i])
				in[i] = true
				expect()
			}
			for _, i := range order {
				e.revert(tb, p.pid, patches[i])
				in[i] = false
				expect()
			}
		}
	})
}

// executable is a program with functions to patch, and a patch for some of them.
func executable(tb testing.TB, s style, units ...string) (asked, container string) {
	tb.Helper()
	asked = program(tb, "asked", nil, testdata("executable"), "-rdynamic", "-fcf-protection=none")
	return asked, patch{source: "executable", target: asked, units: units, style: s}.container(tb)
}

func processRow(tb testing.TB, e engine) {
	eachStyle(tb, func(s style) {
		asked, c := executable(tb, s, "global:local_lp")
		p := e.run(tb, asked)
		p.answers("global 3", "11")
		e.apply(tb, p.pid, c)
		p.answers("global 3", "-3")
	})
}

func processRevert(tb testing.TB, e engine) {
	eachStyle(tb, func(s style) {
		asked, c := executable(tb, s, "local:local_lp")
		p := e.run(tb, asked)
		for range 2 {
			p.answers("through_local 3", "8")
			e.apply(tb, p.pid, c)
			p.answers("through_local 3", "-3")
			e.revert(tb, p.pid)
		}
		p.answers("through_local 3", "8")
	})
}

func processAccess(tb testing.TB, e engine) {
	eachStyle(tb, func(s style) {
		asked, c := executable(tb, s, "global:global_lp", "#counter:counter_in_program")
		p := e.run(tb, asked)
		e.apply(tb, p.pid, c)
		p.answers("global 3", "1000")
		p.answers("counted", "8")
		e.revert(tb, p.pid)
		p.answers("global 3", "14")
	})
}
