package conformance

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// libpulpProcesses: many processes, and odd ones.
var libpulpProcesses = []row{
	{name: "stress", checks: "one command without -p patches every one of 300 forked processes (4000 in a soak)", test: stress, alone: true},
	{name: "pcqueue", checks: "processes of one name are all found while others begin and end without pause", test: pcqueue},
	{name: "insn_queue", checks: "64 functions in one set: all are replaced, or none where one of them can't be", test: insnQueue},
	{name: "tempfiles", checks: "lpctl creates, renames and removes no file", test: tempfiles},
	{name: "nolibpulp", checks: "a process without libpulp and without LD_PRELOAD is patched, and has neither afterwards", test: nolibpulp},
	{name: "chroot", checks: "a process that has changed its root to /proc, where the container can't be seen", test: chroot},
	{name: "notes", checks: "the build-id is found among several PT_NOTE, with gnu hash tables alone, and in segments at odd places", test: notes},
	{name: "dlopen", checks: "the process's own dlopen works as before; what it loads is patched, too, and what it unloads is no obstacle", test: dlopen},
	{name: "dlsym_lock", checks: "a thread holds the dynamic linker's locks, in a constructor that does not return", test: dlsymLock},
}

// buildID is the build-id of a library.
func buildID(tb testing.TB, library string) string {
	tb.Helper()
	f, err := elfinfo.Open(library)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	return string(f.BuildID())
}

// named is a program under a name that no other process has.
func named(tb testing.TB, program, name string) (file, glob string) {
	tb.Helper()
	glob = fmt.Sprintf("%s%d", name, os.Getpid())
	file = filepath.Join(temporaryFolder(tb), glob)
	if err := os.Link(program, file); err != nil {
		tb.Fatal(err)
	}
	return file, glob
}

func stress(tb testing.TB, e engine) {
	n := newNumber(tb, "stress", "12") // a build that no other row runs
	many := program(tb, "asked", []string{n.library}, testdata("many"), "-rdynamic")
	children, build := rounds(300, 4000), buildID(tb, n.library)
	p := e.run(tb, many)
	p.answers(fmt.Sprintf("spawn %d", children), strconv.Itoa(children))
	p.answers("how_many 12", strconv.Itoa(children))
	for i := range numStyle {
		c := n.patch(tb, i, 1)
		e.do(tb, request{op: "apply", containers: []string{c}, count: children + 1, build: build})
		p.answers("how_many -12", strconv.Itoa(children))
		e.do(tb, request{op: "revert", containers: []string{c}, count: children + 1, build: build})
		p.answers("how_many 12", strconv.Itoa(children))
	}
}

func pcqueue(tb testing.TB, e engine) {
	n := newNumber(tb, "dozens", "12")
	asked, glob := named(tb, program(tb, "asked", []string{n.library}), "pcqueue")
	storm := program(tb, "churn", nil)
	for range 2 {
		e.run(tb, storm)
	}
	var all []*process
	for range 20 {
		all = append(all, e.run(tb, asked))
	}
	for range rounds(3, 100) {
		e.do(tb, request{op: "apply", globs: []string{glob}, containers: []string{n.patch(tb, ours, 1)}, count: len(all)})
		for _, p := range all {
			p.answers("dozens 3", "-36")
		}
		e.do(tb, request{op: "revert", globs: []string{glob}, count: len(all)})
		for _, p := range all {
			p.answers("dozens 3", "36")
		}
	}
}

func insnQueue(tb testing.TB, e engine) {
	l := library(tb, "sixtyfour", "libsixtyfour.so.0")
	asked := program(tb, "asked", []string{l})
	var units []string
	for i := range 64 {
		units = append(units, fmt.Sprintf("f%d%d:f%d%d_lp", i/8+1, i%8, i/8+1, i%8))
	}
	const breakpoint = 0xcc
	eachStyle(tb, func(s style) {
		c := patch{source: "sixtyfour", target: l, units: units, style: s}.container(tb)
		p := e.run(tb, asked)
		p.answers("replaced", "0")
		last := p.base(l) + symbol(tb, l, "f87").Value
		first := p.memory(last, 1)
		p.poke(last, []byte{breakpoint})
		e.do(tb, request{op: "apply", pids: []int{p.pid}, containers: []string{c}, want: "BLOCKED"})
		p.poke(last, first)
		p.answers("replaced", "0")
		e.apply(tb, p.pid, c)
		p.answers("replaced", "64")
		e.revert(tb, p.pid)
		p.answers("replaced", "0")
	})
}

// poke writes to a process.
func (p *process) poke(at uint64, b []byte) {
	p.tb.Helper()
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", p.pid), os.O_RDWR, 0)
	if err != nil {
		p.tb.Fatal(err)
	}
	defer mem.Close()
	if _, err := mem.WriteAt(b, int64(at)); err != nil {
		p.tb.Fatalf("pid %d: %#x: %v", p.pid, at, err)
	}
}

// changesFiles matches a successful system call that makes, renames or removes a file.
var changesFiles = regexp.MustCompile(`(?m)(O_CREAT|O_TMPFILE|^[0-9 ]*(mkdir|rename|link|symlink|unlink|rmdir|mknod|truncate)[a-z0-9]*\().*= [0-9]`)

func tempfiles(tb testing.TB, e engine) {
	needs(tb, "strace")
	n := newNumber(tb, "dozens", "12")
	asked := program(tb, "asked", []string{n.library})
	eachStyle(tb, func(s style) {
		c := n.patch(tb, s, 1)
		p := e.run(tb, asked)
		for _, step := range []struct {
			op, answer string
			containers []string
		}{{"apply", "-36", []string{c}}, {"revert", "36", nil}} {
			if calls := e.traced(tb, request{op: step.op, pids: []int{p.pid}, containers: step.containers}); changesFiles.MatchString(calls) {
				tb.Errorf("%s changes files: %q", step.op, changesFiles.FindAllString(calls, -1))
			}
			p.answers("dozens 3", step.answer)
		}
	})
}

// traced runs a request and returns the system calls about files that it makes.
func (e engine) traced(tb testing.TB, r request) string {
	tb.Helper()
	if e.idle {
		e.calls.Add(1)
		return ""
	}
	log := filepath.Join(temporaryFolder(tb), "calls")
	cmd := r.command(lpctl())
	traced := runProgram(tb, exec.Command("strace", append([]string{"-f", "-qq", "-e", "trace=file,memfd_create", "-o", log}, cmd.Args...)...))
	text, err := os.ReadFile(log)
	if traced.code != 0 || err != nil || !strings.Contains(string(text), "openat(") {
		tb.Fatalf("%v\n%s\n%s", err, traced, text)
	}
	return string(text)
}

func nolibpulp(tb testing.TB, e engine) {
	n := newNumber(tb, "dozens", "12")
	asked := program(tb, "asked", []string{n.library})
	eachStyle(tb, func(s style) {
		cmd := exec.Command(asked)
		cmd.Env = []string{}
		p := e.start(tb, cmd)
		e.apply(tb, p.pid, n.patch(tb, s, 1))
		p.answers("dozens 3", "-36")
		if maps := strings.Join(p.maps(), "\n"); strings.Contains(maps, "libpulp") || strings.Contains(maps, "livepatch") {
			tb.Errorf("a file of somebody else is mapped:\n%s", maps)
		}
		if environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid)); err != nil || len(environ) > 0 {
			tb.Errorf("environment %q, %v", environ, err)
		}
		e.revert(tb, p.pid)
		p.answers("dozens 3", "36")
	})
}

func chroot(tb testing.TB, e engine) {
	if os.Geteuid() != 0 {
		tb.Skip("chroot needs root")
	}
	n := newNumber(tb, "dozens", "12")
	asked := program(tb, "asked", []string{n.library}, testdata("jail"), "-rdynamic")
	eachStyle(tb, func(s style) {
		p := e.run(tb, asked)
		p.answers("enter_jail", "0")
		e.apply(tb, p.pid, n.patch(tb, s, 1))
		p.answers("dozens 3", "-36")
		e.revert(tb, p.pid)
		p.answers("dozens 3", "36")
	})
}

func notes(tb testing.TB, e engine) {
	for name, args := range map[string][]string{
		"several notes":        {testdata("notes"), "-fcf-protection=full"},
		"gnu hash table alone": {"-Wl,--hash-style=gnu"},
		"sysv hash table":      {"-Wl,--hash-style=sysv"},
		"high first segment":   {"-Wl,-Ttext-segment=0x340000"},
		"code and data shared": {"-Wl,-z,noseparate-code"},
	} {
		n := newNumber(tb, "dozens", "12", args...)
		if found := noteSegments(tb, n.library); name == "several notes" && found < 2 {
			tb.Fatalf("%d PT_NOTE, want several", found)
		}
		p := e.run(tb, program(tb, "asked", []string{n.library}, "-Wl,--hash-style=gnu"))
		e.apply(tb, p.pid, n.patch(tb, packer, 1))
		p.answers("dozens 3", "-36")
		e.revert(tb, p.pid)
		p.answers("dozens 3", "36")
	}
}

// noteSegments counts the PT_NOTE of a library.
func noteSegments(tb testing.TB, library string) int {
	tb.Helper()
	f := openELF(tb, library)
	defer f.Close()
	count := 0
	for _, p := range f.Progs {
		if p.Type == elf.PT_NOTE {
			count++
		}
	}
	return count
}

func dlopen(tb testing.TB, e engine) {
	dozens, hundreds := newNumber(tb, "dozens", "12"), newNumber(tb, "hundreds", "100")
	asked := program(tb, "asked", []string{dozens.library}, testdata("loads"), "-rdynamic")
	eachStyle(tb, func(s style) {
		cmd := exec.Command(asked)
		cmd.Env = append(os.Environ(), "LIBRARY="+hundreds.library)
		p := e.start(tb, cmd)
		e.apply(tb, p.pid, dozens.patch(tb, s, 1))
		for range 2 {
			p.answers("load", "0")
			p.answers("loaded 3", "300")
			p.answers("dozens 3", "-36")
			e.apply(tb, p.pid, hundreds.patch(tb, s, 1))
			p.answers("loaded 3", "-300")
			p.answers("unload", "0")
			if maps := strings.Join(p.maps(), "\n"); strings.Contains(maps, hundreds.library) {
				tb.Fatalf("the library is still mapped:\n%s", maps)
			}
		}
		p.answers("dozens 3", "-36")
		e.revert(tb, p.pid)
		p.answers("dozens 3", "36")
	})
}

func dlsymLock(tb testing.TB, e engine) {
	n := newNumber(tb, "dozens", "12")
	slow := gcc(tb, "libslow.so", "-fPIC", "-shared", testdata("slow"))
	asked := program(tb, "asked", []string{n.library}, testdata("loads"), "-rdynamic")
	eachStyle(tb, func(s style) {
		cmd := exec.Command(asked)
		cmd.Env = append(os.Environ(), "LIBRARY="+slow)
		p := e.start(tb, cmd)
		p.answers("find finish_load", "0") // dlsym would wait for the lock
		p.answers("dozens 3", "36")
		p.answers("begin_load", "0")
		for range 2 {
			e.apply(tb, p.pid, n.patch(tb, s, 1))
			p.answers("dozens 3", "-36")
			e.revert(tb, p.pid)
			p.answers("dozens 3", "36")
		}
		p.answers("finish_load", "0")
	})
}
