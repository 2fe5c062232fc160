package rpmhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/lpbuild/lpbuild/injector"
	"github.com/lpbuild/lpbuild/livepatch"
)

// linked is a shared object to make containers of, compiled once.
var linked = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "rpmhook")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	src, out := filepath.Join(dir, "p.c"), filepath.Join(dir, "p.so")
	if err := os.WriteFile(src, []byte("int value_lp(void) { return 2; }\n"), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("gcc", "-shared", "-fPIC", "-nostartfiles", "-nostdlib", "-Wl,--build-id", "-o", out, src)
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("gcc: %w: %s", err, text)
	}
	return os.ReadFile(out)
})

// container is a live patch of the set for the build whose build-id is 20 times b.
func container(t testing.TB, set, version string, b byte) (data []byte, entry ManifestEntry) {
	t.Helper()
	so, err := linked()
	if err != nil {
		t.Fatal(err)
	}
	d, err := livepatch.ParseDescription("value.dsc", []byte("value.so\n@/lib64/libtarget.so.1\nvalue:value_lp\n"))
	if err != nil {
		t.Fatal(err)
	}
	id := []byte(strings.Repeat(string(rune(b)), 20))
	data, err = livepatch.Pack(so, livepatch.PackInput{
		Description: d, BuildID: id, Addresses: []uint64{0x1100},
		Info: &livepatch.Info{
			Set: set, SetVersion: version, Patch: "value", NEVRAs: []string{"libtarget1-1.0-1.x86_64"},
			Library: "/lib64/libtarget.so.1", Soname: "libtarget.so.1", Toolchain: "gcc",
			Functions: []livepatch.Function{{
				Old: "value", New: "value_lp", Address: 0x1100, Size: 64, SHA256: strings.Repeat("0", 64), Entry: "stock", Length: 6,
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	buildID := hex.EncodeToString(id)
	return data, ManifestEntry{
		File: "value_libtarget1-1.0-1.x86_64_libtarget.so.1_" + buildID[:8] + ".so", SHA256: hex.EncodeToString(sum[:]),
		BuildID: buildID, Soname: "libtarget.so.1",
	}
}

// system is a root with two live patches installed in it.
type system struct {
	root string
	set  string // the folder of the set
}

const setName = "libtarget-livepatches"

func newSystem(t testing.TB) *system {
	t.Helper()
	root := t.TempDir()
	s := &system{root: root, set: filepath.Join(root, "lib64", setName)}
	for _, dir := range []string{"proc/1", "run", "lib64/" + setName} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link(t, root, filepath.Join(root, "proc/1/root"))
	link(t, strconv.Itoa(os.Getpid()), filepath.Join(root, "proc/self"))
	s.install(t, "0.1")
	return s
}

func link(t testing.TB, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

// install writes the files of a version over those of another.
func (s *system) install(t testing.TB, version string) {
	t.Helper()
	m := Manifest{Format: ManifestFormat, Name: setName, Version: version}
	for _, b := range []byte{0x11, 0x22} {
		data, entry := container(t, setName, version, b)
		s.write(t, entry.File, data)
		m.Containers = append(m.Containers, entry)
	}
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, ManifestName, b)
}

func (s *system) write(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.set, name), data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// containerFile is the path of one of the containers.
func (s *system) containerFile(t testing.TB) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.set, "*.so"))
	if err != nil || len(names) != 2 {
		t.Fatalf("containers %q, %v", names, err)
	}
	return names[1]
}

func (s *system) options(in Injector) Options {
	return Options{Injector: in, Root: s.root, SetRoot: filepath.Join(s.root, "lib64"), Getenv: func(string) string { return "" }, Pause: 1}
}

// recorder counts what the hook asks of the injector.
type recorder struct {
	replaced [][]string // by call, the versions of the containers
	reverted []string   // the sets
	// passes are the results of the calls, the last one's again and again.
	passes [][]injector.Result
	err    error
	block  bool
}

func (r *recorder) next() ([]injector.Result, error) {
	i := min(len(r.replaced)+len(r.reverted), len(r.passes)) - 1
	if i < 0 {
		return nil, r.err
	}
	return r.passes[i], r.err
}

func (r *recorder) Replace(_ context.Context, _ injector.Selection, containers []*livepatch.Container) ([]injector.Result, error) {
	if r.block {
		select {} // as a call that the kernel never answers
	}
	var versions []string
	for _, c := range containers {
		versions = append(versions, c.Info.SetVersion)
	}
	r.replaced = append(r.replaced, versions)
	return r.next()
}

func (r *recorder) RevertSet(_ context.Context, _ injector.Selection, set string) ([]injector.Result, error) {
	r.reverted = append(r.reverted, set)
	return r.next()
}
