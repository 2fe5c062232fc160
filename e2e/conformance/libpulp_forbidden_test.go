package conformance

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// forbidden wants live patches to be refused in a process, and nothing to change.
func (e engine) forbidden(p *process, n number) {
	p.tb.Helper()
	c := n.patch(p.tb, packer, 1)
	e.do(p.tb, request{op: "apply", pids: []int{p.pid}, containers: []string{c}, want: "BLOCKED"})
	e.ulp(p.tb, answer{stderr: []string{"Processes patched: 0, Skipped: 1, Failed: 0."}}, "trigger", "-p", p.id(), c)
	e.ulp(p.tb, answer{stdout: []string{"Livepatching status: disabled by user"}}, "patches", "-p", p.id())
	p.answers("hundreds 1", "100")
}

// allowed wants them to work.
func (e engine) allowed(p *process, n number) {
	p.tb.Helper()
	e.trigger(p, n.patch(p.tb, packer, 1))
	p.answers("hundreds 1", "-100")
	e.trigger(p, "--revert", n.patch(p.tb, packer, 1))
	p.answers("hundreds 1", "100")
}

func setPatchable(tb testing.TB, e engine) {
	n := newNumber(tb, "hundreds", "100")
	file, name := named(tb, program(tb, "asked", []string{n.library}), "settable")
	p := e.run(tb, file)
	user := strconv.Itoa(os.Geteuid())
	for _, which := range [][]string{{"-p", p.id()}, {"-p", name, "-u", user}} {
		e.ulp(tb, answer{stderr: []string{fmt.Sprintf("%s (pid: %d): livepatching is now disabled.", name, p.pid)}},
			append([]string{"set_patchable", "disable"}, which...)...)
		e.forbidden(p, n)
		e.ulp(tb, answer{stderr: []string{fmt.Sprintf("%s (pid: %d): livepatching is now enabled.", name, p.pid)}},
			append([]string{"set_patchable", "enable"}, which...)...)
		e.allowed(p, n)
	}
}

func pathDisable(tb testing.TB, e engine) {
	n := newNumber(tb, "hundreds", "100")
	asked := program(tb, "asked", []string{n.library})
	disabledBy(tb, e, n, "LIBPULP_DISABLE_ON_PATH", "/usr/bin/other:"+asked[:len(asked)-2]+"*", "/usr/bin/other:/usr/sbin/*")
}

func userDisable(tb testing.TB, e engine) {
	user := strconv.Itoa(os.Geteuid())
	disabledBy(tb, e, newNumber(tb, "hundreds", "100"), "LIBPULP_DISABLE_ON_USERS", "12345:"+user, "12345")
}

func groupDisable(tb testing.TB, e engine) {
	group := strconv.Itoa(os.Getegid())
	disabledBy(tb, e, newNumber(tb, "hundreds", "100"), "LIBPULP_DISABLE_ON_GROUPS", "12345:"+group, "12345")
}

// disabledBy starts a process with a variable that means it, and one with a variable that means others.
func disabledBy(tb testing.TB, e engine, n number, variable, this, others string) {
	asked := program(tb, "asked", []string{n.library})
	for value, check := range map[string]func(*process, number){this: e.forbidden, others: e.allowed} {
		cmd := exec.Command(asked)
		cmd.Env = append(os.Environ(), variable+"="+value)
		check(e.start(tb, cmd), n)
	}
}
