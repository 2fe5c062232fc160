package versions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions/rpmfile"
	"github.com/lpbuild/lpbuild/versions/rpmmd"
)

// A Store keeps packages and what was unpacked of them, by the SHA-256 of the
// package file:
//
//	rpms/SHA256.rpm                package files
//	metadata/TYPE-DIGEST           compressed metadata files
//	libraries/SHA256/manifest.json what was unpacked below root/, with digests
//	libraries/SHA256/root/lib64/…  the package's own layout: ld.so, libc, libm, …
//	debug/SHA256/…                 the same of packages with debug symbols
//	libraries/SHA256.lock          held while a tree is written
//
// It can be deleted at any time. Several processes may use it at once.
type Store struct{ dir string }

// OpenStore opens the store in dir, "" meaning lpbuild in the user's cache
// folder. The folder is made when it is first written to.
func OpenStore(dir string) (*Store, error) {
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(cache, "lpbuild")
	}
	dir, err := filepath.Abs(dir)
	return &Store{dir: dir}, err
}

func (s *Store) metadata() string { return filepath.Join(s.dir, "metadata") }

func (s *Store) rpmPath(sha256 string) string { return filepath.Join(s.dir, "rpms", sha256+".rpm") }

// Library is the path of the unpacked library of a build. The error wraps
// ErrNotInStore if it is not there, ErrChecksum if it is not the recorded file.
func (s *Store) Library(b *elfinfo.Build) (string, error) {
	if !isSHA256(b.RPMSHA256) {
		return "", fmt.Errorf("%s: %w: RPM SHA-256 %q", b.NEVRA, ErrChecksum, b.RPMSHA256)
	}
	dir := filepath.Join(s.dir, string(libraries), b.RPMSHA256, "root")
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: %w", b.NEVRA, ErrNotInStore)
	}
	if err != nil {
		return "", err
	}
	defer root.Close()
	f, err := root.Open(strings.TrimPrefix(b.Library, "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: %s: %w", b.NEVRA, b.Library, ErrNotInStore)
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	if have := hex.EncodeToString(h.Sum(nil)); have != b.LibrarySHA256 {
		return "", fmt.Errorf("%s: %w: SHA-256 is %s, not %s", f.Name(), ErrChecksum, have, b.LibrarySHA256)
	}
	return filepath.Join(dir, filepath.FromSlash(b.Library)), nil
}

// LibraryDir is the folder of the unpacked library of a build, with the other
// libraries that its package has there: for a libc its own ld.so, libm,
// libpthread. For a library in a glibc-hwcaps folder it is the one above that,
// where ld.so is. Errors are those of Library.
func (s *Store) LibraryDir(b *elfinfo.Build) (string, error) {
	name, err := s.Library(b)
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(name)
	if up := filepath.Dir(dir); filepath.Base(up) == hwcaps {
		return filepath.Dir(up), nil
	}
	return dir, nil
}

// Loader is the path of the dynamic loader that the build's package has beside
// the library (ld-linux-x86-64.so.2 and the like). The error wraps
// ErrNotInStore if the package has none: only libc's has.
func (s *Store) Loader(b *elfinfo.Build) (string, error) {
	dir, err := s.LibraryDir(b)
	if err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(dir, "ld-linux*.so.*"))
	if err != nil || len(found) == 0 {
		return "", errors.Join(fmt.Errorf("%s: dynamic loader: %w", b.NEVRA, ErrNotInStore), err)
	}
	return found[0], nil
}

// rpm returns the path of a package file, fetched if it is not there or not
// right, and its SHA-256.
func (s *Store) rpm(ctx context.Context, repo *rpmmd.Repository, p rpmmd.Package, progress func(int64)) (name, sum string, err error) {
	key := p.Checksum.Value
	if p.Checksum.Type != "sha256" {
		key = p.Checksum.Type + "-" + key
	}
	name = s.rpmPath(key)
	err = rpmmd.CheckFile(name, p.Size, p.Checksum)
	switch {
	case err == nil:
		progress(p.Size)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrChecksum), errors.Is(err, ErrTruncated):
		if repo == nil {
			return "", "", fmt.Errorf("%s: no repository has it any more: %w", p.NEVRA, ErrNotInStore)
		}
		if err := repo.Download(ctx, p, name, progress); err != nil {
			return "", "", err
		}
	default:
		return "", "", err
	}
	if p.Checksum.Type == "sha256" {
		return name, p.Checksum.Value, nil
	}
	sum, err = s.nameBySHA256(name)
	return name, sum, err
}

// nameBySHA256 gives a package file that metadata names by another digest its
// usual name as well.
func (s *Store) nameBySHA256(name string) (string, error) {
	sum, err := sumFile(name)
	if err != nil {
		return "", err
	}
	if err := os.Link(name, s.rpmPath(sum)); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return sum, nil
}

// kind is the part of the store that a tree is in.
type kind string

const (
	libraries kind = "libraries"
	debug     kind = "debug"
)

// manifest says what a tree holds.
type manifest struct {
	NEVRA string              `json:"nevra"`
	Files []rpmfile.Extracted `json:"files"`
}

func (m *manifest) has(name string) bool {
	for _, f := range m.Files {
		if f.Path == name {
			return true
		}
	}
	return false
}

// tree returns the folder with the unpacked files of a package: all that want
// chooses, and the paths of need. One that is there already is used if it has
// what is needed, all its files are there, and those of need, or all if nothing
// is in need, have the digests of when they were unpacked.
//
// Precondition: the package is verified.
func (s *Store) tree(ctx context.Context, k kind, p *rpmfile.Package, sum string, want func(*rpmfile.File) bool, need []string) (string, error) {
	dir := filepath.Join(s.dir, string(k), sum)
	if old, err := readTree(dir); err == nil && hasAll(old, need) && old.intact(dir, need) {
		return filepath.Join(dir, "root"), nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	lock, err := lockTree(dir)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	old, err := readTree(dir)
	if err == nil && hasAll(old, need) && old.intact(dir, need) { // somebody else's work while we waited
		return filepath.Join(dir, "root"), nil
	}
	keep := func(f *rpmfile.File) bool {
		return want(f) || old != nil && old.has(f.Path)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := unpack(ctx, p, tmp, keep); err != nil {
		return "", err
	}
	return filepath.Join(dir, "root"), replaceDir(tmp, dir)
}

func hasAll(m *manifest, need []string) bool {
	for _, n := range need {
		if !m.has(n) {
			return false
		}
	}
	return true
}

// intact says whether the files of those names, all if there are none, still
// have their content.
func (m *manifest) intact(dir string, names []string) bool {
	wanted := make(map[string]bool)
	for _, n := range names {
		wanted[m.real(n)] = true
	}
	for _, f := range m.Files {
		if f.SHA256 == "" || len(names) > 0 && !wanted[f.Path] {
			continue
		}
		if sum, err := sumFile(filepath.Join(dir, "root", filepath.FromSlash(path.Clean("/"+f.Path)))); err != nil || sum != f.SHA256 {
			return false
		}
		delete(wanted, f.Path)
	}
	return len(wanted) == 0
}

// real follows the links of the tree from a name to a file's.
func (m *manifest) real(name string) string {
	for range m.Files {
		i := slices.IndexFunc(m.Files, func(f rpmfile.Extracted) bool { return f.Path == name && f.Link != "" })
		if i < 0 {
			break
		}
		name = path.Join(path.Dir(name), m.Files[i].Link)
	}
	return name
}

// lockTree lets one writer at a time, of this process or another, at a tree.
// The lock goes with the descriptor, so a writer that dies leaves none.
func lockTree(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: lock: %w", f.Name(), err), f.Close())
	}
	return f, nil
}

// replaceDir puts tmp in the place of dir. Where there is a dir already the two
// change places in one step, so that whoever reads there finds every file at
// every moment.
//
// Precondition: the tree is locked.
func replaceDir(tmp, dir string) error {
	err := os.Rename(tmp, dir)
	if !errors.Is(err, fs.ErrExist) { // ENOTEMPTY
		return err
	}
	err = unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	if err := os.RemoveAll(dir); err != nil { // a file system that can't exchange
		return err
	}
	return os.Rename(tmp, dir)
}

// unpack fills an empty folder: root/ and manifest.json.
func unpack(ctx context.Context, p *rpmfile.Package, dir string, want func(*rpmfile.File) bool) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(dir, "root"), 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Join(dir, "root"))
	if err != nil {
		return err
	}
	defer root.Close()
	files, err := p.Extract(ctx, root, want)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(manifest{NEVRA: p.NEVRA().String(), Files: files}, "", " ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "manifest.json"), data)
}

// readTree reads a tree's manifest and looks whether its files are there.
func readTree(dir string) (*manifest, error) {
	data, err := readFile(filepath.Join(dir, "manifest.json"), maxLock)
	if err != nil {
		return nil, err
	}
	m := new(manifest)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, err
	}
	for _, f := range m.Files {
		info, err := os.Lstat(filepath.Join(dir, "root", filepath.FromSlash(path.Clean("/"+f.Path))))
		if err != nil {
			return nil, err
		}
		if f.Link == "" && info.Size() != f.Size {
			return nil, fmt.Errorf("%s: %s: %w", dir, f.Path, ErrTruncated)
		}
	}
	return m, nil
}
