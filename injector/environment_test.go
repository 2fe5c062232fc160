package injector

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/livepatch"
)

// startEnvironment runs a case of testdata/environment.c. The target is the
// child that serves, if the case has one.
func (f *fixture) startEnvironment(t *testing.T, name string) *target {
	t.Helper()
	return adopt(f.startCase(t, "environment.c", name))
}

// adopt takes the only child of a process for the target.
func adopt(tg *target) *target {
	tg.t.Helper()
	found := children("/proc", tg.pid, tg.pid)
	if len(found) == 0 {
		return tg
	}
	tg.pid = found[0]
	st, err := readStat("/proc", tg.pid)
	if err != nil {
		tg.t.Fatal(err)
	}
	tg.start = st.start
	return tg
}

// TestEnvironments: processes that have restricted themselves, or live in a
// world of their own, are patched as others are. The comment of a case says what
// would have to be different for it to fail.
func TestEnvironments(t *testing.T) {
	needsRoot(t)
	f := newFixture(t, "stock")
	publish(t, f.dir)
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	for _, name := range []string{
		"mdwe",            // code is mapped executable and written from outside: memory never becomes executable
		"no-new-privs",    // nothing that the process does here takes a privilege
		"not-dumpable",    // nothing is done by the process's own rights
		"changed-user",    // nothing is done by the process's own rights
		"user-namespace",  // nothing is done by the process's own rights
		"pid-namespace",   // its ids are those of the namespace from which it is looked at
		"mount-namespace", // nothing is opened by a name that the process sees
		"container",       // all of these together
		"empty-root",      // nothing is opened in the process
		"locked",          // the region is mapped at once and as a whole, so that what is locked is what is used
		"jit",             // memory without a file, executable as ours is, is not taken for ours
		"jit-everywhere",  // regions keep apart from neighbours of the same kind, which the kernel would merge
		"vsyscall",        // a thread in the vsyscall page is not borrowed, and is in nobody's way
	} {
		t.Run(name, func(t *testing.T) {
			needs(t, name)
			tg := f.startEnvironment(t, name)
			tg.backAndForth(set, 4)
			tg.unharmed()
			tg.ends()
		})
	}
	t.Run("limited", func(t *testing.T) { // what the kernel refuses is found out by asking, and named
		tg := f.startEnvironment(t, "limited")
		rs, err := New(Options{}).Apply(background(), only(tg.pid), set)
		if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, "a limit") {
			t.Errorf("reason %q", r.Reason)
		}
		tg.untouched(nil)
		tg.says(old)
		tg.ends()
	})
}

// needs skips a case that this kernel does not have.
func needs(t *testing.T, name string) {
	t.Helper()
	switch name {
	case "mdwe", "container":
		const getMDWE = 66 // PR_GET_MDWE, Linux 6.3
		if _, err := unix.PrctlRetInt(getMDWE, 0, 0, 0, 0); err != nil {
			t.Skipf("this kernel has no MDWE: %v", err)
		}
	case "vsyscall":
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil || !bytes.Contains(maps, []byte("[vsyscall]")) {
			t.Skipf("this kernel has no vsyscall page (%v)", err)
		}
	}
}

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make namespaces and change users")
	}
}

// TestChroot: a process that sees neither /proc nor the container, and whose
// library has the name of another file outside.
func TestChroot(t *testing.T) {
	needsRoot(t)
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	program := f.compileCase(t, "environment.c")
	root := t.TempDir()
	for _, file := range append(needed(t, program), program) {
		copyFile(t, file, filepath.Join(root, file))
	}
	other := newFixture(t, "padded")
	replaceFile(t, other.library, f.library)
	cmd := exec.Command(program, "plain")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	cmd.Env = append(os.Environ(), "LD_ORIGIN_PATH="+f.dir) // $ORIGIN takes /proc
	tg := startTarget(t, cmd)
	tg.backAndForth(set, 2)
	rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{other.container(t, 3, "answer")})
	result(t, NoPatchForBuild, rs, err)
	tg.unharmed()
	tg.ends()
}

// TestMountedOver: a library of which the name means another build to everybody
// else is known by what is mapped.
func TestMountedOver(t *testing.T) {
	needsRoot(t)
	f, other := newFixture(t, "stock"), newFixture(t, "padded")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	program := f.compileCase(t, "environment.c")
	inside := filepath.Join(f.dir, "inside")
	copyFile(t, f.library, inside)
	replaceFile(t, other.library, f.library)
	const mounted = `mount --bind "$0" "$1" && exec "$2" plain`
	tg := startTarget(t, exec.Command("unshare", "-m", "--propagation", "private", "sh", "-c", mounted, inside, f.library, program))
	tg.backAndForth(set, 2)
	rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{other.container(t, 3, "answer")})
	result(t, NoPatchForBuild, rs, err)
	tg.unharmed()
	tg.ends()
}

// needed lists the files that a program maps when it starts.
func needed(t *testing.T, program string) []string {
	t.Helper()
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "/") {
			files = append(files, word)
		}
	}
	if len(files) < 3 {
		t.Fatalf("ldd %s: %s", program, out)
	}
	return files
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

// replaceFile puts a copy of a file in the place of another, as an update does.
func replaceFile(t *testing.T, from, to string) {
	t.Helper()
	copyFile(t, from, to+".new")
	if err := os.Rename(to+".new", to); err != nil {
		t.Fatal(err)
	}
}

// TestLibraryFileIsNotThatWhichIsMapped: what a process runs is what it maps,
// whatever has become of the file.
func TestLibraryFileIsNotThatWhichIsMapped(t *testing.T) {
	other := newFixture(t, "padded")
	for _, c := range []struct {
		name   string
		change func(t *testing.T, library string)
	}{
		{"deleted", func(t *testing.T, library string) {
			if err := os.Remove(library); err != nil {
				t.Fatal(err)
			}
		}},
		{"replaced by another build", func(t *testing.T, library string) { replaceFile(t, other.library, library) }},
		{"replaced by something else", func(t *testing.T, library string) { replaceFile(t, "/proc/self/exe", library) }},
		{"its folder is gone", func(t *testing.T, library string) {
			if err := os.RemoveAll(filepath.Dir(library)); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t, "stock")
			set := []*livepatch.Container{f.container(t, 2, "answer")}
			tg := f.startCase(t, "environment.c", "plain")
			c.change(t, f.library)
			tg.backAndForth(set, 2)
			rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{other.container(t, 3, "answer")})
			result(t, NoPatchForBuild, rs, err)
			tg.unharmed()
			tg.ends()
		})
	}
}

// TestAsAnOrdinaryUser: somebody who is not root patches processes of his own,
// and is refused those that the kernel keeps from him, for that reason.
func TestAsAnOrdinaryUser(t *testing.T) {
	if pid := os.Getenv("LPBUILD_TEST_PID"); pid != "" {
		applyAsTold(t, pid)
		return
	}
	needsRoot(t)
	f := newFixture(t, "stock")
	c := f.container(t, 2, "answer")
	publish(t, f.dir)
	test := filepath.Join(f.dir, "injector.test")
	copyFile(t, os.Args[0], test)
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	program := f.compileCase(t, "environment.c")
	for _, tt := range []struct {
		name   string
		owner  *syscall.SysProcAttr
		word   Word
		reason string
	}{
		{"plain", nobody, Applied, ""},
		{"plain", nil, Blocked, ErrPermission.Error()},
		{"not-dumpable", nobody, Blocked, ErrPermission.Error()},
		{"changed-user", nil, Blocked, ErrPermission.Error()},
	} {
		t.Run(tt.name+" "+string(tt.word), func(t *testing.T) {
			if scope, _ := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); tt.word == Applied && len(scope) > 0 && scope[0] != '0' {
				t.Skip("here an ordinary user may trace nothing but his children (yama)")
			}
			served := exec.Command(program, tt.name)
			served.SysProcAttr = tt.owner
			tg := startTarget(t, served)
			cmd := exec.Command(test, "-test.run=^TestAsAnOrdinaryUser$")
			cmd.Dir, cmd.SysProcAttr = "/", nobody
			cmd.Env = append(os.Environ(), "LPBUILD_TEST_PID="+strconv.Itoa(tg.pid), "LPBUILD_TEST_CONTAINER="+filepath.Join(f.dir, c.Name),
				"LPBUILD_TEST_WORD="+string(tt.word), "LPBUILD_TEST_REASON="+tt.reason)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			tg.says(map[Word]string{Applied: v2, Blocked: old}[tt.word])
			tg.unharmed()
			tg.ends()
		})
	}
}

// applyAsTold applies a container in a process that another test has started,
// with less rights than that has, and checks what is said.
func applyAsTold(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(os.Getenv("LPBUILD_TEST_CONTAINER"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := livepatch.ReadContainer("patch", data)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := New(Options{}).Apply(background(), only(n), []*livepatch.Container{c})
	r := result(t, Word(os.Getenv("LPBUILD_TEST_WORD")), rs, err)
	if want := os.Getenv("LPBUILD_TEST_REASON"); !strings.Contains(r.Reason, want) || (want == "") != (r.Reason == "") {
		t.Errorf("reason %q, want %q", r.Reason, want)
	}
}
