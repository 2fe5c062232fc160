package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// A said is what lpctl --json says of one process.
type said struct {
	PID       int
	Library   string
	Result    string
	Reason    string
	DryRun    *bool `json:"dry_run"`
	Patchable *bool
	Stopped   int64 `json:"stopped_ns"`
	Patches   []struct {
		Name, Set, Patch, Time, Library string
		References                      []string
	}
}

// anyCode is for a command that sees the processes of other tests too.
const anyCode = -1

// lpctl runs lpctl --json and returns what it says of each process.
func (l *lab) lpctl(code int, args ...string) map[int]said {
	l.t.Helper()
	p := l.run("lpctl", append([]string{"--json"}, args...)...)
	if p.code != code && code != anyCode {
		l.t.Fatalf("%v: exit code %d, want %d\n%s%s", p.cmd.Args, p.code, code, p.stdout.String(), p.stderr.String())
	}
	all := make(map[int]said)
	for d := json.NewDecoder(&p.stdout); d.More(); {
		var s said
		if err := d.Decode(&s); err != nil {
			l.t.Fatal(err)
		}
		all[s.PID] = s
	}
	return all
}

// operatorLab has a container for build 1.0, and the library.
func operatorLab(t *testing.T) (l *lab, container string, library []byte) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: processes and files of several users are made")
	}
	l = newLab(t)
	l.must("lpbuild", "download")
	l.must("lpbuild", "make")
	_, file := l.library("1.0")
	return l, l.container("1.0"), readFile(t, file)
}

// TestOperator: what an operator of a host does with lpctl.
func TestOperator(t *testing.T) {
	t.Parallel()
	l, container, library := operatorLab(t)
	pid := func(tg *target) string { return strconv.Itoa(tg.pid) }

	t.Run("one user's processes", func(t *testing.T) {
		l := l.sub(t)
		mine, other := l.launch(library), l.launchAs(nobody, library)
		got := l.lpctl(0, "apply", "-u", "nobody", "--library", "libgreet.so.1", container)
		if got[other.pid].Result != "APPLIED" || got[mine.pid].PID != 0 {
			t.Errorf("said %+v", got)
		}
		if a, b := mine.ask('g'), other.ask('g'); a != "20 greet 1.0" || b != "20 patched" {
			t.Errorf("answers %q and %q", a, b)
		}
		// Both map the library, and a status of what is selected lists both.
		got = l.lpctl(0, "status", "-p", pid(mine), "-p", pid(other), "--library", "libgreet*")
		if got[mine.pid].Result != "NOT-APPLIED" || got[other.pid].Result != "APPLIED" {
			t.Errorf("status says %+v", got)
		}
		if got := l.lpctl(20, "status", "-p", pid(other), "-u", "0"); len(got) != 0 {
			t.Errorf("nobody's process is listed as root's: %+v", got)
		}
	})
	t.Run("dry run", func(t *testing.T) {
		l := l.sub(t)
		tg := l.launch(library)
		tg.ask('g') // from now on nothing is bound any more
		try := func(want string, args ...string) {
			t.Helper()
			before := tg.executable()
			s := l.lpctl(0, append(args, "-p", pid(tg), "--dry-run")...)[tg.pid]
			if s.Result != want || s.DryRun == nil || !*s.DryRun || s.Stopped != 0 {
				t.Errorf("%v: %+v, want %s", args, s, want)
			}
			if tg.executable() != before {
				t.Errorf("%v changed the process", args)
			}
		}
		try("APPLIED", "apply", container)
		try("NOT-APPLIED", "revert", "--all")
		if s := l.lpctl(0, "-p", pid(tg), "apply", container)[tg.pid]; s.DryRun != nil || s.Result != "APPLIED" {
			t.Errorf("apply: %+v", s)
		}
		try("ALREADY", "replace", container)
		try("REVERTED", "revert", container)
		if answer := tg.ask('g'); answer != "20 patched" {
			t.Errorf("answer %q", answer)
		}
		out := l.must("lpctl", "-p", pid(tg), "revert", "-n", "--all")
		if !regexp.MustCompile(`(?m)^PID +COMMAND .*WOULD-BE`).MatchString(out) {
			t.Errorf("the table looks like that of a real run:\n%s", out)
		}
	})
	t.Run("status", func(t *testing.T) {
		l := l.sub(t)
		tg, static := l.launch(library), assembled(t, "64")
		s := l.lpctl(20, "status", "-p", pid(tg), "-p", pid(static))
		if p := s[tg.pid].Patchable; p == nil || !*p || s[tg.pid].Reason != "" {
			t.Errorf("a process that can be patched: %+v", s[tg.pid])
		}
		if p := s[static.pid].Patchable; p == nil || *p || !strings.Contains(s[static.pid].Reason, "statically linked") {
			t.Errorf("a process that can't be patched: %+v", s[static.pid])
		}
		l.lpctl(21, "status", "-p", pid(tg), container)
		l.lpctl(0, "-p", pid(tg), "apply", container)
		patches := l.lpctl(0, "status", "-p", pid(tg))[tg.pid].Patches
		if len(patches) != 1 || patches[0].Time == "" || patches[0].Patch != "greet" || patches[0].Library != "libgreet.so.1" {
			t.Errorf("in force: %+v", patches)
		}
		l.lpctl(0, "status", "-p", pid(tg), container)
		if all := l.lpctl(anyCode, "status", "--all"); all[tg.pid].Result != "APPLIED" || all[static.pid].Result != "NOT-APPLIED" {
			t.Errorf("all: %+v and %+v", all[tg.pid], all[static.pid])
		}
	})
	t.Run("folder", func(t *testing.T) {
		l := l.sub(t)
		tg := l.launch(library)
		if s := l.lpctl(0, "-p", pid(tg), "apply", l.project+"/build")[tg.pid]; s.Result != "APPLIED" || len(s.Patches) != 1 {
			t.Errorf("%+v", s)
		}
		empty := t.TempDir()
		l.refuses(refusal{code: 2, error: regexp.QuoteMeta(empty) + ": a folder without containers"}, "lpctl", "apply", empty)
	})
	t.Run("terminal", func(t *testing.T) {
		l := l.sub(t)
		tg, static := l.launch(library), assembled(t, "32")
		l.must("lpctl", "-p", pid(tg), "apply", container)
		out := l.onTerminal(60, "lpctl", "status", "-p", pid(tg), "-p", pid(static))
		for line := range strings.Lines(out) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\r\n")); n > 60 {
				t.Errorf("a line of %d columns: %q", n, line)
			}
		}
		for _, want := range []string{
			fmt.Sprintf(`(?m)^%d +asked +APPLIED +libgreet.so.1 +[0-9a-f]{8}\s+greet-livepatches-\S+/greet +since 20\d\d-`, tg.pid),
			fmt.Sprintf(`(?m)^%d +program32 +NOT-APPLIED\s+can't be patched: it is no x86-64\s+program`, static.pid),
		} {
			if !regexp.MustCompile(want).MatchString(out) {
				t.Errorf("does not match %s:\n%s", want, out)
			}
		}
	})
}

// launchAs starts a target as somebody else.
func (l *lab) launchAs(configure func(*exec.Cmd), library []byte) *target {
	l.t.Helper()
	first := l.launch(library) // which makes the program
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", first.pid))
	if err != nil {
		l.t.Fatal(err)
	}
	for dir := filepath.Dir(program); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			l.t.Fatal(err)
		}
	}
	if err := os.Chmod(program, 0o755); err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.Command(program)
	if configure != nil {
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &syscall.SysProcAttr{}
		}
		configure(cmd)
	}
	tg := start(l.t, cmd)
	tg.ask('a')
	return tg
}

// onTerminal runs a program with a terminal of so many columns for its output.
func (l *lab) onTerminal(columns uint16, program string, args ...string) string {
	l.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	defer master.Close()
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		l.t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		l.t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	out := make(chan string)
	go func() {
		var text strings.Builder
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf) // EIO when the last slave is closed
			text.Write(buf[:n])
			if err != nil {
				out <- text.String()
				return
			}
		}
	}()
	p := l.start(func(cmd *exec.Cmd) { cmd.Stdout = slave }, program, args...)
	slave.Close()
	p.wait()
	return <-out
}

// TestLpctlTrustsRootOnly: what somebody else can have written does not get
// into any process by root's hand, and the refusal says what is wrong.
func TestLpctlTrustsRootOnly(t *testing.T) {
	t.Parallel()
	l, container, library := operatorLab(t)
	for _, tt := range []struct {
		name   string
		change func(file string) error
		error  string
	}{
		{"container of somebody else", func(file string) error { return os.Chown(file, 65534, 65534) }, `/f\.so: not trusted: owned by uid 65534`},
		{"container for all to write", func(file string) error { return os.Chmod(file, 0o666) }, `/f\.so: not trusted: mode 0666 lets others write`},
		{"folder of somebody else", func(file string) error { return os.Chown(filepath.Dir(file), 65534, 65534) }, `/in: not trusted: owned by uid 65534`},
		{"folder for its group to write", func(file string) error { return os.Chmod(filepath.Dir(file), 0o775) }, `/in: not trusted: mode 0775 lets others write`},
		{"folder above of somebody else", func(file string) error { return os.Chown(filepath.Dir(filepath.Dir(file)), 65534, 65534) }, `: not trusted: owned by uid 65534`},
		{"link", func(file string) error {
			return os.Rename(file, file+".1") // and below a link to it
		}, `/f\.so: not trusted: a symbolic link`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := l.sub(t)
			tg := l.launch(library)
			tg.ask('g')
			file := filepath.Join(publicFolder(t), "in", "f.so")
			writeFile(t, file, string(readFile(t, container)))
			if err := tt.change(file); err != nil {
				t.Fatal(err)
			}
			if tt.name == "link" {
				if err := os.Symlink("f.so.1", file); err != nil {
					t.Fatal(err)
				}
			}
			before := tg.executable()
			want := refusal{code: 13, error: tt.error, hint: "nobody else can have written"}
			for _, args := range [][]string{{"apply", file}, {"apply", "-n", file}, {"replace", file}, {"check", file}} {
				l.refuses(want, "lpctl", append([]string{"-p", strconv.Itoa(tg.pid)}, args...)...)
			}
			if tg.executable() != before {
				t.Error("the process was changed")
			}
			// To take something out of force, or to look, is no risk.
			l.must("lpctl", "-p", strconv.Itoa(tg.pid), "revert", file)
		})
	}
	t.Run("somebody's own process", func(t *testing.T) {
		l := l.sub(t)
		tg := l.launchAs(nobody, library)
		file := filepath.Join(publicFolder(t), "f.so")
		writeFile(t, file, string(readFile(t, container)))
		if err := os.Chown(file, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		p := l.start(nobody, "lpctl", "-p", strconv.Itoa(tg.pid), "apply", file)
		p.wait()
		if p.code != 0 || tg.ask('g') != "20 patched" {
			t.Errorf("exit code %d\n%s%s", p.code, p.stdout.String(), p.stderr.String())
		}
	})
}
