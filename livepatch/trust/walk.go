package trust

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A walk goes from folder to folder, each opened in the one before it.
type walk struct {
	fd int
	// at is the way so far, for messages.
	at    string
	links int
}

// newWalk starts in /.
func newWalk() (*walk, error) {
	w := &walk{fd: -1}
	return w, w.enter(unix.AT_FDCWD, "/", "/")
}

func (w *walk) close() {
	if w.fd >= 0 {
		_ = unix.Close(w.fd) // nothing was written
	}
}

// enter opens a folder of dir, checks it and goes there.
func (w *walk) enter(dir int, name, at string) error {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: at, Err: err}
	}
	w.close()
	w.fd, w.at = fd, at
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: at, Err: err}
	}
	if st.Uid != 0 || st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0 {
		return untrusted(at, &st)
	}
	return nil
}

// follow goes a way, along the symbolic links on it.
func (w *walk) follow(way string) error {
	rest := strings.Split(way, "/")
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		at := filepath.Join(w.at, name)
		target, err := w.link(name, at)
		if err != nil {
			return err
		}
		if target == "" {
			if err := w.enter(w.fd, name, at); err != nil {
				return err
			}
			continue
		}
		if w.links++; w.links > maxLinks {
			return &os.PathError{Op: "open", Path: at, Err: unix.ELOOP}
		}
		if filepath.IsAbs(target) {
			if err := w.enter(unix.AT_FDCWD, "/", "/"); err != nil {
				return err
			}
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return nil
}

// link reads a symbolic link, "" if the name is of something else. In a folder
// that others may write to, it is the link's owner who says where it leads.
func (w *walk) link(name, at string) (string, error) {
	fd, err := unix.Openat(w.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: at, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", &os.PathError{Op: "stat", Path: at, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", nil
	}
	if st.Uid != 0 {
		return "", untrusted(at, &st)
	}
	target := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", target)
	if err != nil || n == 0 {
		return "", fmt.Errorf("%s: read the link: %w", at, err)
	}
	return string(target[:n]), nil
}
