package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// libpulpCommands: libpulp's own command line, which lpctl has, too.
var libpulpCommands = []row{
	{name: "libpulp_messages", checks: "`ulp messages` says that the process is ready, and what was patched and removed where", test: libpulpMessages},
	{name: "relative_path", checks: "`ulp packer` and `ulp trigger` with paths relative to the current folder", test: relativePath},
	{name: "revert_all", checks: "`--revert-all=LIB` undoes three patches, and has nothing to do before and afterwards", test: revertAll},
	{name: "revert_all_target1", checks: "`--revert-all=target` with a container puts it in the place of the earlier ones", test: revertAllTarget1},
	{name: "revert_all_target2", checks: "`--revert-all=target` without a container changes nothing", test: revertAllTarget2},
	{name: "revert_and_patch", checks: "a patch is applied again after `--revert-all`", test: revertAndPatch},
	{name: "revert_with_invalid", checks: "a container that is not there, with `--revert-all`: nothing is reverted", test: revertWithInvalid},
	{name: "livepatchable", checks: "`ulp livepatchable` tells libraries built for live patching from others; both are patched", test: livepatchable},
	{name: "manyprocesses", checks: "`ulp trigger` without -p, with a pattern of containers and `--revert-all`: three processes are patched", test: manyprocesses},
	{name: "prefix", checks: "`-R PREFIX`: the container is found below PREFIX", test: prefix},
	{name: "comments", checks: "`ulp patches` and `lpctl status` show the bug and CVE numbers of a description", test: comments},
	{name: "set_patchable", checks: "live patches are forbidden and allowed again by pid, then by name and user", test: setPatchable},
	{name: "path_disable", checks: "`LIBPULP_DISABLE_ON_PATH` in the environment of a process forbids live patches in it", test: pathDisable},
	{name: "user_disable", checks: "the same for `LIBPULP_DISABLE_ON_USERS`", test: userDisable},
	{name: "group_disable", checks: "the same for `LIBPULP_DISABLE_ON_GROUPS`", test: groupDisable},
	{name: "patches", checks: "`ulp patches` of a process that is not there fails and says so; of one that is, it lists what is in force", test: patches},
}

// hundreds starts a program with libhundreds.
func hundreds(tb testing.TB, e engine) (number, *process) {
	tb.Helper()
	n := newNumber(tb, "hundreds", "100")
	return n, e.run(tb, program(tb, "asked", []string{n.library}))
}

// trigger runs ulp trigger on a process, which must succeed.
func (e engine) trigger(p *process, args ...string) {
	p.tb.Helper()
	want := answer{stdout: []string{fmt.Sprintf("(pid: %d): SUCCESS", p.pid)}, stderr: []string{"Processes patched: 1, Skipped: 0, Failed: 0."}}
	e.ulp(p.tb, want, append([]string{"trigger", "-r", "100", "-p", p.id()}, args...)...)
}

func (p *process) id() string { return strconv.Itoa(p.pid) }

func libpulpMessages(tb testing.TB, e engine) {
	n, p := hundreds(tb, e)
	e.ulp(tb, answer{stdout: []string{"libpulp loaded"}}, "messages", "-p", p.id())
	container := n.patch(tb, packer, 1)
	e.trigger(p, container)
	p.answers("hundreds 1", "-100")
	at := fmt.Sprintf("%#x", p.base(n.library)+symbol(tb, n.library, n.name).Value)
	applied := []string{"libpulp loaded", "Patch path: ", filepath.Base(container), "Patching function " + at + " to 0x"}
	e.ulp(tb, answer{stdout: applied}, "messages", "-p", p.id())
	e.trigger(p, "--revert", container)
	p.answers("hundreds 1", "100")
	e.ulp(tb, answer{stdout: append(applied, "Removing patch from "+at)}, "messages", "-p", p.id())
}

func relativePath(tb testing.TB, e engine) {
	n, p := hundreds(tb, e)
	dir := temporaryFolder(tb)
	linked := patch{source: "numbers", style: packer, args: []string{"-DSTEP=100"}}.link(tb)
	data, err := os.ReadFile(linked)
	if err != nil {
		tb.Fatal(err)
	}
	library, err := filepath.Rel(work, n.library)
	if err != nil {
		tb.Fatal(err)
	}
	name := filepath.Base(dir) + "/container.so" // ulp runs in the folder above
	for file, content := range map[string]string{"container.so": string(data), "row.dsc": name + "\n@" + library + "\nhundreds:patched\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	e.ulp(tb, answer{}, "packer", filepath.Base(dir)+"/row.dsc")
	e.trigger(p, "./"+name)
	p.answers("hundreds 1", "-100")
	e.trigger(p, "--revert", name)
	p.answers("hundreds 1", "100")
}

// applied triggers three patches.
func (e engine) threePatches(n number, p *process) {
	p.tb.Helper()
	for value := range 3 {
		e.trigger(p, n.patch(p.tb, packer, value+1))
		p.answers("hundreds 1", strconv.Itoa(-100*(value+1)))
	}
}

func revertAll(tb testing.TB, e engine) {
	n, p := hundreds(tb, e)
	all := "--revert-all=" + filepath.Base(n.library)
	nothing := answer{stdout: []string{"SKIPPED No patches installed"}, stderr: []string{"Processes patched: 0, Skipped: 1, Failed: 0."}}
	e.ulp(tb, nothing, "trigger", "-p", p.id(), all)
	p.answers("hundreds 1", "100")
	e.threePatches(n, p)
	e.trigger(p, all)
	p.answers("hundreds 1", "100")
	e.ulp(tb, nothing, "trigger", "-p", p.id(), all)
}

func revertAllTarget1(tb testing.TB, e engine) {
	n, p := hundreds(tb, e)
	e.threePatches(n, p)
	e.trigger(p, "--revert-all=target", n.patch(tb, packer, 7))
	p.answers("hundreds 1", "-700")
	if r := e.status(tb, p.pid, "APPLIED"); len(r.Patches) != 1 {
		tb.Errorf("in force: %+v", r.Patches)
	}
	e.trigger(p, "--revert", n.patch(tb, packer, 7))
	p.answers("hundreds 1", "100")
}

func revertAllTarget2(tb testing.TB, e engine) {
	n, p := hundreds(tb, e)
	e.threePatches(n, p)
	r := runProgram(tb, exec.Command(lpctl(), "ulp", "trigger", "-p", p.id(), "--revert-all=target"))
	if strings.Contains(r.stdout, "SUCCESS") || strings.Contains(r.stderr, "patched: 1") {
		tb.Errorf("success without a container\n%s", r)
	}
	p.answers("hundreds 1", "-300")
}

func revertAndPatch(tb testing.TB, e engine) {
	n, p := hundreds(tb, e)
	for range 2 {
		e.threePatches(n, p)
		e.trigger(p, "--revert-all=librowhundreds.so.0")
		p.answers("hundreds 1", "100")
	}
}

func revertWithInvalid(tb testing.TB, e engine) {
	n, p := hundreds(tb, e)
	e.threePatches(n, p)
	for _, all := range []string{"target", "librowhundreds.so.0"} {
		r := runProgram(tb, exec.Command(lpctl(), "ulp", "trigger", "-p", p.id(), "--revert-all="+all, filepath.Join(work, "nowhere.so")))
		if r.code == 0 || strings.Contains(r.stdout, "SUCCESS") {
			tb.Errorf("success without the container\n%s", r)
		}
		p.answers("hundreds 1", "-300")
	}
}

func livepatchable(tb testing.TB, e engine) {
	stock, built := newNumber(tb, "hundreds", "100"), newNumber(tb, "hundreds", "100", "-fpatchable-function-entry=16,14")
	no := answer{code: 1, stderr: []string{"is not livepatchable: Missing __patchable_function_entries section."}}
	e.ulp(tb, no, "livepatchable", stock.library)
	e.ulp(tb, answer{stderr: []string{"file '" + built.library + "' is livepatchable."}}, "livepatchable", built.library)
	e.ulp(tb, answer{code: 1}, "livepatchable", filepath.Join(work, "nowhere.so"))
	for _, n := range []number{stock, built} {
		p := e.run(tb, program(tb, "asked", []string{n.library}))
		e.trigger(p, n.patch(tb, packer, 1))
		p.answers("hundreds 1", "-100")
		e.trigger(p, "--revert", n.patch(tb, packer, 1))
		p.answers("hundreds 1", "100")
	}
}

func manyprocesses(tb testing.TB, e engine) {
	n := newNumber(tb, "hundreds", "100", "-DFOR_MANY_PROCESSES", "-Wl,-z,now") // a build that no other row runs
	other := newNumber(tb, "dozens", "12", "-DFOR_MANY_PROCESSES", "-Wl,-z,now")
	asked := program(tb, "asked", []string{n.library, other.library})
	dir := temporaryFolder(tb)
	for name, container := range map[string]string{"one.so": n.patch(tb, packer, 2), "two.so": other.patch(tb, packer, 1)} {
		if err := os.Link(container, filepath.Join(dir, name)); err != nil {
			tb.Fatal(err)
		}
	}
	var all []*process
	for range 3 {
		p := e.run(tb, asked)
		e.trigger(p, n.patch(tb, packer, 1))
		p.answers("hundreds 1", "-100")
		all = append(all, p)
	}
	three := answer{code: anyCode, stderr: []string{"Processes patched: 3,"}}
	e.ulp(tb, three, "trigger", "--revert-all=target", dir+"/*.so")
	for _, p := range all {
		p.answers("hundreds 1", "-200")
		p.answers("dozens 1", "-12")
	}
	for _, c := range []struct{ library, hundreds, dozens string }{{"librowhundreds.so.0", "100", "-12"}, {"librowdozens.so.0", "100", "12"}} {
		for _, p := range all {
			e.trigger(p, "--revert-all="+c.library)
			p.answers("hundreds 1", c.hundreds)
			p.answers("dozens 1", c.dozens)
		}
	}
}

func prefix(tb testing.TB, e engine) {
	n, p := hundreds(tb, e)
	root := temporaryFolder(tb)
	const below = "/livepatches-of-this-row/container.so"
	if err := os.Mkdir(filepath.Dir(root+below), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.Link(n.patch(tb, packer, 1), root+below); err != nil {
		tb.Fatal(err)
	}
	e.trigger(p, "-R", root, below)
	p.answers("hundreds 1", "-100")
	e.trigger(p, "-R", root, "--revert", below)
	p.answers("hundreds 1", "100")
}

func comments(tb testing.TB, e engine) {
	n, p := hundreds(tb, e)
	for s := range numStyle {
		c := patch{
			source: "numbers", target: n.library, units: []string{"hundreds:patched"}, args: []string{"-DSTEP=100"}, style: s,
			comments: []string{" This livepatch fixes bsc#1200316, jsc#SLE-20049, and CVE-2021-3449."},
		}.container(tb)
		e.trigger(p, c)
		p.answers("hundreds 1", "-100")
		e.ulp(tb, answer{stdout: []string{
			"livepatch: " + filepath.Base(c) + " loaded on ", "bug labels: bsc#1200316 jsc#SLE-20049 CVE-2021-3449",
		}}, "patches", "-p", p.id())
		if r := e.status(tb, p.pid, "APPLIED"); strings.Join(r.Patches[0].References, " ") != "bsc#1200316 jsc#SLE-20049 CVE-2021-3449" {
			tb.Errorf("references %q", r.Patches[0].References)
		}
		e.trigger(p, "--revert", c)
		p.answers("hundreds 1", "100")
	}
}

func patches(tb testing.TB, e engine) {
	gone := exec.Command("true")
	if err := gone.Run(); err != nil {
		tb.Fatal(err)
	}
	if r := runProgram(tb, exec.Command(lpctl(), "ulp", "patches", "-p", strconv.Itoa(gone.Process.Pid))); r.code <= 0 || r.code > 2 || r.stderr == "" {
		tb.Errorf("a process that has ended is no error\n%s", r)
	}
	n, p := hundreds(tb, e)
	e.threePatches(n, p)
	r := e.ulp(tb, answer{stdout: []string{"PID: " + p.id() + ", name: asked", "Livepatching status: enabled", "in " + n.library}}, "patches", "-p", p.id())
	if count := strings.Count(r.stdout, "livepatch: numbers_livepatch"); count != 3 || strings.Index(r.stdout, "livepatch3") > strings.Index(r.stdout, "livepatch1") {
		tb.Errorf("three patches, the newest first, are wanted\n%s", r)
	}
}
