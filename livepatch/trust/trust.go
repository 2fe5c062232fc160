// Package trust opens what nobody but root can have written: what is read from
// such a file becomes code in every process of the machine.
//
// A file is trusted if it and every folder on the way to it, from / on, belongs
// to root and can be written by nobody else. A folder with the sticky bit may be
// written by others, who can neither rename nor remove what is root's in it. A
// symbolic link on the way must be root's own; at the end there must be none.
//
// Nothing is looked at by name twice: each folder is opened in the one before it
// without following links, and it is what was opened that is checked. So nobody
// can put something else in its place between the check and the use.
package trust

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrUntrusted says that somebody other than root could have written a file, or
// put it where it is.
var ErrUntrusted = errors.New("not trusted")

// maxLinks bounds the symbolic links on one way (MAXSYMLINKS of the kernel).
const maxLinks = 40

// File opens a regular file for reading. Errors wrap ErrUntrusted or name the
// part of the way that could not be opened.
func File(path string) (*os.File, error) { return open(path, unix.S_IFREG) }

// Folder opens a folder for reading, as File does a file.
func Folder(path string) (*os.File, error) { return open(path, unix.S_IFDIR) }

// FileIn opens a regular file of a folder for reading. The way to the folder is
// known to be trusted: it comes from Folder.
func FileIn(folder *os.File, name string) (*os.File, error) {
	if name != filepath.Base(name) || name == ".." {
		return nil, fmt.Errorf("%q: %w: not the name of a file", name, ErrUntrusted)
	}
	return openLast(int(folder.Fd()), name, filepath.Join(folder.Name(), name), unix.S_IFREG)
}

func open(path string, kind uint32) (*os.File, error) {
	absolute := path
	if !filepath.IsAbs(path) {
		here, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		absolute = here + "/" + path // not cleaned: "link/.." is not "."
	}
	absolute = strings.TrimRight(absolute, "/")
	cut := strings.LastIndexByte(absolute, '/')
	name := absolute[cut+1:]
	if name == "" || name == "." || name == ".." {
		// A folder that is not named by what it is called where it lies.
		absolute, name = absolute+"/", "."
		cut = len(absolute) - 1
	}
	w, err := newWalk()
	if err != nil {
		return nil, err
	}
	defer w.close()
	if err := w.follow(absolute[:cut]); err != nil {
		return nil, err
	}
	return openLast(w.fd, name, path, kind)
}

// openLast opens what the way leads to. It waits for nobody: a pipe in the place
// of a file does not block. path is for messages.
func openLast(folder int, name, path string, kind uint32) (*os.File, error) {
	fd, err := unix.Openat(folder, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s: %w: a symbolic link", path, ErrUntrusted)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT != kind:
		err = fmt.Errorf("%s: %w: neither file nor folder as expected (mode %#o)", path, ErrUntrusted, st.Mode)
	case st.Uid != 0 || st.Mode&0o022 != 0:
		err = untrusted(path, &st)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func untrusted(path string, st *unix.Stat_t) error {
	if st.Uid != 0 {
		return fmt.Errorf("%s: %w: owned by uid %d, not by root", path, ErrUntrusted, st.Uid)
	}
	return fmt.Errorf("%s: %w: mode %04o lets others write", path, ErrUntrusted, st.Mode&0o7777)
}
