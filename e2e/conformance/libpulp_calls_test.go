package conformance

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"strings"
	"testing"
)

// libpulpCalls: a call reaches the replacement, whatever the function is like.
var libpulpCalls = []row{
	{name: "numserv", checks: "two libraries are patched one after the other; each time the other is unaffected", test: numserv},
	{name: "numserv_bsymbolic", checks: "the same where the libraries are linked with -Bsymbolic", test: numservBsymbolic},
	{name: "parameters", checks: "ten integers and ten floating-point numbers pass through the detour", test: parameters},
	{name: "recursion", checks: "a function that calls itself, and a replacement that calls it", test: recursion},
	{name: "recursion2", checks: "two functions that call each other, one of them reached through a reference", test: recursion2},
	{name: "pagecross", checks: "entries that straddle two pages, padded or not; where a jump could only be written in two steps, the answer is `BLOCKED`", test: pagecross},
	{name: "endbr64", checks: "applied and reverted behind an endbr64, which stays in its place", test: endbr64},
}

func numserv(tb testing.TB, e engine)          { twoLibraries(tb, e) }
func numservBsymbolic(tb testing.TB, e engine) { twoLibraries(tb, e, "-Wl,-Bsymbolic") }

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

func parameters(tb testing.TB, e engine) {
	l := library(tb, "parameters", "libparameters.so.0")
	asked := program(tb, "asked", []string{l}, testdata("parameters"), "-rdynamic")
	eachStyle(tb, func(s style) {
		p := e.run(tb, asked)
		whole := p.ask("all")
		e.apply(tb, p.pid, patch{source: "parameters", target: l, units: []string{"weighed:weighed_lp"}, style: s}.container(tb))
		p.answers("all", "-"+whole)
		e.revert(tb, p.pid)
		p.answers("all", whole)
	})
}

func recursion(tb testing.TB, e engine) {
	l := library(tb, "recursion", "librecursion.so.0")
	asked := program(tb, "asked", []string{l})
	eachStyle(tb, func(s style) {
		p := e.run(tb, asked)
		p.answers("sum 4", "10")
		e.apply(tb, p.pid, patch{source: "recursion", target: l, units: []string{"sum:sum_lp"}, style: s}.container(tb))
		p.answers("sum 4", "1010")
		e.revert(tb, p.pid)
		p.answers("sum 4", "10")
	})
}

func recursion2(tb testing.TB, e engine) {
	l := library(tb, "recursion", "librecursion.so.0")
	asked := program(tb, "asked", []string{l})
	eachStyle(tb, func(s style) {
		c := patch{
			source: "recursion", target: l, style: s, args: []string{"-DPRIVATE"},
			units: []string{"even:even_lp", "#odd:odd_in_library", "#calls:calls_in_library"},
		}.container(tb)
		p := e.run(tb, asked)
		p.answers("even 4", "1")
		p.answers("counted", "5")
		e.apply(tb, p.pid, c)
		p.answers("even 4", "7")
		p.answers("counted", "307") // two more calls of odd, 100 for each of the three of the replacement
		e.revert(tb, p.pid)
		p.answers("even 4", "1")
		p.answers("counted", "312")
	})
}

func pagecross(tb testing.TB, e engine) {
	for _, c := range []struct {
		at, padding int
		refused     bool // no jump at all can be written within one page there
	}{{-1, 0, true}, {-1, 14, true}, {-2, 0, false}, {-4, 0, false}, {1, 14, false}, {8, 14, false}, {13, 22, false}} {
		l := library(tb, "pagecross", "libpagecross.so.0", fmt.Sprintf("-DAT=%d", c.at), fmt.Sprintf("-DPADDING=%d", c.padding))
		asked := program(tb, "asked", []string{l})
		eachStyle(tb, func(s style) {
			r := request{op: "apply", containers: []string{
				patch{source: "pagecross", target: l, units: []string{"crossing:crossing_lp"}, style: s}.container(tb),
			}}
			p := e.run(tb, asked)
			r.pids = []int{p.pid}
			if c.refused {
				r.want = "BLOCKED"
				if reason := e.do(tb, r)[0].Reason; !e.idle && !strings.Contains(reason, "straddles two pages") {
					tb.Errorf("reason %q", reason)
				}
				p.answers("crossing 3", "7")
				return
			}
			e.do(tb, r)
			p.answers("crossing 3", "-3")
			e.revert(tb, p.pid)
			p.answers("crossing 3", "7")
		})
	}
}

func endbr64(tb testing.TB, e engine) {
	for _, flags := range [][]string{
		{"-fcf-protection=full"},
		{"-fcf-protection=full", "-fpatchable-function-entry=16,14"},
		{"-fcf-protection=full", "-fpatchable-function-entry=24,22"},
	} {
		n := newNumber(tb, "dozens", "12", flags...)
		asked := program(tb, "asked", []string{n.library})
		eachStyle(tb, func(s style) {
			p := e.run(tb, asked)
			for range 2 {
				startsWithEndbr64(tb, p, n)
				p.answers("dozens 3", "36")
				e.apply(tb, p.pid, n.patch(tb, s, 1))
				startsWithEndbr64(tb, p, n)
				p.answers("dozens 3", "-36")
				e.revert(tb, p.pid)
			}
			startsWithEndbr64(tb, p, n)
			p.answers("dozens 3", "36")
		})
	}
}

// startsWithEndbr64 looks at the function in the memory of a process.
func startsWithEndbr64(tb testing.TB, p *process, n number) {
	tb.Helper()
	at := p.base(n.library) + symbol(tb, n.library, n.name).Value
	if got := p.memory(at, 4); !bytes.Equal(got, []byte{0xf3, 0x0f, 0x1e, 0xfa}) {
		tb.Fatalf("pid %d: %s begins with % x", p.pid, n.name, got)
	}
}

// A number is a library of testdata/numbers.c.
type number struct {
	name, step string
	library    string
}

func newNumber(tb testing.TB, name, step string, args ...string) number {
	tb.Helper()
	args = append([]string{"-DNAME=" + name, "-DSTEP=" + step}, args...)
	return number{name, step, library(tb, "numbers", "librow"+name+".so.0", args...)}
}

// patch makes the library count in value times as large steps, below zero.
func (n number) patch(tb testing.TB, s style, value int) string {
	tb.Helper()
	return patch{
		source: "numbers", target: n.library, units: []string{n.name + ":patched"}, value: value, style: s,
		args: []string{"-DSTEP=" + n.step},
	}.container(tb)
}

// symbol looks up a symbol of a library.
func symbol(tb testing.TB, library, name string) elf.Symbol {
	tb.Helper()
	f := openELF(tb, library)
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		tb.Fatal(err)
	}
	for _, s := range symbols {
		if s.Name == name {
			return s
		}
	}
	tb.Fatalf("%s has no symbol %s", library, name)
	return elf.Symbol{}
}

// memory reads from a process.
func (p *process) memory(at uint64, n int) []byte {
	p.tb.Helper()
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", p.pid))
	if err != nil {
		p.tb.Fatal(err)
	}
	defer mem.Close()
	b := make([]byte, n)
	if _, err := mem.ReadAt(b, int64(at)); err != nil {
		p.tb.Fatalf("pid %d: %#x: %v", p.pid, at, err)
	}
	return b
}
