package injector

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/livepatch"
)

// dropCapabilities takes capabilities away from this test's thread, which ends
// with the test.
func dropCapabilities(t *testing.T, drop ...uint) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: no other goroutine may run on it
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	for _, c := range drop {
		data[c/32].Effective &^= 1 << (c % 32)
		data[c/32].Permitted &^= 1 << (c % 32)
		data[c/32].Inheritable &^= 1 << (c % 32)
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutTheRightToTrace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start a process that has more rights than this test then keeps")
	}
	tg := launch(t, exec.Command(compile(t, "target", subjectSource)))
	t.Run("dropped", func(t *testing.T) {
		dropCapabilities(t, unix.CAP_SYS_PTRACE, unix.CAP_SYS_ADMIN, unix.CAP_CHECKPOINT_RESTORE)
		if _, err := openProcess("/proc", tg.pid); !errors.Is(err, ErrPermission) {
			t.Errorf("openProcess = %v, want ErrPermission", err)
		}
	})
}

// Without a capability, /proc/PID/map_files cannot be read: what is mapped is
// then known by its build-id, and if that file is gone, from memory alone.
func TestWithoutMapFiles(t *testing.T) {
	s := newScene(t)
	path := library(t, "container.so", importSource, append([]string{"-nostartfiles", "-Wl,-z,now"}, s.libs...)...)
	c := readUnpacked(t, path)
	for _, tt := range []struct {
		name   string
		change func() error
		image  bool
	}{
		{"files in place", func() error { return nil }, false},
		{"another file of that name", func() error {
			other := library(t, "libver.so.1", "long ver(void) { return 9; }")
			return os.Rename(other, s.libs[0])
		}, true},
		{"deleted", func() error { return os.Remove(s.libs[0]) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.change(); err != nil {
				t.Fatal(err)
			}
			dropCapabilities(t, unix.CAP_SYS_ADMIN, unix.CAP_CHECKPOINT_RESTORE)
			if _, err := os.ReadDir(filepath.Join(s.p.path("map_files"))); err != nil {
				t.Fatal(err)
			}
			s := &scene{subject: s.subject, in: testInjector(t), p: s.p}
			im, order, err := s.image(c, "libc.so.6")
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(order, func(o *object) bool { return o.soname == "libver.so.1" })
			if i < 0 || order[i].cached.image != tt.image {
				t.Errorf("libver.so.1 is entry %d, want one read from memory = %v", i, tt.image)
			}
			for _, w := range im.words {
				if name := symbolAt(im, w); name == "solo R_X86_64_GLOB_DAT" && w.value != s.address("sym solo") {
					t.Errorf("solo is bound to %#x", w.value)
				}
			}
		})
	}
}

// Whatever stands in the memory that is read, the answer comes, and it is an
// image or an error.
func TestDamagedMemory(t *testing.T) {
	s := newScene(t)
	c := readUnpacked(t, library(t, "container.so", importSource, append([]string{"-nostartfiles"}, s.libs...)...))
	if _, _, err := s.image(c, "libc.so.6"); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	targets := s.interestingWords(t)
	failed := 0
	for range 1000 {
		at := targets[rng.IntN(len(targets))]
		old, err := s.p.readWord(at)
		if err != nil {
			t.Fatal(err)
		}
		wild := []uint64{0, 1, old + 1, old - 8, ^uint64(0), 1 << 63, rng.Uint64(), targets[rng.IntN(len(targets))]}
		s.poke(t, at, wild[rng.IntN(len(wild))])
		if _, err := s.prepare(c); err != nil {
			failed++
		}
		s.poke(t, at, old)
	}
	if failed == 0 {
		t.Error("no damage was noticed")
	}
	if _, err := s.prepare(c); err != nil {
		t.Errorf("after all is put back: %v", err)
	}
}

func (s *scene) poke(t *testing.T, at, value uint64) {
	t.Helper()
	if err := s.p.writeAt(binary.LittleEndian.AppendUint64(nil, value), at); err != nil {
		t.Fatal(err)
	}
}

// interestingWords are the places in the process that are read and followed.
func (s *scene) interestingWords(t *testing.T) []uint64 {
	t.Helper()
	var at []uint64
	for link := range s.p.links.nodes {
		for i := range uint64(5) {
			at = append(at, link+8*i)
		}
	}
	slices.Sort(at)
	for _, name := range []string{"_r_debug", "_rtld_global"} {
		addr, err := s.p.links.interpreter.dataSymbol(name)
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, addr, addr+8, addr+16, addr+24)
	}
	elem, err := s.p.readWord(at[len(at)-2])
	if err != nil {
		t.Fatal(err)
	}
	return append(at, elem, elem+8)
}

// prepare does all that is done before anything is stopped.
func (s *scene) prepare(c *livepatch.Container) (*image, error) {
	maps, err := s.p.mappings()
	if err != nil {
		return nil, err
	}
	objs, err := s.in.objects(s.p, maps)
	if err != nil {
		return nil, err
	}
	order, err := s.p.linkOrder(objs)
	if err != nil {
		return nil, err
	}
	l, err := s.in.files.layout(c)
	if err != nil {
		return nil, err
	}
	sc, err := baseScope(s.p, order, l.file.Needed())
	if err != nil {
		return nil, err
	}
	return newImage(s.p, c, order[len(order)-1], sc)
}

// BenchmarkPrepare is the part of an operation for which nothing is stopped,
// with the files known.
func BenchmarkPrepare(b *testing.B) { benchmarkPrepare(b, false) }

// BenchmarkPrepareFirst is the same with nothing known.
func BenchmarkPrepareFirst(b *testing.B) { benchmarkPrepare(b, true) }

func benchmarkPrepare(b *testing.B, fresh bool) {
	s := newScene(b)
	c := readUnpacked(b, library(b, "container.so", importSource, append([]string{"-nostartfiles"}, s.libs...)...))
	b.ReportAllocs()
	for b.Loop() {
		p, err := openProcess("/proc", s.pid)
		if err != nil {
			b.Fatal(err)
		}
		s.p = p
		if fresh {
			s.in.files.close()
			s.in = New(Options{})
		}
		if _, err := s.prepare(c); err != nil {
			b.Fatal(err)
		}
		p.close()
	}
}
