package injector

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// chosen are the processes among pids that Status answers for.
func chosen(t *testing.T, sel Selection, pids ...int) []int {
	t.Helper()
	sel.All = true
	rs, err := New(Options{}).Status(t.Context(), sel)
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, r := range rs {
		if slices.Contains(pids, r.PID) {
			got = append(got, r.PID)
		}
	}
	return got
}

// Values of one kind add to each other, kinds narrow each other down.
func TestSelectionByUserAndLibrary(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to start a program as somebody else")
	}
	f := newFixture(t, "stock")
	publish(t, f.dir)
	root := f.start(t, 0, 0).pid
	cmd := exec.Command(f.program, "0", "0")
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	other := startTarget(t, cmd).pid
	plain := launch(t, exec.Command(compile(t, "plain", subjectSource))).pid

	for _, tt := range []struct {
		name string
		sel  Selection
		want []int
	}{
		{"all", Selection{}, []int{root, other, plain}},
		{"soname", Selection{Libraries: []string{"libanswer.so.1"}}, []int{root, other}},
		{"pattern of a base name", Selection{Libraries: []string{"libnothing*", "libans*"}}, []int{root, other}},
		{"path", Selection{Libraries: []string{f.library}}, []int{root, other}},
		{"pattern of a path", Selection{Libraries: []string{filepath.Dir(f.dir) + "/*/libanswer.so.?"}}, []int{root, other}},
		{"a * matches no /", Selection{Libraries: []string{"/*/libanswer.so.1"}}, nil},
		{"another library", Selection{Libraries: []string{"libanswer.so.2"}}, nil},
		{"user", Selection{UIDs: []int{nobody}}, []int{other}},
		{"two users", Selection{UIDs: []int{nobody, 0}, Libraries: []string{"libanswer.so.1"}}, []int{root, other}},
		{"user nobody is", Selection{UIDs: []int{12345678}}, nil},
		{"process and user", Selection{PIDs: []int{root, other}, UIDs: []int{0}}, []int{root}},
		{"process and library", Selection{PIDs: []int{root, plain}, Libraries: []string{"libanswer.so.1"}}, []int{root}},
		{"name and user", Selection{Globs: []string{path.Base(f.program)}, UIDs: []int{nobody}}, []int{other}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			slices.Sort(tt.want)
			if got := chosen(t, tt.sel, root, other, plain); !slices.Equal(got, tt.want) {
				t.Errorf("chosen %v, want %v (root %d, other %d, plain %d)", got, tt.want, root, other, plain)
			}
		})
	}
	for _, sel := range []Selection{{Libraries: []string{"/[/x"}}, {Cgroups: []string{"["}}} {
		if _, err := New(Options{}).Status(t.Context(), sel); !errors.Is(err, path.ErrBadPattern) {
			t.Errorf("%+v gives %v, want ErrBadPattern", sel, err)
		}
	}
}

// publish lets everybody enter a test's folder.
func publish(t *testing.T, dir string) {
	t.Helper()
	for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// A process named by its id that has ended is still spoken of, whatever else was
// asked of it: somebody who mistypes a user must not take it for running.
func TestSelectionNamesTheGone(t *testing.T) {
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	sel := Selection{PIDs: []int{cmd.Process.Pid}, UIDs: []int{0}}
	rs, err := New(Options{}).Status(t.Context(), sel)
	result(t, Gone, rs, err)
}

func TestSelectionByCgroup(t *testing.T) {
	parent := cgroupTree(t)
	name := fmt.Sprintf("lpbuild-test-%d.service", os.Getpid())
	group := filepath.Join(parent, name)
	below := filepath.Join(group, "below")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	exe := compile(t, "subject", subjectSource)
	inside, outside := launch(t, exec.Command(exe)), launch(t, exec.Command(exe))
	t.Cleanup(func() { // before the program is ended: a group must be empty to be removed
		enter(t, parent, inside.pid)
		if err := errors.Join(os.Remove(below), os.Remove(group)); err != nil {
			t.Error(err)
		}
	})
	enter(t, below, inside.pid)

	for _, tt := range []struct {
		group string
		want  []int
	}{
		{name, []int{inside.pid}},
		{"below", []int{inside.pid}},
		{"lpbuild-test-*.service", []int{inside.pid}},
		{"lpbuild-test-*", []int{inside.pid}},
		{"lpbuild-test", nil},
		{"/" + name, []int{inside.pid}},
		{"/" + name + "/below/", []int{inside.pid}},
		{"/" + name + "/bel", nil},
		{"/below", nil},
		{"/", []int{inside.pid, outside.pid}},
	} {
		t.Run(tt.group, func(t *testing.T) {
			slices.Sort(tt.want)
			got := chosen(t, Selection{Cgroups: []string{tt.group}}, inside.pid, outside.pid)
			if !slices.Equal(got, tt.want) {
				t.Errorf("chosen %v, want %v (inside %d, outside %d)", got, tt.want, inside.pid, outside.pid)
			}
		})
	}
}

// cgroupTree is where cgroup v2 is mounted and groups can be made.
func cgroupTree(t *testing.T) string {
	t.Helper()
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC && unix.Access(dir, unix.W_OK) == nil {
			return dir
		}
	}
	t.Skip("no cgroup v2 tree in which groups can be made")
	return ""
}

func enter(t *testing.T, group string, pid int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
		t.Error(err)
	}
}

func TestParseCgroups(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"0::/system.slice/nginx.service\n", []string{"/system.slice/nginx.service"}},
		{"9:name=systemd:/a\n4:memory:/b\n1:cpu,cpuacct:/c\n0::/\n", []string{"/a", "/"}},
		{"0::/user.slice/with:colon (deleted)\n", []string{"/user.slice/with:colon"}},
		{"", nil},
		{"0\n::\nx", nil},
	} {
		if got := parseCgroups([]byte(tt.text)); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
}
