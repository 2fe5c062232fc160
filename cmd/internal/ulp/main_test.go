package ulp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bin is the folder of the program under test: lpctl, with a link ulp to it.
var bin string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (code int, err error) {
	if bin, err = os.MkdirTemp("", "lpbuild-ulp-"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(bin)
	if err := os.Chmod(bin, 0o755); err != nil { // for a user without rights
		return 0, err
	}
	cmd := exec.Command("go", "build", "-o", bin+"/", "../../lpctl")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, out)
	}
	if err := os.Symlink("lpctl", filepath.Join(bin, "ulp")); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// A lab is a folder with libraries, live patches for them and a program that
// uses them.
type lab struct {
	t   *testing.T
	dir string
	// user is who calls ulp.
	user uint32
}

func newLab(t *testing.T) *lab {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("needs root: what set_patchable is told lies below /run, and root refuses what others may write")
		}
		t.Skip("needs root")
	}
	l := &lab{t: t, dir: t.TempDir()}
	for _, name := range []string{"hundreds", "dozens"} {
		l.library(name, "-fpatchable-function-entry=16,14")
	}
	source, err := filepath.Abs("testdata/ulpserv.c")
	if err != nil {
		t.Fatal(err)
	}
	l.gcc("-o", "ulpserv", source, "-L.", "-l:libulphundreds.so.0", "-l:libulpdozens.so.0", "-Wl,-rpath,"+l.dir)
	return l
}

// values are what the functions of the libraries answer.
var values = map[string]int{"hundreds": 100, "dozens": 12}

func (l *lab) library(name string, flags ...string) {
	l.t.Helper()
	args := append([]string{"-O1", "-g", "-fPIC", "-shared", "-fcf-protection=none", "-Wl,--build-id,-soname,libulp" + name + ".so.0",
		"-DNAME=" + name, "-DVALUE=" + strconv.Itoa(values[name]), "-o", "libulp" + name + ".so.0"}, flags...)
	l.gcc(append(args, l.source("number.c"))...)
}

func (l *lab) source(name string) string {
	file, err := filepath.Abs("testdata/" + name)
	if err != nil {
		l.t.Fatal(err)
	}
	return file
}

func (l *lab) gcc(args ...string) {
	l.t.Helper()
	cmd := exec.Command("gcc", args...)
	cmd.Dir = l.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("gcc %v: %v\n%s", args, err, out)
	}
}

// container links a live patch, unpacked, and writes its description.
func (l *lab) container(name, library string, value int, more ...string) {
	l.t.Helper()
	l.gcc("-O1", "-fPIC", "-shared", "-nostartfiles", "-nostdlib", "-Wl,--build-id,-z,now,-z,relro",
		"-DVALUE="+strconv.Itoa(value), "-o", name+".so", l.source("patch.c"))
	text := "! This livepatch fixes bsc#1200316, jsc#SLE-20049, and CVE-2021-3449.\n" +
		name + ".so\n@libulp" + library + ".so.0\n" + library + ":number_lp\n" + strings.Join(more, "")
	if err := os.WriteFile(filepath.Join(l.dir, name+".dsc"), []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// patch makes a packed container.
func (l *lab) patch(name, library string, value int, more ...string) {
	l.t.Helper()
	l.container(name, library, value, more...)
	l.ulp(0, "", "{time} ulp: metadata successfully embedded into livepatch container\n", "packer", name+".dsc")
}

// placeholders are what the texts of the tests may have in them.
var placeholders = strings.NewReplacer(
	"{time}", `\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\]`,
	"{ctime}", `[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}`,
	"{id}", `[0-9a-f]{40}`,
	"{hex}", `[0-9a-f]+`,
	"{any}", `[^\n]*`,
)

// ulp runs the program, and holds what it writes against texts byte by byte.
func (l *lab) ulp(code int, stdout, stderr string, args ...string) {
	l.t.Helper()
	gotCode, gotOut, gotErr := l.run(args...)
	if gotCode != code {
		l.t.Errorf("ulp %v: exit status %d, want %d", args, gotCode, code)
	}
	for _, c := range []struct{ what, got, want string }{{"stdout", gotOut, stdout}, {"stderr", gotErr, stderr}} {
		want := strings.NewReplacer(`\{`, "{", `\}`, "}").Replace(regexp.QuoteMeta(c.want))
		if !regexp.MustCompile(`\A` + placeholders.Replace(want) + `\z`).MatchString(c.got) {
			l.t.Errorf("ulp %v: %s\n%s\nwant\n%s", args, c.what, c.got, c.want)
		}
	}
}

func (l *lab) run(args ...string) (code int, stdout, stderr string) {
	l.t.Helper()
	cmd := exec.Command(filepath.Join(bin, "ulp"), args...)
	if l.user != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: l.user, Gid: l.user}}
	}
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = l.dir, &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		l.t.Fatal(err)
	}
	// Other tests may have processes on this machine that nobody can look at.
	var messages strings.Builder
	for line := range strings.Lines(errs.String()) {
		if !strings.Contains(line, "could not be looked at") {
			messages.WriteString(line)
		}
	}
	return cmd.ProcessState.ExitCode(), out.String(), messages.String()
}

// A server is a running ulpserv.
type server struct {
	t   *testing.T
	pid int
	in  io.Writer
	out *bufio.Reader
}

func (l *lab) serve(environment ...string) *server {
	l.t.Helper()
	cmd := exec.Command(filepath.Join(l.dir, "ulpserv"))
	cmd.Env = environment
	return l.start(cmd)
}

func (l *lab) start(cmd *exec.Cmd) *server {
	l.t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s := &server{l.t, cmd.Process.Pid, in, bufio.NewReader(out)}
	if line, err := s.out.ReadString('\n'); line != "ready\n" {
		l.t.Fatalf("%q, %v", line, err)
	}
	return s
}

// answers asks the program and checks what it says.
func (s *server) answers(want string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, "\n"); err != nil {
		s.t.Fatal(err)
	}
	if line, err := s.out.ReadString('\n'); line != want+"\n" || err != nil {
		s.t.Errorf("pid %d answers %q, %v; want %s", s.pid, line, err, want)
	}
}

func (s *server) id() string { return strconv.Itoa(s.pid) }

// blocks waits until the program waits for its input.
func (s *server) blocks() {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		call, err := os.ReadFile("/proc/" + s.id() + "/syscall")
		if err != nil || time.Now().After(deadline) {
			s.t.Fatalf("%s, %v", call, err)
		}
		if strings.HasPrefix(string(call), "0 0x0 ") { // read(2) of standard input
			return
		}
		runtime.Gosched()
	}
}
