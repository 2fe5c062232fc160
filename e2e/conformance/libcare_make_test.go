package conformance

import (
	"debug/elf"
	"testing"
)

// obeying compiles testdata/source.c together with the main program of testdata/greeter.c.
func obeying(tb testing.TB, source string, libraries ...string) string {
	tb.Helper()
	return program(tb, source, libraries, testdata("greeter"), "-rdynamic")
}

func inFixedProgram(tb testing.TB, s style) greeter {
	p := program(tb, "greet", nil, testdata("greeter"), "-rdynamic", "-no-pie", "-fno-pie")
	c := patch{
		source: "greet", target: p, args: []string{"-DREF_ORIG"}, style: s,
		units: []string{"greet:greet_lp", "#report:report_in_target"},
	}.container(tb)
	return greeter{p, []string{c}, greets}
}

// inProgram replaces greet of a program; args choose the replacement.
func inProgram(args ...string) func(testing.TB, style) greeter {
	return func(tb testing.TB, s style) greeter {
		p := obeying(tb, "greet")
		c := patch{source: "greet", target: p, units: []string{"greet:greet_lp"}, args: args, style: s}.container(tb)
		return greeter{p, []string{c}, greets}
	}
}

// inLibrary replaces greet of a library.
func inLibrary(args ...string) func(testing.TB, style) greeter {
	return func(tb testing.TB, s style) greeter {
		l := library(tb, "greet", "libgreet.so.0")
		c := patch{source: "greet", target: l, units: []string{"greet:greet_lp"}, args: args, style: s}.container(tb)
		return greeter{program(tb, "greeter", []string{l}), []string{c}, greets}
	}
}

func withConstructor(tb testing.TB, s style) greeter {
	p := obeying(tb, "greet")
	c := patch{
		source: "greet", target: p, units: []string{"greet:greet_lp"}, args: []string{"-DINIT_ARRAY"}, constructors: true, style: s,
	}.container(tb)
	return greeter{p, []string{c}, greets}
}

func refersToOriginal(tb testing.TB, s style) greeter {
	p := obeying(tb, "greet")
	c := patch{
		source: "greet", target: p, args: []string{"-DREF_ORIG"}, style: s,
		units: []string{"greet:greet_lp", "#report:report_in_target"},
	}.container(tb)
	return greeter{p, []string{c}, greets}
}

func threeThreads(tb testing.TB, s style) greeter {
	p := obeying(tb, "three")
	c := patch{source: "three", target: p, units: []string{"second:second_lp", "#report:report_in_target"}, style: s}.container(tb)
	return greeter{p, []string{c}, []question{
		{"thread 1", "UNPATCHED", "UNPATCHED"}, {"thread 2", "UNPATCHED", "PATCHED"}, {"thread 3", "UNPATCHED", "UNPATCHED"},
	}}
}

func callsIfunc(tb testing.TB, s style) greeter {
	speak := library(tb, "speak", "libspeak.so.0")
	p := obeying(tb, "greet", speak)
	c := patch{source: "greet", target: p, units: []string{"greet:greet_lp"}, args: []string{"-DIFUNC"}, style: s}.container(tb)
	return greeter{p, []string{c}, greets}
}

func inBoth(tb testing.TB, s style) greeter {
	l := library(tb, "greet", "libgreet.so.0", "-DGREET=greet_of_library")
	p := obeying(tb, "greet", l)
	first := patch{source: "greet", target: p, units: []string{"greet:greet_lp"}, style: s}.container(tb)
	second := patch{
		source: "greet", target: l, units: []string{"greet_of_library:greet_of_library_lp"}, style: s, value: 3,
		args: []string{"-DGREET=greet_of_library"},
	}.container(tb)
	return greeter{p, []string{first, second}, append([]question{{"greet_of_library", "UNPATCHED", "PATCHED"}}, greets...)}
}

// local asks for the variable of the main thread and for that of a new one.
var local = []question{
	{"reset", "RESET", "RESET"},
	{"greet", "UNPATCHED", "PATCHED"}, {"greet", "UNPATCHED, AGAIN", "PATCHED, AGAIN"},
	{"in_thread", "UNPATCHED", "PATCHED"}, {"in_thread", "UNPATCHED", "PATCHED"},
}

func threadLocalOfProgram(tb testing.TB, s style) greeter {
	p := obeying(tb, "local")
	c := patch{
		source: "local", target: p, units: []string{"greet:greet_lp"}, style: s, args: []string{"-ftls-model=initial-exec"},
	}.container(tb)
	return greeter{p, []string{c}, local}
}

func threadLocalOfLibrary(tb testing.TB, s style) greeter {
	l := library(tb, "local", "liblocal.so.0")
	c := patch{
		source: "local", target: l, units: []string{"greet:greet_lp"}, style: s, args: []string{"-ftls-model=initial-exec"},
	}.container(tb)
	return greeter{program(tb, "greeter", []string{l}), []string{c}, local}
}

func withColdPart(tb testing.TB, s style) greeter {
	p := obeying(tb, "cold")
	symbol(tb, p, "greet.cold") // or the case is not there
	c := patch{source: "cold", target: p, units: []string{"greet:greet_lp"}, style: s}
	symbol(tb, c.link(tb), "greet_lp.cold")
	return greeter{p, []string{c.container(tb)}, []question{
		{"greet 0", "UNPATCHED", "PATCHED"}, {"greet 1", "UNPATCHED, COLD", "PATCHED, COLD"},
	}}
}

func withUniqueObject(tb testing.TB, s style) greeter {
	p := obeying(tb, "greet")
	c := patch{source: "unique.cpp", target: p, units: []string{"greet:greet_lp"}, style: s}
	const unique = 10 // STB_GNU_UNIQUE
	if found := symbol(tb, c.link(tb), "_ZZN7counterIiE5valueEvE1n"); elf.ST_BIND(found.Info) != unique {
		tb.Fatalf("binding %v", elf.ST_BIND(found.Info))
	}
	return greeter{p, []string{c.container(tb)}, greets}
}

func openELF(tb testing.TB, name string) *elf.File {
	tb.Helper()
	f, err := elf.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}
