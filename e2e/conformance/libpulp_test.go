package conformance

import (
	"slices"
	"testing"
)

// libpulpRows are the test cases of libpulp's suite, those that it passes without looking at anything included.
var libpulpRows = slices.Concat(libpulpCalls)

// libpulpCalls: a call reaches the replacement, whatever the function is like.
var libpulpCalls = []row{
	{name: "numserv", checks: "two libraries are patched one after the other; each time the other is unaffected", test: numserv},
	{name: "numserv_bsymbolic", checks: "the same where the libraries are linked with -Bsymbolic", test: numservBsymbolic},
}

func numserv(tb testing.TB, e engine)          { twoLibraries(tb, e) }
func numservBsymbolic(tb testing.TB, e engine) { twoLibraries(tb, e, "-Wl,-Bsymbolic") }

// A number is a library of testdata/numbers.c.
type number struct {
	name, step string
	library    string
}

func newNumber(tb testing.TB, name, step string, args ...string) number {
	tb.Helper()
	args = append([]string{"-DNAME=" + name, "-DSTEP=" + step}, args...)
	return number{name, step, library(tb, "numbers", "lib"+name+".so.0", args...)}
}

// patch makes the library count in value times as large steps, below zero.
func (n number) patch(tb testing.TB, s style, value int) string {
	tb.Helper()
	return patch{
		source: "numbers", target: n.library, units: []string{n.name + ":patched"}, value: value, style: s,
		args: []string{"-DSTEP=" + n.step},
	}.container(tb)
}

func twoLibraries(tb testing.TB, e engine, args ...string) {
	dozens, hundreds := newNumber(tb, "dozens", "12", args...), newNumber(tb, "hundreds", "100", args...)
	asked := program(tb, "asked", []string{dozens.library, hundreds.library})
	eachStyle(tb, func(s style) {
		first, second := dozens.patch(tb, s, 1), hundreds.patch(tb, s, 1)
		p := e.run(tb, asked)
		p.answers("dozens 3", "36")
		p.answers("hundreds 3", "300")
		e.apply(tb, p.pid, first)
		p.answers("dozens 3", "-36")
		p.answers("hundreds 3", "300")
		e.apply(tb, p.pid, second)
		p.answers("dozens 3", "-36")
		p.answers("hundreds 3", "-300")
		e.revert(tb, p.pid, first)
		p.answers("dozens 3", "36")
		p.answers("hundreds 3", "-300")
	})
}
