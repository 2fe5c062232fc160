package conformance

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// libpulpSymbols: what a live patch needs of its target, and what it lacks.
var libpulpSymbols = []row{
	{name: "hidden", checks: "a function that is in .symtab alone is replaced", test: hidden},
	{name: "access", checks: "references to private variables, with offsets that the description gives", test: access},
	{name: "access2", checks: "the same with offsets that are looked up", test: access2},
	{name: "tls", checks: "a reference to a private thread-local variable, in two threads", test: tls},
	{name: "visibility", checks: "a live patch that needs a hidden symbol is refused, with the symbol's name; with a reference it works", test: visibility},
	{name: "missing_function", checks: "a container without the replacement, or for a place where no function begins, is refused, and nothing is changed", test: missingFunction},
	{name: "buildid", checks: "another build of the library keeps its code, and is named", test: buildid},
}

// private are a library of testdata/private.c and a program that uses it.
func private(tb testing.TB) (lib, asked string) {
	tb.Helper()
	lib = library(tb, "private", "libprivate.so.0", "-ftls-model=global-dynamic")
	return lib, program(tb, "asked", []string{lib})
}

func hidden(tb testing.TB, e engine) {
	l, asked := private(tb)
	eachStyle(tb, func(s style) {
		c := patch{source: "private", target: l, units: []string{"hidden:hidden_lp"}, args: []string{"-DHIDDEN"}, style: s}.container(tb)
		p := e.run(tb, asked)
		p.answers("visible 2", "42")
		e.apply(tb, p.pid, c)
		p.answers("visible 2", "1002")
		e.revert(tb, p.pid)
		p.answers("visible 2", "42")
	})
}

func access(tb testing.TB, e engine) {
	l, _ := private(tb)
	privateVariables(tb, e, func(linked, target, variable string) string {
		return fmt.Sprintf("#%s:%s:%016x:%016x", target, variable, symbol(tb, l, target).Value, symbol(tb, linked, variable).Value)
	})
}

func access2(tb testing.TB, e engine) {
	privateVariables(tb, e, func(_, target, variable string) string { return "#" + target + ":" + variable })
}

func privateVariables(tb testing.TB, e engine, reference func(linked, target, variable string) string) {
	l, asked := private(tb)
	eachStyle(tb, func(s style) {
		c := patch{source: "private", target: l, args: []string{"-DACCESS"}, style: s}
		linked := c.link(tb)
		c.units = []string{
			"visible:visible_lp", reference(linked, "secret", "secret_in_library"), reference(linked, "other", "other_in_library"),
		}
		p := e.run(tb, asked)
		p.answers("visible 2", "42")
		e.apply(tb, p.pid, c.container(tb))
		p.answers("visible 2", "41")
		p.answers("read_secret", "41")
		p.answers("read_other", "7")
		e.revert(tb, p.pid)
		p.answers("visible 2", "43")
	})
}

func tls(tb testing.TB, e engine) {
	l, asked := private(tb)
	eachStyle(tb, func(s style) {
		c := patch{
			source: "private", target: l, args: []string{"-DTHREAD_LOCAL"}, style: s,
			units: []string{"banner_set:banner_set_lp", "#%banner:banner_in_library"},
		}.container(tb)
		p := e.run(tb, asked)
		p.answers("banner_set 5", "5")
		e.apply(tb, p.pid, c)
		p.answers("banner_set 6", "6")
		p.answers("read_banner", "600")
		p.answers("thread banner_set 7", "7")
		p.answers("thread read_banner", "3") // another thread once more
		p.answers("read_banner", "600")
		e.revert(tb, p.pid)
		p.answers("banner_set 5", "5")
		p.answers("read_banner", "5")
	})
}

func visibility(tb testing.TB, e engine) {
	l, asked := private(tb)
	eachStyle(tb, func(s style) {
		refused := patch{
			source: "private", target: l, units: []string{"doubled:doubled_lp"}, style: s,
			args: []string{"-DNEEDS_HIDDEN", "-Wl,-z,undefs"},
		}.container(tb)
		works := patch{
			source: "private", target: l, units: []string{"doubled:doubled_lp", "#twice_secret:twice_in_library"}, style: s,
			args: []string{"-DREFERS_TO_HIDDEN"},
		}.container(tb)
		p := e.run(tb, asked)
		p.answers("doubled", "80")
		r := e.do(tb, request{op: "apply", pids: []int{p.pid}, containers: []string{refused}, want: "BLOCKED"})[0]
		if !e.idle && !strings.Contains(r.Reason, "twice_secret") {
			tb.Errorf("reason %q does not name the symbol", r.Reason)
		}
		p.answers("doubled", "80")
		e.apply(tb, p.pid, works)
		p.answers("doubled", "-80")
		e.revert(tb, p.pid)
		p.answers("doubled", "80")
	})
}

func missingFunction(tb testing.TB, e engine) {
	n := newNumber(tb, "dozens", "12")
	asked := program(tb, "asked", []string{n.library})
	eachStyle(tb, func(s style) {
		good := n.patch(tb, s, 1)
		p := e.run(tb, asked)
		for what, section := range map[string]string{"replacement": ".dynstr", "function": ".ulp"} {
			before := strings.Join(p.maps(), "\n")
			damaged := damage(tb, good, section)
			r := runProgram(tb, request{op: "apply", pids: []int{p.pid}, containers: []string{damaged}}.command(lpctl()))
			if r.code == 0 || strings.Contains(r.stdout, "APPLIED") {
				tb.Errorf("a container without its %s is accepted\n%s", what, r)
			}
			p.answers("dozens 3", "36")
			if after := strings.Join(p.maps(), "\n"); after != before {
				tb.Errorf("without the %s, memory was mapped:\n%s\nbefore:\n%s", what, after, before)
			}
		}
		e.apply(tb, p.pid, good)
		p.answers("dozens 3", "-36")
		e.revert(tb, p.pid)
		p.answers("dozens 3", "36")
	})
}

// damage makes a container that names another replacement than it has (in .dynstr), or another place (in .ulp).
func damage(tb testing.TB, container, section string) string {
	tb.Helper()
	f := openELF(tb, container)
	defer f.Close()
	s := f.Section(section)
	data, err := os.ReadFile(container)
	if err != nil {
		tb.Fatal(err)
	}
	part, name := data[s.Offset:s.Offset+s.FileSize], []byte("patched\x00")
	if bytes.Count(part, name) != 1 {
		tb.Fatalf("%s: %q is not once in %s", container, name, section)
	}
	at := bytes.Index(part, name)
	if section == ".ulp" {
		part[at+len(name)]++ // the address that follows
	} else {
		copy(part[at:], "unknown")
	}
	file := filepath.Join(temporaryFolder(tb), filepath.Base(container))
	if err := os.WriteFile(file, data, 0o644); err != nil {
		tb.Fatal(err)
	}
	return file
}

func buildid(tb testing.TB, e engine) {
	first, second := newNumber(tb, "dozens", "12"), newNumber(tb, "dozens", "12", "-DANOTHER_BUILD", "-g0")
	asked := program(tb, "asked", []string{second.library})
	eachStyle(tb, func(s style) {
		p := e.run(tb, asked)
		p.answers("dozens 3", "36")
		r := e.do(tb, request{op: "apply", pids: []int{p.pid}, containers: []string{first.patch(tb, s, 1)}, want: "NO-PATCH-FOR-BUILD"})[0]
		p.answers("dozens 3", "36")
		if !e.idle && (r.BuildID == "" || !strings.Contains(r.Reason, r.BuildID)) {
			tb.Errorf("reason %q does not name the build %s", r.Reason, r.BuildID)
		}
		e.apply(tb, p.pid, second.patch(tb, s, 1))
		p.answers("dozens 3", "-36")
		e.revert(tb, p.pid)
		p.answers("dozens 3", "36")
	})
}
