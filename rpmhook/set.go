package rpmhook

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/livepatch"
)

// ErrUntrusted says that somebody other than root could have written a file of
// the set, or that it is not what the manifest says.
var ErrUntrusted = errors.New("not trusted")

// errNoSet says that the folder of the set does not exist.
var errNoSet = errors.New("no such set")

// loadSet reads the set in the folder root/name: all of it or nothing. Every
// folder on the way and every file must belong to root and be writable by
// nobody else; the files are opened without following links, and each digest
// must be the manifest's. The manifest is returned beside an error if it could
// be read, so that messages can name the version.
func loadSet(root, name string) (*Manifest, []*livepatch.Container, error) {
	dir, err := openSet(root, name)
	if err != nil {
		return nil, nil, err
	}
	defer dir.Close()
	m, err := readManifest(dir, name)
	if err != nil {
		return nil, nil, err
	}
	containers := make([]*livepatch.Container, 0, len(m.Containers))
	total := 0
	for _, entry := range m.Containers {
		c, err := readContainer(dir, m.Name, entry)
		if err != nil {
			return m, nil, err
		}
		if total += len(c.Data); total > maxSet {
			return m, nil, fmt.Errorf("%s: more than %d bytes of containers", dir.Name(), maxSet)
		}
		containers = append(containers, c)
	}
	return m, containers, nil
}

// openSet opens the folder of a set, having checked the way there.
func openSet(root, name string) (*os.File, error) {
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, err
	}
	for dir := real; ; dir = filepath.Dir(dir) {
		var st unix.Stat_t
		if err := unix.Lstat(dir, &st); err != nil {
			return nil, &os.PathError{Op: "stat", Path: dir, Err: err}
		}
		// In a sticky folder nobody else can rename or remove root's entries.
		if st.Uid != 0 || st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0 {
			return nil, untrusted(dir, &st)
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	dir, err := openTrusted(unix.AT_FDCWD, filepath.Join(real, name), unix.S_IFDIR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errNoSet, err)
	}
	return dir, err
}

// openTrusted opens a file of the given type that only root can have written.
// It follows no link in the last component and waits for nobody: a pipe in the
// place of a file does not block.
func openTrusted(dirfd int, path string, kind uint32) (*os.File, error) {
	fd, err := unix.Openat(dirfd, path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
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
		f.Close()
		return nil, fmt.Errorf("%s: %w: neither file nor folder as expected (mode %#o)", path, ErrUntrusted, st.Mode)
	case st.Uid != 0, st.Mode&0o022 != 0:
		f.Close()
		return nil, untrusted(path, &st)
	}
	return f, nil
}

func untrusted(path string, st *unix.Stat_t) error {
	if st.Uid != 0 {
		return fmt.Errorf("%s: %w: owned by uid %d, not by root", path, ErrUntrusted, st.Uid)
	}
	return fmt.Errorf("%s: %w: mode %04o lets others write", path, ErrUntrusted, st.Mode&0o7777)
}

// readTrusted reads a regular file below dir, at most limit bytes.
func readTrusted(dir *os.File, name string, limit int64) ([]byte, error) {
	f, err := openTrusted(int(dir.Fd()), name, unix.S_IFREG)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, limit)
	}
	return b, nil
}

func readManifest(dir *os.File, name string) (*Manifest, error) {
	b, err := readTrusted(dir, ManifestName, maxManifest)
	if err != nil {
		return nil, err
	}
	m, err := DecodeManifest(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestName, err)
	}
	if m.Name != name {
		return nil, fmt.Errorf("%s: %w: it is the manifest of %s", ManifestName, ErrUntrusted, m.Name)
	}
	return m, nil
}

// readContainer reads one container and holds it against the manifest. A
// container of another set is refused: erasing this package would leave it in
// every process.
func readContainer(dir *os.File, set string, want ManifestEntry) (*livepatch.Container, error) {
	data, err := readTrusted(dir, want.File, livepatch.MaxContainer)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	if hex.EncodeToString(sum[:]) != want.SHA256 {
		return nil, fmt.Errorf("%s: %w: SHA-256 %x, the manifest says %s", want.File, ErrUntrusted, sum, want.SHA256)
	}
	c, err := livepatch.ReadContainer(want.File, data)
	switch {
	case err != nil:
		return nil, err
	case c.Info == nil:
		return nil, fmt.Errorf("%s: no .lpbuild section", want.File)
	case c.Info.Set != set:
		return nil, fmt.Errorf("%s: a container of %q", want.File, c.Info.Set)
	case !strings.EqualFold(c.Info.BuildID, want.BuildID):
		return nil, fmt.Errorf("%s: for build-id %s, the manifest says %s", want.File, c.Info.BuildID, want.BuildID)
	}
	return c, nil
}
