package injector

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// openProc opens a file or folder of procfs for as long as it takes to read it.
// os.Open would offer it to the runtime's poller, which takes five system calls
// and fails: with a thousand processes to look at that is felt.
func openProc(name string, flags int) (*os.File, error) {
	fd, err := openRaw(name, flags)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func openRaw(name string, flags int) (int, error) {
	for {
		fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0)
		if err == nil {
			return fd, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return -1, &fs.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

// readProcFile reads a file of procfs; what is beyond 64 KiB is left out.
func readProcFile(name string) ([]byte, error) {
	fd, err := openRaw(name, unix.O_RDONLY)
	if err != nil {
		return nil, procError(err)
	}
	defer func() { _ = unix.Close(fd) }()
	b := make([]byte, 0, 2048) // most fit, and procfs gives a page at most at once
	for {
		n, err := unix.Read(fd, b[len(b):cap(b)])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, procError(&fs.PathError{Op: "read", Path: name, Err: err})
		}
		b = b[:len(b)+n]
		if n == 0 || len(b) == maxProcFile {
			return b, nil
		}
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(4*cap(b), maxProcFile)), b...)
		}
	}
}
