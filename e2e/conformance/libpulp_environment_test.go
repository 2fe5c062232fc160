package conformance

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// libpulpEnvironment: what surrounds the code: filters, allocators, unwinders, the C library.
var libpulpEnvironment = []row{
	{name: "mprotect_patch", checks: "applied and reverted where a seccomp filter forbids mprotect to make memory executable", test: mprotectPatch},
	{name: "mprotect_patch_access", checks: "the same with references to private variables", test: mprotectPatchAccess},
	{name: "seccomp_disable", checks: "a constructor of the container is denied what a filter denies to the process, unless --disable-seccomp is given; the filter stays in force", test: seccompDisable},
	{name: "constructor", checks: "the process has an allocator of its own, which the container's constructor uses, too", test: constructor},
	{name: "cancel", checks: "pthread_cancel unwinds through functions of a patched library; a replacement through which it could not is refused with the reason", test: cancel},
	{name: "exception_handling", checks: "the same for C++ exceptions", test: exceptionHandling},
	{name: "textrel", checks: "no container has relocations in its code, and one that has is refused", test: textrel},
	{name: "glibc_private", checks: "no container needs a symbol GLIBC_PRIVATE", test: glibcPrivate},
	{name: "run_libc", checks: "the C library runs as a program, with nothing preloaded; lpctl needs none, and patches a program that ld.so was asked to run", test: runLibc},
}

// filtered starts a program that has put a seccomp filter into force.
func filtered(tb testing.TB, e engine, library, filter string) *process {
	tb.Helper()
	p := e.run(tb, program(tb, "asked", []string{library}, testdata("filter"), "-rdynamic"))
	p.answers("denied", "0")
	p.answers(filter, "0")
	p.answers("denied", "1")
	return p
}

func mprotectPatch(tb testing.TB, e engine) {
	n := newNumber(tb, "dozens", "12")
	eachStyle(tb, func(s style) {
		for _, filter := range []string{"deny_mprotect", "deny_mmap"} {
			p := filtered(tb, e, n.library, filter)
			e.apply(tb, p.pid, n.patch(tb, s, 1))
			p.answers("dozens 3", "-36")
			e.revert(tb, p.pid)
			p.answers("dozens 3", "36")
			p.answers("denied", "1")
		}
	})
}

func mprotectPatchAccess(tb testing.TB, e engine) {
	l, _ := private(tb)
	eachStyle(tb, func(s style) {
		c := patch{
			source: "private", target: l, args: []string{"-DACCESS"}, style: s,
			units: []string{"visible:visible_lp", "#secret:secret_in_library", "#other:other_in_library"},
		}.container(tb)
		p := filtered(tb, e, l, "deny_mprotect")
		e.apply(tb, p.pid, c)
		p.answers("visible 2", "41")
		p.answers("read_other", "7")
		e.revert(tb, p.pid)
		p.answers("visible 2", "43")
		p.answers("denied", "1")
	})
}

func seccompDisable(tb testing.TB, e engine) {
	const eperm = "1"
	n := newNumber(tb, "dozens", "12")
	c := patch{source: "wants_wx", target: n.library, units: []string{"dozens:patched"}, style: packer}.container(tb)
	free := e.run(tb, program(tb, "asked", []string{n.library}))
	e.apply(tb, free.pid, c)
	free.answers("dozens 3", "-1")
	p := filtered(tb, e, n.library, "deny_mmap")
	e.apply(tb, p.pid, c)
	p.answers("dozens 3", eperm)
	p.answers("denied", "1")
	e.revert(tb, p.pid)
	p.answers("dozens 3", "36")
	lifted := filtered(tb, e, n.library, "deny_mmap")
	e.trigger(lifted, "--disable-seccomp", c)
	lifted.answers("dozens 3", "-1")
	lifted.answers("denied", "1")
}

func constructor(tb testing.TB, e engine) {
	l := library(tb, "constructor", "libconstructor.so.0")
	asked := program(tb, "asked", []string{l}, testdata("constructor"), "-rdynamic")
	c := patch{source: "constructor", target: l, units: []string{"made:made_lp"}, style: packer}.container(tb)
	p := e.run(tb, asked)
	p.answers("allocated_early", "1")
	p.answers("made", "1")
	e.apply(tb, p.pid, c)
	p.answers("made", "77")
	p.answers("allocated_by_constructor", "1")
	e.revert(tb, p.pid)
	p.answers("made", "1")
}

func cancel(tb testing.TB, e engine) {
	l := library(tb, "cancel", "libcancel.so.0")
	unwinds(tb, e, unwinding{
		asked: program(tb, "asked", []string{l}, testdata("cancel"), "-rdynamic", "-fexceptions"), question: "cancelled", answer: "11",
		patch: patch{source: "cancel", target: l}, passes: "waits:waits_lp",
	})
}

func exceptionHandling(tb testing.TB, e engine) {
	needs(tb, "g++")
	l := library(tb, "exception.cc", "libexception.so.0")
	unwinds(tb, e, unwinding{
		asked:    program(tb, "asked", []string{l}, testdata("exception.cc"), "-rdynamic", "-lstdc++"),
		question: "caught 7", answer: "107",
		patch: patch{source: "exception.cc", target: l}, passes: "through:through_lp",
	})
}

// An unwinding is a program in which something unwinds through a function of a library.
type unwinding struct {
	asked            string
	question, answer string
	patch            patch
	passes           string // the unit that replaces the function
}

// unwinds wants it to work with the library's functions, and with the replacement of the one on the way, or that to be
// refused with the reason and nothing changed.
func unwinds(tb testing.TB, e engine, u unwinding) {
	eachStyle(tb, func(s style) {
		simple, passes := u.patch, u.patch
		simple.units, simple.style, simple.args = []string{"simple:simple_lp"}, s, []string{"-DSIMPLE"}
		passes.units, passes.style = []string{u.passes}, s
		p := e.run(tb, u.asked)
		p.answers(u.question, u.answer)
		e.apply(tb, p.pid, simple.container(tb))
		p.answers("simple", "-1")
		p.answers(u.question, u.answer)
		r := runProgram(tb, request{op: "apply", pids: []int{p.pid}, containers: []string{passes.container(tb)}}.command(lpctl()))
		if one := r.results(tb); len(one) != 1 || one[0].Word != "APPLIED" && (one[0].Word != "BLOCKED" || !strings.Contains(one[0].Reason, "unwind")) {
			tb.Fatalf("neither applied nor refused for a reason:\n%s", r)
		}
		p.answers(u.question, u.answer)
		e.revert(tb, p.pid)
		p.answers("simple", "1")
		p.answers(u.question, u.answer)
	})
}

// containerFiles are the containers of a few rows.
func containerFiles(tb testing.TB) (files []string) {
	n, l := newNumber(tb, "dozens", "12"), library(tb, "cancel", "libcancel.so.0")
	eachStyle(tb, func(s style) {
		files = append(files, n.patch(tb, s, 1), patch{source: "cancel", target: l, units: []string{"simple:simple_lp"}, style: s}.container(tb))
	})
	return files
}

func textrel(tb testing.TB, e engine) {
	for _, file := range containerFiles(tb) {
		if dynamic(tb, file, elf.DT_TEXTREL) || dynamic(tb, file, elf.DT_FLAGS, uint64(elf.DF_TEXTREL)) {
			tb.Errorf("%s has relocations in its code", file)
		}
	}
	n := newNumber(tb, "dozens", "12")
	p := e.run(tb, program(tb, "asked", []string{n.library}))
	bad := patch{
		source: "textrel", target: n.library, units: []string{"dozens:patched"}, args: []string{"-Wl,-z,notext"}, style: ours,
	}.container(tb)
	if !dynamic(tb, bad, elf.DT_TEXTREL) && !dynamic(tb, bad, elf.DT_FLAGS, uint64(elf.DF_TEXTREL)) {
		tb.Fatal("the container to refuse has no relocations in its code")
	}
	e.do(tb, request{op: "apply", pids: []int{p.pid}, containers: []string{bad}, want: "BLOCKED"})
	p.answers("dozens 3", "36")
	e.apply(tb, p.pid, n.patch(tb, ours, 1))
	p.answers("dozens 3", "-36")
}

// dynamic says whether a file has an entry of the dynamic section, with these bits if some are given.
func dynamic(tb testing.TB, file string, tag elf.DynTag, bits ...uint64) bool {
	tb.Helper()
	f := openELF(tb, file)
	defer f.Close()
	values, err := f.DynValue(tag)
	if err != nil {
		tb.Fatal(err)
	}
	return len(values) > 0 && (len(bits) == 0 || values[0]&bits[0] != 0)
}

func glibcPrivate(tb testing.TB, e engine) {
	for _, file := range append(containerFiles(tb), lpctl()) {
		if data, err := os.ReadFile(file); err != nil || bytes.Contains(data, []byte("GLIBC_"+"PRIVATE")) && file != lpctl() {
			tb.Errorf("%s needs symbols that are private to the C library: %v", file, err)
		}
	}
	l := library(tb, "cancel", "libcancel.so.0")
	eachStyle(tb, func(s style) {
		p := e.run(tb, program(tb, "asked", []string{l}))
		e.apply(tb, p.pid, patch{source: "cancel", target: l, units: []string{"simple:simple_lp"}, style: s}.container(tb))
		p.answers("simple", "-1")
	})
}

func runLibc(tb testing.TB, e engine) {
	f := openELF(tb, lpctl())
	defer f.Close()
	if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 {
		tb.Errorf("lpctl needs %v, %v", libraries, err)
	}
	n := newNumber(tb, "dozens", "12")
	asked := program(tb, "asked", []string{n.library})
	p := e.start(tb, exec.Command(interpreter(tb, asked), asked))
	libc := p.file("libc.so.6")
	if out, err := exec.Command(libc).Output(); err != nil || !strings.Contains(string(out), "GNU C Library") {
		tb.Errorf("%s says %q, %v", libc, out, err)
	}
	eachStyle(tb, func(s style) {
		e.apply(tb, p.pid, n.patch(tb, s, 1))
		p.answers("dozens 3", "-36")
		e.revert(tb, p.pid)
		p.answers("dozens 3", "36")
	})
}

// file is the path under which the process maps a file of that name.
func (p *process) file(name string) string {
	p.tb.Helper()
	for _, line := range p.maps() {
		if i := strings.IndexByte(line, '/'); i >= 0 && strings.HasSuffix(line, "/"+name) {
			return line[i:]
		}
	}
	p.tb.Fatal(fmt.Errorf("pid %d does not map %s", p.pid, name))
	return ""
}
