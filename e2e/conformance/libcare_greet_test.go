package conformance

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A greeting is a case of LibCare's in which a function says UNPATCHED and then, live, PATCHED.
type greeting struct {
	name, checks string
	// make builds it.
	make func(tb testing.TB, s style) greeter
}

// A greeter is a program with live patches for it, and what to ask it.
type greeter struct {
	program    string
	containers []string
	questions  []question
}

// A question is a command of testdata/greeter.c and what is answered.
type question struct{ ask, before, after string }

var greets = []question{{"greet", "UNPATCHED", "PATCHED"}}

var greetings = []greeting{
	{"simplest", "one function of the program", inProgram()},
	{"simplest_fixed", "one function of a program that is not position independent (ET_EXEC)", inFixedProgram},
	{"new_func", "the patch has a function of its own", inProgram("-DNEW_FUNC")},
	{"ref_orig_single", "the patch calls another function of the program, which is not exported", refersToOriginal},
	{"ref_orig_threads", "the same with three threads, of which one runs the function", threeThreads},
	{"ref_rodata", "the patch has constants and strings", inProgram("-DREF_RODATA")},
	{"ref_glibc", "the patch calls a function of libc that the program does not use", inProgram("-DREF_GLIBC")},
	{"ref_glibc_data", "the patch uses a variable of libc", inProgram("-DREF_GLIBC_DATA")},
	{"ifunc", "the patch calls a library's function with a resolver (STT_GNU_IFUNC), which nobody called before", callsIfunc},
	{"shared", "one function of a library", inLibrary()},
	{"shared_ref_glibc", "one of a library that calls libc", inLibrary("-DREF_GLIBC")},
	{"init_array", "the patch has a constructor (LibcarePlus)", withConstructor},
	{"both", "a function of the program and one of a library, in one step", inBoth},
	{"tls_simple", "a thread-local variable of the program", threadLocalOfProgram},
	{"tls_shared", "a thread-local variable of a library (initial-exec)", threadLocalOfLibrary},
	{"new_var", "the patch has a variable of its own (LibcarePlus)", inProgram("-DNEW_VAR")},
	{"cold_func_suffix", "function and replacement have parts that the compiler moved away (LibcarePlus)", withColdPart},
	{"gnu_unique_object", "the patch has an object of STB_GNU_UNIQUE (LibcarePlus)", withUniqueObject},
}

// A flavour is how LibCare's suite runs every case.
type flavour struct {
	suffix, checks string
	run            func(tb testing.TB, e engine, g greeter)
}

var flavours = []flavour{
	{"", "by file", byFile},
	{"_dir", "by folder", byFolder},
	{"_unpatch", "reverted", unpatched},
	{"_startup", "before main", beforeMain},
	{"_startup_ld", "before main, started as an argument of ld.so", beforeMainOfLoader},
}

// libcareGreetings are all greetings in all flavours.
var libcareGreetings = func() []row {
	var rows []row
	for _, g := range greetings {
		for _, f := range flavours {
			rows = append(rows, row{name: g.name + f.suffix, checks: g.checks + "; " + f.checks, test: func(tb testing.TB, e engine) {
				eachStyle(tb, func(s style) { f.run(tb, e, g.make(tb, s)) })
			}})
		}
	}
	return rows
}()

// before and after ask all questions.
func (g greeter) before(p *process) {
	p.tb.Helper()
	for _, q := range g.questions {
		p.answers(q.ask, q.before)
	}
}

func (g greeter) after(p *process) {
	p.tb.Helper()
	for _, q := range g.questions {
		p.answers(q.ask, q.after)
	}
}

func byFile(tb testing.TB, e engine, g greeter) {
	p := e.run(tb, g.program)
	g.before(p)
	e.apply(tb, p.pid, g.containers...)
	g.after(p)
}

func byFolder(tb testing.TB, e engine, g greeter) {
	dir := tb.TempDir()
	for _, c := range g.containers {
		data, err := os.ReadFile(c)
		if err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(c)), data, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	p := e.run(tb, g.program)
	g.before(p)
	e.apply(tb, p.pid, dir)
	g.after(p)
}

func unpatched(tb testing.TB, e engine, g greeter) {
	p := e.run(tb, g.program)
	for range 2 {
		g.before(p)
		e.apply(tb, p.pid, g.containers...)
		g.after(p)
		e.revert(tb, p.pid)
	}
	g.before(p)
}

func beforeMain(tb testing.TB, e engine, g greeter) { gated(tb, e, g, exec.Command(g.program)) }

func beforeMainOfLoader(tb testing.TB, e engine, g greeter) {
	gated(tb, e, g, exec.Command(interpreter(tb, g.program), g.program))
}

// gated patches a program when everything is loaded and nothing of it has run.
func gated(tb testing.TB, e engine, g greeter, cmd *exec.Cmd) {
	p := e.startGated(tb, cmd)
	e.apply(tb, p.pid, g.containers...)
	p.open()
	g.after(p)
}

// startGated starts a program with testdata/gate.c, at which it waits.
func (e engine) startGated(tb testing.TB, cmd *exec.Cmd) *process {
	tb.Helper()
	cmd.Env = append(os.Environ(), "LD_PRELOAD="+library(tb, "gate", "libgate.so.0"))
	return e.start(tb, cmd)
}

// open lets a process through the gate, up to its main.
func (p *process) open() {
	p.tb.Helper()
	p.tell("")
	p.says(startupTimeout, "ready")
}

// interpreter is the program interpreter of a program: ld.so.
func interpreter(tb testing.TB, program string) string {
	tb.Helper()
	f := openELF(tb, program)
	defer f.Close()
	for _, s := range f.Sections {
		if s.Name == ".interp" {
			text, err := io.ReadAll(s.Open())
			if err != nil || len(text) == 0 {
				tb.Fatalf("%s: .interp %q: %v", program, text, err)
			}
			return string(text[:len(text)-1])
		}
	}
	tb.Fatalf("%s has no interpreter", program)
	return ""
}
