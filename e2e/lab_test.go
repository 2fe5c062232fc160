package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/e2e/fixture"
)

// commandTimeout bounds one run of a program.
const commandTimeout = 60 * time.Second

// A lab is a project on a copy of the repository of libgreet that a test may
// damage, with a cache and a folder for temporary files of its own.
type lab struct {
	t       *testing.T
	dir     string
	repo    string // the copy
	project string
	cache   string // $XDG_CACHE_HOME
	tmp     string // $TMPDIR
	// partial says that a download may be left for the next run to go on with.
	partial bool
}

const (
	goodTemplate = "greet.so\n@/usr/lib64/libgreet.so.1\ngreet:greet_lp\n"
	goodSource   = "const char *greet_lp(void) { return \"patched\"; }\n"
)

// newLab scaffolds a project with lpbuild init and gives it one live patch that
// is right for every build.
func newLab(t *testing.T) *lab {
	t.Helper()
	needs(t, "gcc", "objcopy", "createrepo_c")
	shipped, err := greetRepository()
	if err != nil {
		t.Fatal(err)
	}
	dir := publicFolder(t)
	l := &lab{t: t, dir: dir, repo: dir + "/repo", project: dir + "/project", cache: dir + "/cache", tmp: dir + "/tmp"}
	if err := os.CopyFS(l.repo, os.DirFS(shipped.Dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(l.tmp, 0o777); err != nil {
		t.Fatal(err)
	}
	url, stop, err := fixture.Serve(l.repo)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	l.serveFrom(url, shipped.KeyFile)
	l.patch(goodTemplate, goodSource)
	return l
}

// serveFrom makes the project anew for a repository at a place.
func (l *lab) serveFrom(url string, key string) {
	l.t.Helper()
	args := []string{"init", "--name", "greet-livepatches", "--package", "libgreet1",
		"--library", "/usr/lib64/libgreet.so.1", "--repository", url}
	if key != "" {
		args = append(args, "--key", key)
	}
	if err := errors.Join(os.RemoveAll(l.project), os.Mkdir(l.project, 0o755)); err != nil {
		l.t.Fatal(err)
	}
	l.must("lpbuild", args...)
}

// patch writes the live patch greet.
func (l *lab) patch(template, source string) {
	l.t.Helper()
	writeFile(l.t, l.project+"/livepatches/greet/greet.in", template)
	writeFile(l.t, l.project+"/livepatches/greet/greet.c", source)
}

// overwrite changes the one file of the repository that a pattern matches.
func (l *lab) overwrite(pattern string, change func([]byte) []byte) {
	l.t.Helper()
	found, err := filepath.Glob(filepath.Join(l.repo, pattern))
	if err != nil || len(found) != 1 {
		l.t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	if err := os.WriteFile(found[0], change(readFile(l.t, found[0])), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// keysLine is where lpbuild.yaml says which keys sign a repository.
var keysLine = regexp.MustCompile(`(?m)^ +keys:(\n +-.*$|.*$)`)

// overwriteProject changes lpbuild.yaml.
func (l *lab) overwriteProject(change func([]byte) []byte) {
	l.t.Helper()
	name := l.project + "/lpbuild.yaml"
	old := readFile(l.t, name)
	text := change(bytes.Clone(old))
	if bytes.Equal(old, text) {
		l.t.Fatalf("nothing to change in\n%s", old)
	}
	writeFile(l.t, name, string(text))
}

func flipLast(b []byte) []byte { b[len(b)-1] ^= 1; return b }
func half(b []byte) []byte     { return b[:len(b)/2] }

// A process is one run of a program, in a session of its own: whatever it
// starts is told by that, and nothing else is.
type process struct {
	lab            *lab
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	ended          chan struct{} // closed when code is set
	code           int           // -1 if a signal ended it
}

// start starts a program in the project.
func (l *lab) start(configure func(*exec.Cmd), program string, args ...string) *process {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), commandTimeout)
	if path, err := exec.LookPath(filepath.Join(bin, program)); err == nil {
		program = path
	}
	p := &process{lab: l, cmd: exec.CommandContext(ctx, program, args...), ended: make(chan struct{})}
	p.cmd.Dir = l.project
	p.cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + l.dir, "XDG_CACHE_HOME=" + l.cache,
		"TMPDIR=" + l.tmp, "LC_ALL=C"}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p.cmd.WaitDelay = 5 * time.Second
	if configure != nil {
		configure(p.cmd)
	}
	if err := p.cmd.Start(); err != nil {
		cancel()
		l.t.Fatal(err)
	}
	go func() {
		defer cancel()
		err := p.cmd.Wait()
		p.code = p.cmd.ProcessState.ExitCode()
		if errors.Is(err, exec.ErrWaitDelay) {
			p.stderr.WriteString("\n" + err.Error() + ": somebody holds its output open\n")
			p.code = -1
		}
		close(p.ended)
	}()
	return p
}

// wait waits for the end and for the end of all that it started.
func (p *process) wait() {
	p.lab.t.Helper()
	<-p.ended // bounded by commandTimeout
	for _, pid := range inSession(p.lab.t, p.cmd.Process.Pid) {
		if !endsSoon(pid) {
			p.lab.t.Errorf("%v left process %d: %s", p.cmd.Args, pid, procFile(pid, "cmdline"))
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

func (l *lab) run(program string, args ...string) *process {
	l.t.Helper()
	p := l.start(nil, program, args...)
	p.wait()
	return p
}

// must runs a program that has to succeed and returns its stdout.
func (l *lab) must(program string, args ...string) string {
	l.t.Helper()
	p := l.run(program, args...)
	if p.code != 0 {
		l.t.Fatalf("%v: exit code %d\n%s%s", p.cmd.Args, p.code, p.stdout.String(), p.stderr.String())
	}
	return p.stdout.String()
}

// inSession lists the processes of a session that have not ended.
func inSession(t *testing.T, session int) (pids []int) {
	t.Helper()
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		// The name, in parentheses, may hold anything. State, parent, group and
		// session follow it.
		stat := procFile(pid, "stat")
		fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
		if len(fields) > 3 && fields[3] == strconv.Itoa(session) && fields[0] != "Z" && fields[0] != "X" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// endsSoon says whether a process is ending: one that was killed may need a
// moment for it.
func endsSoon(pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return errors.Is(err, unix.ESRCH)
	}
	defer unix.Close(fd)
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 2000)
	return n == 1 && err == nil
}

func procFile(pid int, name string) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name)) // "" for one that is gone
	return string(data)
}

// A refusal is how a program says no. Patterns are regular expressions.
type refusal struct {
	code int
	// error is what the one error: line matches, hint what the hint: line does;
	// "" means that there is no hint.
	error, hint string
	// stdout is what the table of results matches; "" means that there is none.
	stdout string
	// wrote are the files that may be new in the project, as path.Match patterns.
	wrote []string
}

// refuses runs a program that has to say no, and to leave everything as it was.
func (l *lab) refuses(want refusal, program string, args ...string) {
	l.t.Helper()
	before := l.snapshot()
	p := l.start(nil, program, args...)
	p.wait()
	p.refused(want, before)
}

// refused checks how a run ended and what it left behind.
func (p *process) refused(want refusal, before map[string]string) {
	t := p.lab.t
	t.Helper()
	stdout, stderr := p.stdout.String(), p.stderr.String()
	failed := p.code != want.code
	if failed {
		t.Errorf("exit code %d, want %d", p.code, want.code)
	}
	for _, c := range []struct{ kind, pattern string }{{"error: ", want.error}, {"hint: ", want.hint}} {
		if problem := oneLine(stderr, c.kind, c.pattern); problem != "" {
			t.Error(problem)
			failed = true
		}
	}
	if want.stdout == "" && stdout != "" {
		t.Error("output on stdout")
		failed = true
	} else if !regexp.MustCompile(want.stdout).MatchString(stdout) {
		t.Errorf("stdout does not match %q", want.stdout)
		failed = true
	}
	if failed {
		t.Logf("%v\nstdout: %s\nstderr: %s", p.cmd.Args, stdout, stderr)
	}
	p.lab.unchanged(before, want.wrote)
}

// oneLine says what is wrong with the lines of one kind.
func oneLine(stderr, kind, pattern string) string {
	var lines []string
	for line := range strings.Lines(stderr) {
		if rest, ok := strings.CutPrefix(line, kind); ok {
			lines = append(lines, strings.TrimSuffix(rest, "\n"))
		}
	}
	switch {
	case pattern == "" && len(lines) == 0:
		return ""
	case pattern == "" || len(lines) != 1:
		return fmt.Sprintf("%d %slines, want %q", len(lines), kind, pattern)
	case !regexp.MustCompile(pattern).MatchString(lines[0]):
		return fmt.Sprintf("%s%s does not match %q", kind, lines[0], pattern)
	}
	return ""
}

// snapshot describes every file of the project.
func (l *lab) snapshot() map[string]string {
	l.t.Helper()
	files := make(map[string]string)
	l.walk(l.project, func(name string, d fs.DirEntry) {
		files[name] = fmt.Sprintf("%v %x", d.Type(), sha256.Sum256(readFile(l.t, filepath.Join(l.project, name))))
	})
	return files
}

func (l *lab) walk(root string, visit func(name string, d fs.DirEntry)) {
	l.t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == root {
			return nil
		}
		if err != nil || d.IsDir() && !strings.HasPrefix(d.Name(), ".new-") && !strings.HasPrefix(d.Name(), ".old-") {
			return err
		}
		rel, err := filepath.Rel(root, name)
		visit(rel, d)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// temporary matches the names that the programs give to unfinished files.
var temporary = regexp.MustCompile(`^\.(lpbuild|new|old)-|^\..+-\d+$|\.part$`)

// unchanged checks that the project is as it was but for the files that may be
// new, and that nothing unfinished lies about.
func (l *lab) unchanged(before map[string]string, wrote []string) {
	l.t.Helper()
	after := l.snapshot()
	for _, name := range slices.Sorted(maps.Keys(after)) {
		may := slices.ContainsFunc(wrote, func(pattern string) bool {
			ok, err := filepath.Match(pattern, name)
			return ok && err == nil
		})
		if old, there := before[name]; !there && !may {
			l.t.Errorf("%s was written", name)
		} else if there && old != after[name] {
			l.t.Errorf("%s was changed", name)
		}
	}
	for name := range before {
		if _, there := after[name]; !there {
			l.t.Errorf("%s was removed", name)
		}
	}
	for _, root := range []string{l.project, l.cache} {
		l.walk(root, func(name string, _ fs.DirEntry) {
			if temporary.MatchString(filepath.Base(name)) && !l.resumable(name) {
				l.t.Errorf("%s is left in %s", name, filepath.Base(root))
			}
		})
	}
	left, err := os.ReadDir(l.tmp)
	if err != nil || len(left) > 0 {
		l.t.Errorf("left among the temporary files: %v, %v", left, err)
	}
}

// resumable says whether a file of the cache is a partial download that the
// next run goes on with.
func (l *lab) resumable(name string) bool {
	dir := filepath.Dir(name)
	return l.partial && (dir == "lpbuild/rpms" || dir == "lpbuild/metadata") && strings.HasSuffix(name, ".part")
}
