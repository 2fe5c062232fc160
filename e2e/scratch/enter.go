package scratch

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNotInside says that the process was not started by Run.
var ErrNotInside = errors.New("not process 1 of a namespace")

// A Root describes the root folder.
type Root struct {
	// Dir is an empty folder to mount it on. Outside it stays empty.
	Dir string
	// Binds are absolute paths of the host that appear at the same path, read-only.
	Binds []string
}

// hostTools are the host's programs and folders in the root, all of what rpm
// needs beside its libraries.
var hostTools = []string{"/usr/bin/rpm", "/usr/lib/rpm"}

// loader is the dynamic loader of amd64 (psABI 5.2.1). Its real file lies in the
// folder of the C library.
const loader = "/lib64/ld-linux-x86-64.so.2"

// shell is the program behind /bin/sh, which scriptlets run in.
const shell = "busybox"

var folders = []string{
	"dev", "etc", "proc", "root", "run", "usr/bin", "usr/lib", "usr/lib64", "usr/sbin",
	"var/lib/rpm", "var/log", "var/tmp",
}

// links are the merged-/usr links and what has to be at a fixed path.
var links = []struct{ name, to string }{
	{"bin", "usr/bin"}, {"sbin", "usr/sbin"}, {"lib", "usr/lib"}, {"lib64", "usr/lib64"},
}

var devices = []string{"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"}

// Enter makes the root and pivots into it. From then on / is the root, the
// current folder is /, and /proc shows the processes inside.
func Enter(r Root) error {
	if os.Getpid() != 1 {
		return ErrNotInside
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("scratch", r.Dir, "tmpfs", unix.MS_NOSUID, "mode=0755,size=1g"); err != nil {
		return fmt.Errorf("%s: tmpfs: %w", r.Dir, err)
	}
	if err := r.layout(); err != nil {
		return err
	}
	if err := r.bindAll(); err != nil {
		return err
	}
	if err := unix.Mount("proc", r.path("proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("%s: proc: %w", r.path("proc"), err)
	}
	return r.pivot()
}

// path is where a path inside is before the pivot.
func (r Root) path(name string) string { return filepath.Join(r.Dir, name) }

// layout makes the folders, links and files that the host does not give.
func (r Root) layout() error {
	for _, name := range folders {
		if err := os.MkdirAll(r.path(name), 0o755); err != nil {
			return err
		}
	}
	if err := os.Mkdir(r.path("tmp"), 0o777); err != nil {
		return err
	}
	if err := os.Chmod(r.path("tmp"), 0o777|os.ModeSticky); err != nil {
		return err
	}
	for _, l := range links {
		if err := os.Symlink(l.to, r.path(l.name)); err != nil {
			return err
		}
	}
	if err := os.WriteFile(r.path("etc/passwd"), []byte("root:x:0:0:root:/root:/bin/sh\n"), 0o644); err != nil {
		return err
	}
	return os.WriteFile(r.path("etc/group"), []byte("root:x:0:\n"), 0o644)
}

// bindAll binds the host's files and makes the links that lead to them.
func (r Root) bindAll() error {
	real, err := filepath.EvalSymlinks(loader)
	if err != nil {
		return err
	}
	sh, err := exec.LookPath(shell)
	if err != nil {
		return err
	}
	if sh, err = filepath.EvalSymlinks(sh); err != nil {
		return err
	}
	binds := append(append([]string{filepath.Dir(real), sh}, hostTools...), devices...)
	for _, name := range append(binds, r.Binds...) {
		if err := r.bind(name); err != nil {
			return err
		}
	}
	if err := os.Symlink(real, r.path(loader)); err != nil {
		return err
	}
	return os.Symlink(sh, r.path("/bin/sh"))
}

// bind makes a file or folder of the host visible at the same path.
func (r Root) bind(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	target := r.path(name)
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		err = os.WriteFile(target, nil, 0o644)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(name, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("%s: bind: %w", name, err)
	}
	if strings.HasPrefix(name, "/dev/") {
		return nil // written to
	}
	if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("%s: read-only: %w", name, err)
	}
	return nil
}

// pivot makes Dir the root and lets go of the old one, which pivot_root(2) puts
// on top of it where both arguments are the same.
func (r Root) pivot() error {
	if err := os.Chdir(r.Dir); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("%s: pivot_root: %w", r.Dir, err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("old root: %w", err)
	}
	return os.Chdir("/")
}
