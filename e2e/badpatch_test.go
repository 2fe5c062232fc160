package e2e

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// description is a description that replaces those functions by greet_lp.
func description(functions ...string) string {
	text := "greet.so\n@/usr/lib64/libgreet.so.1\n"
	for _, f := range functions {
		text += f + ":greet_lp\n"
	}
	return text
}

// TestMakeRefuses: make and check refuse alike, for every build that is
// concerned, and leave no container.
func TestMakeRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name             string
		template, source string
		// stale: download ran before the description named this.
		stale bool
		want  refusal
	}{
		{name: "function missing", template: description("no_such"), source: goodSource, want: refusal{
			code: 10, error: `^all 3 failed; the first: greet: libgreet1-1\.0-1\.x86_64: .*"no_such".*not defined`,
			hint: `nm -D`, stdout: `(FAILED .*no_such.*\n){3}$`}},
		{name: "not recorded", template: description("greet_answer"), source: goodSource, stale: true, want: refusal{
			code: 10, error: `libgreet1-1\.0-1\.x86_64: .*"greet_answer".*not recorded`,
			hint: `run lpbuild download again`, stdout: `(FAILED .*greet_answer.*\n){3}$`}},
		{name: "ambiguous", template: description("adjust"), source: goodSource, want: refusal{
			code: 10, error: `libgreet1-1\.0-1\.x86_64: .*"adjust".*ambiguous.*farewell\.c.*greet\.c`,
			hint: `NAME@SOURCE\.c`, stdout: `(FAILED .*adjust.*\n){3}$`}},
		{name: "too short", template: description("greet_nothing"), source: goodSource, want: refusal{
			code: 11, error: `libgreet1-1\.0-1\.x86_64: .*greet_nothing: not livepatchable: function is 1 bytes`,
			hint: `lpbuild livepatchable`, stdout: `(FAILED .*greet_nothing.*\n){3}$`}},
		{name: "unresolvable import", template: description("greet"),
			source: "extern const char *elsewhere(void);\nconst char *greet_lp(void) { return elsewhere(); }\n", want: refusal{
				code: 11, error: `libgreet1-1\.0-1\.x86_64: .*unresolvable import: elsewhere`,
				hint: `what every build offers`, stdout: `(FAILED .*elsewhere.*\n){3}$`}},
		{name: "no such replacement", template: description("greet"), source: "int unrelated;\n", want: refusal{
			code: 2, error: `greet\.in:3:1: .*greet_lp is not defined in greet\.c`}},
		{name: "source does not compile", template: description("greet"), source: "const char *greet_lp(void) {\n", want: refusal{
			code: 1, error: `gcc: .*greet\.c:1:.*error`}},
		{name: "different reasons", template: "greet.so\n@/usr/lib64/libgreet.so.1\ngreet_legacy:greet_lp\ngreet_nothing:nothing_lp\n",
			source: goodSource + "void nothing_lp(void) { }\n", want: refusal{
				code: 3, error: `^all 3 failed, for different reasons; the first: greet: libgreet1-1\.0-1\.x86_64: .*greet_nothing`,
				stdout: `FAILED .*greet_nothing.*\n(FAILED .*greet_legacy.*\n){2}$`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			if tt.stale {
				l.must("lpbuild", "download")
			}
			l.patch(tt.template, tt.source)
			if !tt.stale {
				l.must("lpbuild", "download")
			}
			l.refuses(tt.want, "lpbuild", "check")
			l.refuses(tt.want, "lpbuild", "make")
			l.refuses(tt.want, "lpbuild", "--offline", "rpm")
		})
	}
}

// TestMakeRefusesSome: what can be made is made, whole; the set is not complete,
// so there is no manifest and no package.
func TestMakeRefusesSome(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.patch(description("greet_legacy"), "long greet_lp(long x) { return x; }\n")
	l.must("lpbuild", "download")
	want := refusal{
		code: 3, error: `^2 of 3 failed; the first: greet: libgreet1-1\.1-1\.x86_64: .*greet_legacy`,
		stdout: `(FAILED .*greet_legacy.*\n){2}$`,
	}
	l.refuses(want, "lpbuild", "check")
	want.wrote = []string{"build/greet-livepatches_libgreet1-1.0-1.x86_64_libgreet.so.1_*.so"}
	l.refuses(want, "lpbuild", "make")
	l.must("lpbuild", "dump", l.container("1.0"))
	l.refuses(want, "lpbuild", "rpm")
}

// TestOneFunctionTwice: a description that contradicts itself is told to whoever wrote it, by every stage.
func TestOneFunctionTwice(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.must("lpbuild", "download")
	l.patch(description("greet", "greet"), goodSource)
	for _, stage := range []string{"download", "check", "make", "test", "dist", "rpm", "scan"} {
		l.refuses(refusal{code: 2, error: `greet\.in:4:1: greet is replaced twice, first in line 3`}, "lpbuild", stage)
	}
}

// TestTwoPatchesOneFunction: which of them should win, nobody has said.
func TestTwoPatchesOneFunction(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	writeFile(t, l.project+"/livepatches/other/other.in", "other.so\n@/usr/lib64/libgreet.so.1\ngreet:other_lp\n")
	writeFile(t, l.project+"/livepatches/other/other.c", "const char *other_lp(void) { return \"other\"; }\n")
	l.must("lpbuild", "download")
	want := refusal{
		code: 11, error: `^all 6 failed; the first: greet: libgreet1-1\.0-1\.x86_64: greet\.in:3: .*greet.* and other\.in:3: .*greet.*\[no-overlap\]`,
		stdout: `(FAILED .*\[no-overlap\].*\n){6}$`,
	}
	l.refuses(want, "lpbuild", "check")
	l.refuses(want, "lpbuild", "make")
}

// container is the container that make wrote for a version.
func (l *lab) container(version string) string {
	l.t.Helper()
	found, err := filepath.Glob(l.project + "/build/*_libgreet1-" + version + "-1.x86_64_*.so")
	if err != nil || len(found) != 1 {
		l.t.Fatalf("containers of %s: %v, %v", version, found, err)
	}
	return found[0]
}

// loopSource has a function whose first bytes are the target of a branch.
const loopSource = `
__asm__(".globl loops\n.type loops,@function\nloops:\n1: dec %edi\n jnz 1b\n mov $7,%eax\n ret\n.size loops,.-loops\n");
__asm__(".globl tiny\n.type tiny,@function\ntiny: ret\n.size tiny,.-tiny\n");
int fine(int x) { return x * 3 + 1; }
`

// TestSingleFilesRefused: the tools that need no project.
func TestSingleFilesRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	at := func(name string) string { return filepath.Join(l.project, name) }
	writeFile(t, at("lib.c"), loopSource)
	writeFile(t, at("lp.c"), "int fine_lp(int x) { return x; }\n")
	tool(t, "gcc", "-shared", "-fPIC", "-O1", "-Wl,--build-id,-soname,libx.so.1", "-o", at("libx.so.1"), at("lib.c"))
	tool(t, "gcc", "-shared", "-fPIC", "-O1", "-Wl,--build-id", "-nostartfiles", "-o", at("lp.so"), at("lp.c"))
	for function, reason := range map[string]string{"loops": "jump", "tiny": "1 bytes"} {
		l.refuses(refusal{code: 11, error: `^libx\.so\.1: 1 of 1 functions not livepatchable; the first: ` + function + `: .*` + reason, hint: "livepatchable",
			stdout: `none +` + function + ` .*` + reason}, "lpbuild", "livepatchable", "libx.so.1", function)
		writeFile(t, at(function+".dsc"), "lp.so\n@libx.so.1\n"+function+":fine_lp\n")
		l.refuses(refusal{code: 11, error: `^` + function + `\.dsc:3:1: .*` + reason, hint: "livepatchable"},
			"lpbuild", "pack", function+".dsc")
	}
	writeFile(t, at("absent.dsc"), "lp.so\n@libx.so.1\nabsent:fine_lp\n")
	l.refuses(refusal{code: 10, error: `^absent\.dsc:3:1: .*absent.*not defined`, hint: "nm -D"}, "lpbuild", "pack", "absent.dsc")
	writeFile(t, at("bad.dsc"), "lp.so\n@libx.so.1\nfine\n")
	l.refuses(refusal{code: 2, error: `^bad\.dsc:3:`}, "lpbuild", "pack", "bad.dsc")
}

// TestTruncatedContainer: wherever a container ends early, no program takes it
// for one.
func TestTruncatedContainer(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.must("lpbuild", "download")
	l.must("lpbuild", "make")
	whole := readFile(t, l.container("1.2"))
	cut := filepath.Join(l.project, "cut.so")
	name := regexp.QuoteMeta("cut.so: ")
	for _, n := range []int{10, 64, 1000, len(whole) / 2, len(whole) - 1} {
		writeFile(t, cut, string(whole[:n]))
		for _, args := range [][]string{{"lpbuild", "dump"}, {"lpctl", "apply"}, {"lpctl", "replace"}, {"lpctl", "check"}, {"lpctl", "status"}} {
			l.refuses(refusal{code: 15, error: `^(\S*/)?` + name + `.*corrupt`, hint: "make the container again"},
				args[0], args[1], "cut.so")
		}
	}
	writeFile(t, cut, strings.Repeat("not ELF\n", 100))
	l.refuses(refusal{code: 2, error: name, hint: "lpbuild make"}, "lpctl", "apply", "cut.so")
}

// TestDamagedContainerIsMadeAnew: what lies in build/ is compared with what make wrote.
func TestDamagedContainerIsMadeAnew(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.must("lpbuild", "download")
	l.must("lpbuild", "make")
	name := l.container("1.2")
	whole := readFile(t, name)
	writeFile(t, name, string(half(whole)))
	l.must("lpbuild", "make")
	if string(readFile(t, name)) != string(whole) {
		t.Error("the container was not made anew")
	}
}
