package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// An engine is how a row reaches the program under test. Two exist: the real one, and one whose apply, revert and
// replace do nothing and answer what the row wants to hear. What only looks (check, status) is always real.
type engine struct {
	idle bool
	// patience is how long a row waits for what it wants to see.
	patience time.Duration
	// calls counts what was asked of an idle engine.
	calls *atomic.Int64
}

func realEngine() engine { return engine{patience: 30 * time.Second, calls: new(atomic.Int64)} }

func idleEngine() engine {
	return engine{idle: true, patience: 300 * time.Millisecond, calls: new(atomic.Int64)}
}

// commandTimeout bounds one run of a program.
const commandTimeout = 60 * time.Second

// A request is one call of lpctl.
type request struct {
	op         string // apply, revert, replace; check and status only look
	containers []string
	pids       []int
	globs      []string
	// options stand before the command: --consistency stack, say.
	options []string
	// want is the word for every process; "" is success.
	want string
	// count is how many processes there are to be; 0: one for each pid.
	count int
	// build, where every process of the machine is selected, is the build-id by which those of the row are told from
	// what other tests have made for lpctl to stumble over.
	build string
}

// A result is what lpctl --json says of one process.
type result struct {
	PID     int    `json:"pid"`
	Command string `json:"command"`
	Library string `json:"library"`
	BuildID string `json:"build_id"`
	Word    string `json:"result"`
	Reason  string `json:"reason"`
	Patches []struct {
		ID         string   `json:"id"`
		Name       string   `json:"name"`
		Library    string   `json:"library"`
		References []string `json:"references"`
		Functions  []string `json:"functions"`
	} `json:"patches"`
}

// success is what each operation answers when it did something.
var success = map[string]string{
	"apply": "APPLIED", "revert": "REVERTED", "replace": "REPLACED", "check": "NOT-APPLIED", "status": "APPLIED",
}

// apply puts containers into force in one process, additional to those that are.
func (e engine) apply(tb testing.TB, pid int, containers ...string) {
	tb.Helper()
	e.do(tb, request{op: "apply", pids: []int{pid}, containers: containers})
}

// revert takes containers out of force in one process; none means all.
func (e engine) revert(tb testing.TB, pid int, containers ...string) {
	tb.Helper()
	e.do(tb, request{op: "revert", pids: []int{pid}, containers: containers})
}

// replace puts containers into force instead of those that are.
func (e engine) replace(tb testing.TB, pid int, containers ...string) {
	tb.Helper()
	e.do(tb, request{op: "replace", pids: []int{pid}, containers: containers})
}

// check asks what apply would answer.
func (e engine) check(tb testing.TB, pid int, want string, containers ...string) result {
	tb.Helper()
	return e.do(tb, request{op: "check", pids: []int{pid}, containers: containers, want: want})[0]
}

// status asks for what is in force.
func (e engine) status(tb testing.TB, pid int, want string) result {
	tb.Helper()
	return e.do(tb, request{op: "status", pids: []int{pid}, want: want})[0]
}

// do runs a request and fails unless every process gets the word that is wanted.
func (e engine) do(tb testing.TB, r request) []result {
	tb.Helper()
	if r.want == "" {
		r.want = success[r.op]
	}
	if r.count == 0 {
		r.count = len(r.pids)
	}
	if e.idle && r.changes() {
		e.calls.Add(1)
		return r.pretend()
	}
	p := runProgram(tb, r.command(lpctl()))
	results := slices.DeleteFunc(p.results(tb), func(one result) bool { return r.build != "" && one.BuildID != r.build })
	if len(results) != r.count {
		tb.Fatalf("%s: %d processes, want %d\n%s", r.op, len(results), r.count, p)
	}
	for _, one := range results {
		if one.Word != r.want {
			tb.Fatalf("%s: pid %d: %s %s, want %s\n%s", r.op, one.PID, one.Word, one.Reason, r.want, p.stderr)
		}
	}
	if r.build == "" && r.changes() && (p.code != 0) != r.fails() {
		tb.Fatalf("%s: exit code %d for %s\n%s", r.op, p.code, r.want, p)
	}
	return results
}

// changes says whether the request is for more than a look.
func (r request) changes() bool { return r.op != "check" && r.op != "status" }

// fails says whether the word that is wanted is one for a failure.
func (r request) fails() bool {
	return slices.Contains([]string{"BUSY", "BLOCKED", "FOREIGN", "GONE", "FAILED", "NO-PATCH-FOR-BUILD"}, r.want)
}

// pretend makes up results.
func (r request) pretend() []result {
	results := make([]result, r.count)
	for i := range results {
		results[i].Word = r.want
		if i < len(r.pids) {
			results[i].PID = r.pids[i]
		}
	}
	return results
}

// command is the request as a command line.
func (r request) command(program string) *exec.Cmd {
	// A machine that runs other tests beside this one may take its time; how long a stop takes is what bench measures.
	args := []string{"--json", "--timeout", "5s"}
	for _, pid := range r.pids {
		args = append(args, "-p", strconv.Itoa(pid))
	}
	for _, glob := range r.globs {
		args = append(args, "-p", glob)
	}
	args = append(append(args, r.options...), r.op)
	if r.op == "revert" && len(r.containers) == 0 {
		args = append(args, "--all")
	}
	return exec.Command(program, append(args, r.containers...)...)
}

// A run is a program that has ended.
type run struct {
	args           []string
	code           int
	stdout, stderr string
}

// runProgram runs a program to its end, whatever its exit code.
func runProgram(tb testing.TB, cmd *exec.Cmd) *run {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	bounded := exec.CommandContext(ctx, cmd.Path, cmd.Args[1:]...)
	bounded.Dir, bounded.Env, bounded.SysProcAttr = cmd.Dir, cmd.Env, cmd.SysProcAttr
	bounded.Stdout, bounded.Stderr = &stdout, &stderr
	err := bounded.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		tb.Fatalf("%s: %v, %v\n%s", strings.Join(cmd.Args, " "), err, ctx.Err(), &stderr)
	}
	return &run{args: cmd.Args, code: bounded.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

func (r *run) String() string {
	const most = 4000
	text := r.stdout + r.stderr
	return strings.Join(r.args, " ") + ": exit code " + strconv.Itoa(r.code) + "\n" + text[max(0, len(text)-most):]
}

// results reads what lpctl --json prints.
func (r *run) results(tb testing.TB) []result {
	tb.Helper()
	var results []result
	for d := json.NewDecoder(strings.NewReader(r.stdout)); d.More(); {
		var one result
		if err := d.Decode(&one); err != nil {
			tb.Fatalf("%v in what was printed\n%s", err, r)
		}
		results = append(results, one)
	}
	return results
}

// An answer is what a command of ulp is expected to say.
type answer struct {
	// code is the exit code; anyCode where it depends on other processes of the machine.
	code int
	// stdout and stderr are texts that must occur there.
	stdout, stderr []string
}

const anyCode = -1

// ulp runs lpctl ulp in the folder of the test run and checks what it answers. An idle engine does not run trigger, and takes the answer as given.
func (e engine) ulp(tb testing.TB, want answer, args ...string) *run {
	tb.Helper()
	if e.idle && args[0] == "trigger" {
		e.calls.Add(1)
		return &run{args: args, code: want.code, stdout: strings.Join(want.stdout, "\n"), stderr: strings.Join(want.stderr, "\n")}
	}
	cmd := exec.Command(lpctl(), append([]string{"ulp"}, args...)...)
	cmd.Dir, cmd.Env = work, append(os.Environ(), "LC_ALL=C")
	r := runProgram(tb, cmd)
	if r.code != want.code && want.code != anyCode {
		tb.Fatalf("exit code %d, want %d\n%s", r.code, want.code, r)
	}
	for _, c := range []struct {
		where, text string
		lines       []string
	}{{"stdout", r.stdout, want.stdout}, {"stderr", r.stderr, want.stderr}} {
		for _, line := range c.lines {
			if !strings.Contains(c.text, line) {
				tb.Fatalf("%s lacks %q\n%s", c.where, line, r)
			}
		}
	}
	return r
}
