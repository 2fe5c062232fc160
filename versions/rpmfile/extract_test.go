package rpmfile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func extract(t *testing.T, data []byte) (string, []Extracted, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "in", "root")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	done, err := open(t, data).Extract(context.Background(), root, func(*File) bool { return true })
	return dir, done, err
}

func TestExtractRefusesWhatLeaves(t *testing.T) {
	for _, tt := range []struct {
		name    string
		members []member
		tags    map[uint32]tagValue
		want    error
	}{
		{name: "dot dot", members: []member{{name: "./../../evil", listed: "/evil", mode: 0o100644, data: "x"}}, want: ErrUnsafePath},
		{name: "dot dot in the list", members: []member{{name: "./evil", listed: "/lib64/../../evil", mode: 0o100644, data: "x"}}, want: ErrUnsafePath},
		{name: "not in the list", members: []member{{name: "./other", listed: "/lib64/libx.so", mode: 0o100644, data: "x"}}, want: ErrFormat},
		{name: "symlink up", members: []member{{name: "./lib64/l", mode: 0o120777, data: "../../evil"}}, want: ErrUnsafePath},
		{name: "symlink down then up", members: []member{{name: "./lib64/l", mode: 0o120777, data: "a/../../evil"}}, want: ErrUnsafePath},
		{name: "absolute symlink with dot dot", members: []member{{name: "./lib64/l", mode: 0o120777, data: "/../../etc"}}, want: ErrUnsafePath},
		{name: "empty symlink", members: []member{{name: "./lib64/l", mode: 0o120777}}, want: ErrUnsafePath},
		{name: "write through a symlink", members: []member{
			{name: "./d", mode: 0o120777, data: "lib64"}, {name: "./d/libx.so", mode: 0o100644, data: "x"}}, want: ErrUnsafePath},
		{name: "write through a file", members: []member{
			{name: "./d", mode: 0o100644, data: "x"}, {name: "./d/libx.so", mode: 0o100644, data: "x"}}, want: ErrUnsafePath},
		{name: "character device", members: []member{{name: "./dev/null", mode: 0o020666}}, want: ErrUnsafePath},
		{name: "block device", members: []member{{name: "./dev/sda", mode: 0o060666}}, want: ErrUnsafePath},
		{name: "fifo", members: []member{{name: "./f", mode: 0o010666}}, want: ErrUnsafePath},
		{name: "set-uid", members: []member{{name: "./bin/su", mode: 0o104755, data: "x"}}, want: ErrUnsafePath},
		{name: "set-gid", members: []member{{name: "./bin/su", mode: 0o102755, data: "x"}}, want: ErrUnsafePath},
		{name: "symlink differs from the header", members: []member{{name: "./l", mode: 0o120777, data: "a", link: "b"}}, want: ErrFormat},
		{name: "size differs from the header", members: []member{{name: "./f", mode: 0o100644, data: "abc", size: 4}}, want: ErrFormat},
		{name: "huge size in the archive", members: []member{{name: "./f", mode: 0o100644, data: "abc", cpioLen: 0xffffffff}}, want: ErrFormat},
		{name: "huge size in both", members: []member{{name: "./f", mode: 0o100644, data: "abc", size: 0xffffffff, cpioLen: 0xffffffff}}, want: ErrTruncated},
		{name: "twice in the archive", members: []member{
			{name: "./f", mode: 0o100644, data: "abc"}, {name: "f", listed: "/g", mode: 0o100644, data: "abc"}}, want: ErrFormat},
		{name: "twice in the list", members: []member{
			{name: "./f", mode: 0o100644, data: "abc"}, {name: "g", listed: "/f", mode: 0o100644, data: "abc"}}, want: ErrFormat},
		{name: "listed but absent", members: []member{{name: "./f", mode: 0o100644, data: "abc", absent: true}}, want: ErrFormat},
		{name: "hard link without data", members: []member{{name: "./f", mode: 0o100644, size: 3, ino: 7, nlink: 2}}, want: ErrFormat},
		{name: "other type in the header", members: []member{{name: "./f", mode: 0o020666}},
			tags: map[uint32]tagValue{tagFileModes: int16Tag(0o100644)}, want: ErrFormat},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, _, err := extract(t, spec{members: tt.members, tags: tt.tags}.build(t))
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			assertNothingOutside(t, dir)
		})
	}
}

// assertNothingOutside checks the two folders above the root that extract made.
func assertNothingOutside(t *testing.T, dir string) {
	t.Helper()
	for _, up := range []string{filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		entries, err := os.ReadDir(up)
		if err != nil || len(entries) != 1 {
			t.Fatalf("%s holds %v (%v), want one folder", up, entries, err)
		}
	}
	err := filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.Type()&os.ModeSymlink == 0 {
			return err
		}
		if real, err := filepath.EvalSymlinks(name); err == nil && !strings.HasPrefix(real, dir) {
			t.Errorf("%s leads to %s", name, real)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestExtractConfines(t *testing.T) {
	dir, done, err := extract(t, spec{members: []member{
		{name: "/lib64/libc-2.31.so", mode: 0o100755, data: "C library"},
		{name: "./lib64/libc.so.6", mode: 0o120777, data: "libc-2.31.so"},
		{name: "usr/lib64/libc.so", mode: 0o120777, data: "/lib64/libc.so.6"},
		{name: "./usr/lib64/up", mode: 0o120777, data: "../../lib64/libc.so.6"},
		{name: "./slash", mode: 0o120777, data: "/"},
		{name: "./empty", mode: 0o100600},
	}}.build(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lib64/libc-2.31.so", "lib64/libc.so.6", "usr/lib64/libc.so", "usr/lib64/up"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(b) != "C library" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if len(done) != 6 {
		t.Errorf("%d files extracted, want 6: %v", len(done), done)
	}
	assertNothingOutside(t, dir)
}

func TestExtractHardLinks(t *testing.T) {
	members := []member{
		{name: "./a", mode: 0o100644, size: 4, ino: 9, nlink: 3},
		{name: "./b", mode: 0o100644, size: 4, ino: 9, nlink: 3},
		{name: "./c", mode: 0o100644, data: "data", ino: 9, nlink: 3},
		{name: "./d", mode: 0o100644, data: "own", ino: 10},
	}
	stripped := append([]member(nil), members...)
	for i := range stripped {
		stripped[i].strip = true
	}
	for name, m := range map[string][]member{"newc": members, "stripped": stripped} {
		t.Run(name, func(t *testing.T) {
			dir, done, err := extract(t, spec{members: m}.build(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []string{"a", "b", "c"} {
				if b, err := os.ReadFile(filepath.Join(dir, n)); err != nil || string(b) != "data" {
					t.Errorf("%s: %q, %v", n, b, err)
				}
			}
			if len(done) != 4 {
				t.Errorf("%d files, want 4", len(done))
			}
		})
	}
}

// Only the name without the data is wanted: the data must still come.
func TestExtractOneHardLink(t *testing.T) {
	data := spec{members: []member{
		{name: "./a", mode: 0o100644, size: 4, ino: 9, nlink: 2},
		{name: "./b", mode: 0o100644, data: "data", ino: 9, nlink: 2},
	}}.build(t)
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	done, err := open(t, data).Extract(context.Background(), root, func(f *File) bool { return f.Path == "/a" })
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "a"))
	if err != nil || string(b) != "data" || len(done) != 1 {
		t.Fatalf("%q, %v, %v", b, err, done)
	}
	if _, err := os.Lstat(filepath.Join(dir, "b")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("b was not asked for: %v", err)
	}
}

func TestResolve(t *testing.T) {
	files := []File{
		{Path: "/lib64/libc-2.31.so", Mode: modeRegular},
		{Path: "/lib64/libc.so.6", Mode: modeSymlink, Link: "libc-2.31.so"},
		{Path: "/usr/lib64", Mode: modeSymlink, Link: "/lib64"},
		{Path: "/up", Mode: modeSymlink, Link: "../../../../lib64/libc.so.6"},
		{Path: "/loop", Mode: modeSymlink, Link: "loop"},
		{Path: "/gone", Mode: modeSymlink, Link: "lib64/nothing"},
	}
	for _, tt := range []struct {
		name, want string
		err        error
	}{
		{name: "/lib64/libc.so.6", want: "/lib64/libc-2.31.so"},
		{name: "/usr/lib64/libc.so.6", want: "/lib64/libc-2.31.so"},
		{name: "/up", want: "/lib64/libc-2.31.so"},
		{name: "/loop", err: ErrUnsafePath},
		{name: "/gone", err: ErrNotFound},
		{name: "/nothing", err: ErrNotFound},
	} {
		got, err := Resolve(files, tt.name)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("Resolve(%s) = %q, %v; want %q, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}
