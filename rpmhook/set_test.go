package rpmhook

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestUntrustedSetIsRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root: files of another owner are made")
	}
	other, _ := container(t, "another-set", "1", 0x22)
	tests := []struct {
		name   string
		change func(t *testing.T, sys *system, file string) error
		want   string
	}{
		{name: "container tampered with", want: "SHA-256", change: func(t *testing.T, _ *system, file string) error {
			b, err := os.ReadFile(file)
			b[len(b)/2] ^= 1
			return errors.Join(err, os.WriteFile(file, b, 0o644))
		}},
		{name: "container of another owner", want: "owned by uid 65534", change: func(t *testing.T, _ *system, file string) error {
			return os.Chown(file, 65534, 0)
		}},
		{name: "container writable by its group", want: "mode 0664", change: func(t *testing.T, _ *system, file string) error {
			return os.Chmod(file, 0o664)
		}},
		{name: "container writable by the world", want: "mode 0646", change: func(t *testing.T, _ *system, file string) error {
			return os.Chmod(file, 0o646)
		}},
		{name: "container a link", want: "symbolic link", change: func(t *testing.T, sys *system, file string) error {
			moved := filepath.Join(sys.root, "moved")
			return errors.Join(os.Rename(file, moved), os.Symlink(moved, file))
		}},
		{name: "container a pipe", want: "as expected", change: func(t *testing.T, _ *system, file string) error {
			return errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o644))
		}},
		{name: "container missing", want: "no such file", change: func(t *testing.T, _ *system, file string) error {
			return os.Remove(file)
		}},
		{name: "manifest writable", want: "set.json", change: func(t *testing.T, sys *system, _ string) error {
			return os.Chmod(filepath.Join(sys.set, ManifestName), 0o666)
		}},
		{name: "manifest cut off", want: "bad manifest", change: func(t *testing.T, sys *system, _ string) error {
			return os.Truncate(filepath.Join(sys.set, ManifestName), 100)
		}},
		{name: "folder of another owner", want: "owned by uid 65534", change: func(t *testing.T, sys *system, _ string) error {
			return os.Chown(sys.set, 65534, 0)
		}},
		{name: "folder writable", want: "lets others write", change: func(t *testing.T, sys *system, _ string) error {
			return os.Chmod(sys.set, 0o775)
		}},
		{name: "folder above writable", want: "lets others write", change: func(t *testing.T, sys *system, _ string) error {
			return os.Chmod(filepath.Dir(sys.set), 0o777)
		}},
		{name: "folder a link", want: "symbolic link", change: func(t *testing.T, sys *system, _ string) error {
			moved := filepath.Join(sys.root, "moved")
			return errors.Join(os.Rename(sys.set, moved), os.Symlink(moved, sys.set))
		}},
		{name: "container of another set", want: "a container of \"another-set\"", change: func(t *testing.T, sys *system, file string) error {
			_, entry := container(t, "another-set", "1", 0x22)
			sys.write(t, filepath.Base(file), other)
			return sys.edit(t, func(m *Manifest) { m.Containers[1].SHA256 = entry.SHA256 })
		}},
		{name: "build-id other than the manifest's", want: "for build-id", change: func(t *testing.T, sys *system, _ string) error {
			return sys.edit(t, func(m *Manifest) { m.Containers[1].BuildID = "00" })
		}},
		{name: "manifest of another set", want: "the manifest of elsewhere", change: func(t *testing.T, sys *system, _ string) error {
			return sys.edit(t, func(m *Manifest) { m.Name = "elsewhere" })
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sys, in := newSystem(t), new(recorder)
			if err := tt.change(t, sys, sys.containerFile(t)); err != nil {
				t.Fatal(err)
			}
			line := Run(t.Context(), Event{Post, setName, 1}, sys.options(in)).Line()
			if !strings.Contains(line, "nothing applied") || !strings.Contains(line, tt.want) || strings.Contains(line, "\n") {
				t.Errorf("line %q, want one that says %q", line, tt.want)
			}
			if len(in.replaced) > 0 {
				t.Errorf("the injector was called with %v", in.replaced)
			}
		})
	}
}

// edit changes the installed manifest.
func (s *system) edit(t *testing.T, change func(*Manifest)) error {
	t.Helper()
	path := filepath.Join(s.set, ManifestName)
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	m, err := DecodeManifest(b)
	if err != nil {
		return err
	}
	change(m)
	if b, err = m.Encode(); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

// A folder such as /tmp above the set is as safe as one that only root writes to.
func TestStickyFolderAboveIsTrusted(t *testing.T) {
	t.Parallel()
	sys, in := newSystem(t), new(recorder)
	if err := os.Chmod(filepath.Dir(sys.set), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if s := Run(t.Context(), Event{Post, setName, 1}, sys.options(in)); s.Err != nil {
		t.Error(s.Err)
	}
}

func FuzzDecodeManifest(f *testing.F) {
	sys := newSystem(f)
	good, err := os.ReadFile(filepath.Join(sys.set, ManifestName))
	if err != nil {
		f.Fatal(err)
	}
	seeds := [][]byte{good, good[:len(good)/2], []byte(`{"format":2}`), []byte(`{"format":1,"name":"a","version":"1","containers":[{"file":"../x"}]}`)}
	for _, s := range seeds {
		f.Add(s)
	}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeManifest(b)
		if err != nil {
			if !errors.Is(err, ErrManifest) {
				t.Errorf("error %v does not wrap ErrManifest", err)
			}
			return
		}
		first, err := m.Encode()
		if err != nil {
			t.Fatalf("decoded but not encoded: %v", err)
		}
		again, err := DecodeManifest(first)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := again.Encode(); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%v: encoded differently the second time:\n%s\n%s", err, first, second)
		}
		for _, c := range m.Containers {
			if filepath.Base(c.File) != c.File {
				t.Errorf("file %q accepted", c.File)
			}
		}
	})
}

func TestManifestTruncatedAtEveryByte(t *testing.T) {
	t.Parallel()
	good, err := os.ReadFile(filepath.Join(newSystem(t).set, ManifestName))
	if err != nil {
		t.Fatal(err)
	}
	end := len(bytes.TrimSpace(good))
	for n := range end {
		if _, err := DecodeManifest(good[:n]); !errors.Is(err, ErrManifest) {
			t.Errorf("%d of %d bytes: %v", n, end, err)
		}
	}
}
