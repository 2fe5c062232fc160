package demo

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// A process is a witness that runs. What is true of it is read from /proc and
// its logs alone, and with none of the injector's code.
type process struct {
	witness
	cmd     *exec.Cmd
	stdin   io.Closer
	stderr  bytes.Buffer
	pid     int
	start   string // field 22 of stat
	threads []*answers
	old     string
}

// logs is the folder of the witnesses' answers.
const logs = "/var/log/witness"

// startProcess starts a witness. It ends with this process's namespace at the latest.
func startProcess(w witness, number int) (*process, error) {
	p := &process{witness: w}
	log := filepath.Join(logs, strconv.Itoa(number))
	p.cmd = exec.Command(w.Program, log, strconv.Itoa(w.Threads))
	p.cmd.Env, p.cmd.Dir, p.cmd.Stderr = w.Env, "/", &p.stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	for i := range w.Threads { // made here, so that they can be read from the beginning
		name := log + "." + strconv.Itoa(i)
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			return nil, err
		}
		a, err := openAnswers(name)
		if err != nil {
			return nil, err
		}
		p.threads = append(p.threads, a)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.stdin, p.pid = stdin, p.cmd.Process.Pid
	p.start, err = startTime(p.pid)
	return p, err
}

// settle waits until every thread has given its n-th answer at least twice. It
// fails as soon as one has given more.
func (p *process) settle(ctx context.Context, n int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, a := range p.threads {
		for {
			if err := a.read(); err != nil {
				return err
			}
			if len(a.runs) > n {
				return fmt.Errorf("pid %d: unexpected answer: %s", p.pid, a)
			}
			if len(a.runs) == n && a.runs[n-1].lines >= 2 {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("pid %d: no new answer: %s: %w", p.pid, a, context.Cause(ctx))
			case <-tick.C:
			}
		}
	}
	return p.expected()
}

// expected checks that all threads gave the answers that are right so far.
func (p *process) expected() error {
	if p.old == "" {
		p.old = p.threads[0].runs[0].text
	}
	want := []string{p.old, p.First, p.Second, p.old}
	if p.Old != "" && p.old != p.Old || p.old == p.First || strings.HasPrefix(p.old, "broken") {
		return fmt.Errorf("pid %d: unpatched it answers %q", p.pid, p.old)
	}
	for _, a := range p.threads {
		if got := a.texts(); len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
			return fmt.Errorf("pid %d: %s answers %s, expected %q", p.pid, a.name, a, want)
		}
	}
	return nil
}

// finish closes the input, waits for the end and checks that every log is
// complete: old, first, second, old.
func (p *process) finish() error {
	if err := p.stdin.Close(); err != nil {
		return err
	}
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("pid %d: %w: %s", p.pid, err, lastLines(p.stderr.String(), 5))
	}
	for _, a := range p.threads {
		if err := a.read(); err != nil {
			return err
		}
		if len(a.runs) != 4 || len(a.part) > 0 {
			return fmt.Errorf("pid %d: %d answers instead of old, new, newer, old: %s", p.pid, len(a.runs), a)
		}
	}
	return p.expected()
}

// answered is what the first thread answered. Precondition: finish succeeded.
func (p *process) answered() history {
	var h history
	for i, r := range p.threads[0].runs {
		h.Texts[i], h.Lines[i] = r.text, r.lines
	}
	return h
}

func (p *process) file(name string) string { return fmt.Sprintf("/proc/%d/%s", p.pid, name) }

func startTime(pid int) (string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The command's name, in parentheses, may hold anything; 22 is the 20th field after it.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat: %d fields", pid, len(fields))
	}
	return fields[19], nil
}

// undisturbed checks that this is the process that was started, with all its
// threads, that nothing was preloaded into it and that nobody traces it.
func (p *process) undisturbed() error {
	start, err := startTime(p.pid)
	if err != nil {
		return err
	}
	if start != p.start {
		return fmt.Errorf("pid %d is another process now", p.pid)
	}
	environ, err := os.ReadFile(p.file("environ"))
	if err != nil {
		return err
	}
	if bytes.Contains(environ, []byte("LD_PRELOAD")) {
		return fmt.Errorf("pid %d: LD_PRELOAD is set", p.pid)
	}
	tasks, err := filepath.Glob(p.file("task/*/status"))
	if err != nil {
		return err
	}
	if len(tasks) != p.Threads+1 {
		return fmt.Errorf("pid %d: %d threads, started %d", p.pid, len(tasks), p.Threads+1)
	}
	for _, status := range tasks {
		data, err := os.ReadFile(status)
		if err != nil {
			return err
		}
		if !bytes.Contains(data, []byte("\nTracerPid:\t0\n")) {
			return fmt.Errorf("%s: it is traced", status)
		}
	}
	return nil
}

// base is where the library is mapped; it must be the file of the right build.
func (p *process) base() (uint64, error) {
	maps, err := os.ReadFile(p.file("maps"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(maps)) {
		// start-end perms offset dev inode path; see proc_pid_maps(5)
		fields := strings.Fields(line)
		if len(fields) < 6 || fields[5] != p.Library || strings.Trim(fields[2], "0") != "" {
			continue
		}
		f, err := elfinfo.Open(p.file("map_files/" + fields[0]))
		if err != nil {
			return 0, err
		}
		defer f.Close()
		if string(f.BuildID()) != p.BuildID {
			return 0, fmt.Errorf("pid %d maps build-id %s of %s, expected %s", p.pid, f.BuildID(), p.Soname, p.BuildID)
		}
		low, _, _ := strings.Cut(fields[0], "-")
		start, err := strconv.ParseUint(low, 16, 64)
		i := slices.IndexFunc(f.Segments(), func(s elf.ProgHeader) bool { return s.Type == elf.PT_LOAD })
		if i < 0 {
			return 0, fmt.Errorf("%s: no segment is loaded", p.Library)
		}
		return start - f.Segments()[i].Vaddr, err
	}
	return 0, fmt.Errorf("pid %d does not map %s", p.pid, p.Library)
}

// intact reports whether all functions have the bytes of the library.
func (p *process) intact() (bool, error) {
	base, err := p.base()
	if err != nil {
		return false, err
	}
	mem, err := os.Open(p.file("mem"))
	if err != nil {
		return false, err
	}
	defer mem.Close()
	same := true
	for _, f := range p.Functions {
		want := append(slices.Clone(f.Before), f.Bytes...)
		got := make([]byte, len(want))
		if _, err := mem.ReadAt(got, int64(base+f.Address)-int64(len(f.Before))); err != nil {
			return false, fmt.Errorf("pid %d: %s: %w", p.pid, f.Name, err)
		}
		same = same && bytes.Equal(got, want)
	}
	return same, nil
}

// check is what must be true after every transaction.
func (p *process) check(patched bool) error {
	if err := p.undisturbed(); err != nil {
		return err
	}
	intact, err := p.intact()
	if err == nil && intact == patched {
		err = fmt.Errorf("pid %d: its functions have their original code: %v", p.pid, intact)
	}
	return err
}

// errGone says that a witness ended too early.
var errGone = errors.New("the witness has ended")

// alive checks that the process has not ended.
func (p *process) alive() error {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, p.pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	if err == nil && info.Signo != 0 {
		return fmt.Errorf("pid %d, %s: %w: %s", p.pid, p.NEVRA, errGone, lastLines(p.stderr.String(), 5))
	}
	return err
}
