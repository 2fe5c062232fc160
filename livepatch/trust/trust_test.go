package trust

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const nobody = 65534

// place makes TMP/a/b/file with everything root's, and gives a function that
// makes its paths.
func place(t *testing.T) func(...string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: files of several owners are made")
	}
	dir := t.TempDir()
	at := func(parts ...string) string { return filepath.Join(append([]string{dir}, parts...)...) }
	must(t, os.MkdirAll(at("a", "b"), 0o755), os.WriteFile(at("a", "b", "file"), []byte("trusted"), 0o644))
	return at
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, f *os.File, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTrusted(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(at func(...string) string) error
		path   []string
	}{
		{"as it is", func(func(...string) string) error { return nil }, []string{"a", "b", "file"}},
		{"sticky folder", func(at func(...string) string) error { return os.Chmod(at("a"), 0o777|os.ModeSticky) }, []string{"a", "b", "file"}},
		{"readable by nobody else", func(at func(...string) string) error { return os.Chmod(at("a"), 0o700) }, []string{"a", "b", "file"}},
		{"root's link on the way", func(at func(...string) string) error { return os.Symlink("a", at("link")) }, []string{"link", "b", "file"}},
		{"root's absolute link on the way", func(at func(...string) string) error { return os.Symlink(at("a"), at("link")) }, []string{"link", "b", "file"}},
		{"root's link in a sticky folder", func(at func(...string) string) error {
			return errors.Join(os.Symlink("b", at("a", "link")), os.Chmod(at("a"), 0o777|os.ModeSticky))
		}, []string{"a", "link", "file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := place(t)
			must(t, tt.change(at))
			f, err := File(at(tt.path...))
			if got := read(t, f, err); got != "trusted" {
				t.Errorf("read %q", got)
			}
			dir, err := Folder(at(tt.path[:len(tt.path)-1]...) + "/.")
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			f, err = FileIn(dir, "file")
			if got := read(t, f, err); got != "trusted" {
				t.Errorf("read %q from the folder", got)
			}
		})
	}
}

func TestUntrusted(t *testing.T) {
	type paths = func(...string) string
	for _, tt := range []struct {
		name, want string
		change     func(at paths) error
		path       []string
	}{
		{name: "another owner", want: "/a/b/file: not trusted: owned by uid 65534, not by root",
			change: func(at paths) error { return os.Chown(at("a", "b", "file"), nobody, 0) }},
		{name: "written by the group", want: "/a/b/file: not trusted: mode 0664 lets others write",
			change: func(at paths) error { return os.Chmod(at("a", "b", "file"), 0o664) }},
		{name: "written by the world", want: "mode 0646 lets others write",
			change: func(at paths) error { return os.Chmod(at("a", "b", "file"), 0o646) }},
		{name: "sticky file", want: "mode 1646 lets others write",
			change: func(at paths) error { return os.Chmod(at("a", "b", "file"), 0o646|os.ModeSticky) }},
		{name: "folder of another", want: "/a/b: not trusted: owned by uid 65534, not by root",
			change: func(at paths) error { return os.Chown(at("a", "b"), nobody, 0) }},
		{name: "folder above of another", want: "/a: not trusted: owned by uid 65534, not by root",
			change: func(at paths) error { return os.Chown(at("a"), nobody, 0) }},
		{name: "sticky folder of another", want: "/a: not trusted: owned by uid 65534",
			change: func(at paths) error {
				return errors.Join(os.Chown(at("a"), nobody, 0), os.Chmod(at("a"), 0o777|os.ModeSticky))
			}},
		{name: "folder above written by others", want: "/a: not trusted: mode 0777 lets others write",
			change: func(at paths) error { return os.Chmod(at("a"), 0o777) }},
		{name: "link at the end", want: "not trusted: a symbolic link",
			change: func(at paths) error { return os.Symlink("file", at("a", "b", "link")) }, path: []string{"a", "b", "link"}},
		{name: "another's link on the way", want: "/link: not trusted: owned by uid 65534",
			change: func(at paths) error {
				return errors.Join(os.Symlink("a", at("link")), os.Lchown(at("link"), nobody, 0))
			}, path: []string{"link", "b", "file"}},
		{name: "link through a folder of another", want: "/other: not trusted: owned by uid 65534",
			change: func(at paths) error {
				return errors.Join(os.Mkdir(at("other"), 0o755), os.Symlink("../a", at("other", "link")), os.Chown(at("other"), nobody, 0))
			}, path: []string{"other", "link", "b", "file"}},
		{name: "links without end", want: "too many levels of symbolic links",
			change: func(at paths) error { return os.Symlink("loop", at("loop")) }, path: []string{"loop", "file"}},
		{name: "pipe", want: "not trusted: neither file nor folder",
			change: func(at paths) error { return syscall.Mkfifo(at("a", "pipe"), 0o644) }, path: []string{"a", "pipe"}},
		{name: "folder", want: "not trusted: neither file nor folder", change: func(paths) error { return nil }, path: []string{"a", "b"}},
		{name: "not there", want: "no such file", change: func(paths) error { return nil }, path: []string{"a", "c", "file"}},
		{name: "through a file", want: "not a directory", change: func(paths) error { return nil }, path: []string{"a", "b", "file", "x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := place(t)
			must(t, tt.change(at))
			if tt.path == nil {
				tt.path = []string{"a", "b", "file"}
			}
			f, err := File(at(tt.path...))
			if err == nil {
				f.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			if refused := !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ELOOP) && !errors.Is(err, syscall.ENOTDIR); errors.Is(err, ErrUntrusted) != refused {
				t.Errorf("%v: ErrUntrusted is %v", err, errors.Is(err, ErrUntrusted))
			}
		})
	}
}

// A path is relative to where the program is, and to nothing that its text says.
func TestRelative(t *testing.T) {
	at := place(t)
	must(t, os.Mkdir(at("c"), 0o755), os.Symlink("../a/b", at("c", "link")))
	t.Chdir(at("c"))
	for _, path := range []string{"link/file", "../a/b/file", "link/../b/file", "./link//file"} {
		f, err := File(path)
		if got := read(t, f, err); got != "trusted" {
			t.Errorf("%s: read %q", path, got)
		}
	}
	must(t, os.Chown(at(), nobody, 0))
	if _, err := File("../a/b/file"); !errors.Is(err, ErrUntrusted) {
		t.Errorf("below a folder of another: %v", err)
	}
	t.Chdir("/")
	for _, path := range []string{".", "/", "../.", "dev/.."} {
		f, err := Folder(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		f.Close()
	}
}

func TestFileInTakesNamesOnly(t *testing.T) {
	at := place(t)
	dir, err := Folder(at("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for _, name := range []string{"b/file", "../a/b/file", "..", "", "/etc/passwd"} {
		if f, err := FileIn(dir, name); err == nil {
			f.Close()
			t.Errorf("opened %q", name)
		}
	}
}
