package conformance

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A process is a program of a row that runs. It says "ready" when it is up and obeys lines on its standard input; a
// program that has nothing else to do answers each with one line, and all end well when their input does.
type process struct {
	tb    testing.TB
	e     engine
	pid   int
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string
	start string // its start time: with the pid, what it is known by
	over  bool
}

// startupTimeout is how long a program may take for what no engine has a part in.
const startupTimeout = 30 * time.Second

// start starts a program, and waits until it is ready. When the row ends, the process must still be the one it was, be
// traced by nobody, and end well.
func (e engine) start(tb testing.TB, cmd *exec.Cmd) *process {
	tb.Helper()
	p := &process{tb: tb, e: e, cmd: cmd, lines: make(chan string, 1<<16)}
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	p.pid = cmd.Process.Pid
	go p.listen(out)
	tb.Cleanup(p.finish)
	p.says(startupTimeout, "ready")
	p.start = p.startTime()
	return p
}

// run starts a program with arguments.
func (e engine) run(tb testing.TB, name string, args ...string) *process {
	tb.Helper()
	return e.start(tb, exec.Command(name, args...))
}

func (p *process) listen(out io.Reader) {
	defer close(p.lines)
	for s := bufio.NewScanner(out); s.Scan(); {
		p.lines <- s.Text()
	}
}

// finish checks that the process has come to no harm, and ends it.
func (p *process) finish() {
	if !p.over && !p.tb.Failed() {
		p.unharmed()
		p.ends()
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// ends closes the input of the process and wants it to end well.
func (p *process) ends() {
	p.tb.Helper()
	p.over = true
	_ = p.in.Close()
	deadline := time.After(startupTimeout)
	for {
		select {
		case _, ok := <-p.lines:
			if ok {
				continue
			}
			if err := p.cmd.Wait(); err != nil {
				p.tb.Errorf("pid %d ended: %v", p.pid, err)
			}
		case <-deadline:
			p.tb.Errorf("pid %d does not end", p.pid)
		}
		return
	}
}

// says reads lines until one is the given one.
func (p *process) says(within time.Duration, want string) {
	p.tb.Helper()
	var last string
	deadline := time.After(within)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.tb.Fatalf("pid %d ended before it said %q, after %q: %v", p.pid, want, last, p.cmd.Wait())
			}
			if last = line; line == want {
				return
			}
		case <-deadline:
			p.tb.Fatalf("pid %d does not say %q, the last was %q", p.pid, want, last)
		}
	}
}

// tell sends a line.
func (p *process) tell(line string) {
	p.tb.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.tb.Fatalf("pid %d: %v", p.pid, err)
	}
}

// ask sends a line and returns the one that comes back.
func (p *process) ask(line string) string {
	p.tb.Helper()
	p.tell(line)
	return p.line()
}

// line returns the next line that the process says.
func (p *process) line() string {
	p.tb.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.tb.Fatalf("pid %d ended: %v", p.pid, p.cmd.Wait())
		}
		return line
	case <-time.After(startupTimeout):
		p.tb.Fatalf("pid %d does not answer", p.pid)
	}
	return ""
}

// answers asks and fails unless the answer is as wanted.
func (p *process) answers(question, want string) {
	p.tb.Helper()
	if got := p.ask(question); got != want {
		p.tb.Fatalf("pid %d answers %q to %q, want %q", p.pid, got, question, want)
	}
}

// becomes asks again and again until the answer is as wanted.
func (p *process) becomes(question, want string) {
	p.tb.Helper()
	for deadline := time.Now().Add(p.e.patience); ; {
		got := p.ask(question)
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			p.tb.Fatalf("pid %d answers %q to %q, want %q", p.pid, got, question, want)
		}
	}
}

// unharmed checks that the process is the one that was started, and that no thread of it is traced or stopped.
func (p *process) unharmed() {
	p.tb.Helper()
	if now := p.startTime(); now != p.start {
		p.tb.Errorf("pid %d was started at %s, not at %s", p.pid, now, p.start)
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.pid))
	if err != nil || len(tasks) == 0 {
		p.tb.Errorf("pid %d has no threads: %v", p.pid, err)
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // a thread that has just ended
		}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
			if key == "TracerPid" && value != "0" || key == "State" && strings.ContainsAny(value[:1], "tTX") {
				p.tb.Errorf("%s: %s", task, line)
			}
		}
	}
}

// startTime is field 22 of /proc/PID/stat.
func (p *process) startTime() string {
	p.tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		p.tb.Fatal(err)
	}
	const after = 19 // of the fields behind the name
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) <= after {
		p.tb.Fatalf("pid %d: %q", p.pid, text)
	}
	return fields[after]
}

// maps are the lines of /proc/PID/maps.
func (p *process) maps() []string {
	p.tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", p.pid))
	if err != nil {
		p.tb.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// base is where the process has mapped the start of a file.
func (p *process) base(file string) uint64 {
	p.tb.Helper()
	for _, line := range p.maps() {
		var at, end uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &at, &end); err == nil && strings.HasSuffix(line, file) {
			return at
		}
	}
	p.tb.Fatalf("pid %d does not map %s", p.pid, file)
	return 0
}

// mapping is the line of /proc/PID/maps for an address.
func (p *process) mapping(at uint64) string {
	p.tb.Helper()
	for _, line := range p.maps() {
		var from, to uint64
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err == nil && from <= at && at < to {
			return line
		}
	}
	return ""
}

// rounds is how often a row repeats: few times as a rule, many where a soak is asked for (LPBUILD_SOAK, make soak).
func rounds(few, many int) int {
	if os.Getenv("LPBUILD_SOAK") != "" {
		return many
	}
	return few
}
