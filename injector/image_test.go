package injector

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// readUnpacked makes a container of a library without metadata.
func readUnpacked(t testing.TB, path string, refs ...livepatch.MetadataReference) *livepatch.Container {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return &livepatch.Container{
		Name: filepath.Base(path), Data: data, ID: hex.EncodeToString(sum[:]),
		Apply: &livepatch.Metadata{Type: 1, References: refs},
	}
}

// The libraries of the target that imports are resolved in.
const (
	versionedSource = `
__asm__(".symver ver_1, ver@VER_1\n.symver ver_2, ver@@VER_2\n.symver solo_2, solo@@VER_2");
long ver_1(void) { return 1; }
long ver_2(void) { return 2; }
long solo_2(void) { return 3; }
`
	versionScript = "VER_1 { global: ver; local: *; };\nVER_2 { global: ver; solo; } VER_1;\n"

	tlsSource = `
#include <stddef.h>
__thread long before = 1, tv = 7;
static __thread long hidden = 9;
long *tv_address(void) { return &tv; }
long *hidden_address(void) { return &hidden; }
static long private_value = 5;
long *private_address(void) { return &private_value; }
`
	// interposed is defined by the program's library too, but the preloaded one comes first.
	interposeSource = "long interposed(void) { return 1; }"
	needSource      = "long interposed(void) { return 2; } long use(void) { return interposed(); } long taken = 1;"

	importSource = `
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
extern long ver(void), solo(void), interposed(void), absent(void) __attribute__((weak));
__asm__(".symver old_ver, ver@VER_1");
extern long old_ver(void);
extern __thread long tv;
extern __thread int private_errno __asm__("errno");
long exported = 3, taken = 4; // the program's libneed has a variable taken, too
static long local[100];
static long *pointer = &local[4];
long *exported_pointer = &exported;
long (*function)(void) = interposed;
void *(*copy)(void *, const void *, size_t) = memcpy;
FILE **stream = &stdout;
size_t own(const char *s) { return strlen(s) + *pointer + *exported_pointer + taken; }
size_t (*own_pointer)(const char *) = own;
long patched(const char *s)
{
	char *copied = malloc(own(s) + 1);
	memcpy(copied, s, own(s));
	fputs(copied, *stream);
	if (absent) absent();
	errno = (int)ver() + (int)old_ver() + (int)solo() + (int)tv + (int)private_errno;
	return interposed() + (strchr(copied, 'x') ? 1 : 0);
}
`
	unversionedSource = `
extern long ver(void), solo(void), memcpy(void), pthread_cond_wait(void), realpath(void), puts(void);
long (*const table[])(void) = { ver, solo, memcpy, pthread_cond_wait, realpath, puts };
long patched(void) { return ver() + solo() + puts(); }
`
)

// A scene is a process with a scope to resolve imports in.
type scene struct {
	*subject
	in   *Injector
	p    *process
	libs []string // for linking
}

// newScene starts a process with a versioned library, thread-local storage and
// an interposed symbol.
func newScene(t testing.TB) *scene {
	t.Helper()
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte(versionScript), 0o644); err != nil {
		t.Fatal(err)
	}
	libs := []string{
		library(t, "libver.so.1", versionedSource, "-Wl,--version-script="+script),
		library(t, "libtls.so.1", tlsSource),
		library(t, "libneed.so.1", needSource),
	}
	exe := compile(t, "target", subjectSource, append([]string{"-Wl,--no-as-needed"}, libs...)...)
	cmd := exec.Command(exe)
	var dirs []string
	for _, l := range libs {
		dirs = append(dirs, filepath.Dir(l))
	}
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(dirs, ":"),
		"LD_PRELOAD="+library(t, "libinter.so.1", interposeSource))
	tg := launch(t, cmd)
	return &scene{subject: tg, in: testInjector(t), p: hold(t, tg.pid), libs: libs}
}

// image resolves a container in the process as it is now.
func (s *scene) image(c *livepatch.Container, target string) (*image, []*object, error) {
	s.t.Helper()
	_, order := loaded(s.t, s.in, s.p)
	i := slices.IndexFunc(order, func(o *object) bool { return o.soname == target })
	if i < 0 {
		s.t.Fatalf("%s is not among %v", target, names(order))
	}
	f, err := s.in.files.layout(c)
	if err != nil {
		return nil, nil, err
	}
	sc, err := baseScope(s.p, order, f.file.Needed())
	if err != nil {
		return nil, nil, err
	}
	im, err := newImage(s.p, c, order[i], sc)
	return im, order, err
}

// What we make of a container must be what ld.so makes of it: every word that
// a relocation changes is compared with a real dlopen in the same process.
func TestImageIsWhatDlopenMakes(t *testing.T) {
	s := newScene(t)
	ours := []string{"-nostartfiles", "-Wl,-z,relro,-z,now"}
	for _, tt := range []struct {
		name   string
		source string
		args   []string
	}{
		{"linked as lpbuild does", importSource, append(ours, s.libs...)},
		{"with start files and lazy binding", importSource, append([]string{"-Wl,-z,lazy"}, s.libs...)},
		{"with start files and CET", importSource, append([]string{"-fcf-protection=full"}, s.libs...)},
		{"symbolic", importSource, append([]string{"-Wl,-Bsymbolic"}, s.libs...)},
		{"thread-local by offset", importSource, append([]string{"-ftls-model=initial-exec"}, s.libs...)},
		{"without versions", unversionedSource, []string{"-nostdlib", "-Wl,-z,undefs"}},
		{"packed relative relocations", importSource, append([]string{"-Wl,-z,pack-relative-relocs"}, s.libs...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := library(t, "container.so", tt.source, tt.args...)
			c := readUnpacked(t, path)
			im, _, err := s.image(c, "libc.so.6")
			if err != nil {
				t.Fatal(err)
			}
			if got := s.ask("open %s", path); got != "ok" {
				t.Fatal(got)
			}
			objs, _ := loaded(t, s.in, s.p)
			i := slices.IndexFunc(objs, func(o *object) bool { return o.path == path })
			if i < 0 {
				t.Fatal("the container is not mapped")
			}
			compareWords(t, s.p, im, objs[i])
		})
	}
}

func compareWords(t *testing.T, p *process, im *image, o *object) {
	t.Helper()
	data, err := im.place(o.addr(im.layout.low))
	if err != nil {
		t.Fatal(err)
	}
	if len(im.words) == 0 || uint64(len(data)) != im.size {
		t.Fatalf("%d words in an image of %d bytes, %d expected", len(im.words), len(data), im.size)
	}
	for _, w := range im.words {
		got := binary.LittleEndian.Uint64(data[w.offset:])
		want, err := p.readWord(o.addr(im.layout.low + w.offset))
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("word at %#x is %#x, dlopen made it %#x (relocation of %s)", w.offset, got, want, symbolAt(im, w))
		}
	}
}

// symbolAt names the symbol that a word was relocated for.
func symbolAt(im *image, w word) string {
	for _, r := range im.layout.relocations {
		if r.Offset == im.layout.low+w.offset {
			return im.layout.facts.table[r.Symbol].Name + " " + r.Type.String()
		}
	}
	return "?"
}

// Every function and variable that libc exports must be where dlvsym says.
func TestLookupAgreesWithDlvsym(t *testing.T) {
	s := newScene(t)
	_, order := loaded(t, s.in, s.p)
	sc, err := baseScope(s.p, order, nil)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(order, func(o *object) bool { return o.soname == "libc.so.6" })
	symbols, err := order[i].file.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	compared, withoutSlot := 0, 0
	for _, sym := range symbols {
		if sym.Undefined || sym.Absolute || sym.Kind == "tls" || sym.Version == "" {
			continue
		}
		addr, _, _, err := sc.lookup(sym.Name, sym.Version)
		if errors.As(err, new(*unresolved)) {
			withoutSlot++
			continue
		}
		if err != nil {
			t.Errorf("%s@%s: %v", sym.Name, sym.Version, err)
			continue
		}
		compared++
		if want := s.address("vsym %s %s", sym.Name, sym.Version); addr != want {
			t.Errorf("%s@%s is at %#x, dlvsym says %#x", sym.Name, sym.Version, addr, want)
		}
	}
	if compared < 1000 {
		t.Errorf("only %d symbols compared", compared)
	}
	t.Logf("%d symbols; %d resolvers have no slot", compared, withoutSlot)
}

// The private variables of the target that a container refers to.
func TestReferences(t *testing.T) {
	s := newScene(t)
	path := library(t, "container.so", `
struct tls_index { unsigned long module, offset; } ti;
long *private_value;
extern void *__tls_get_addr(struct tls_index *);
long patched(void) { return *private_value + *(long *)__tls_get_addr(&ti); }
`, "-nostartfiles")
	_, order := loaded(t, s.in, s.p)
	i := slices.IndexFunc(order, func(o *object) bool { return o.soname == "libtls.so.1" })
	lib := order[i]
	private := s.address("call private_address") - lib.bias
	c := readUnpacked(t, path,
		livepatch.MetadataReference{Target: "private_value", Reference: "private_value", TargetOffset: private},
		livepatch.MetadataReference{Target: "hidden", Reference: "ti", TargetOffset: 16, TLS: true})
	im, _, err := s.image(c, "libtls.so.1")
	if err != nil {
		t.Fatal(err)
	}
	data, err := im.place(0x7f0000000000)
	if err != nil {
		t.Fatal(err)
	}
	word := func(variable string, i uint64) uint64 {
		at, err := im.layout.variable(variable)
		if err != nil {
			t.Fatal(err)
		}
		return binary.LittleEndian.Uint64(data[at-im.layout.low+8*i:])
	}
	if got := word("private_value", 0); got != lib.addr(private) {
		t.Errorf("private_value points to %#x, want %#x", got, lib.addr(private))
	}
	module, err := strconv.ParseUint(s.ask("module libtls"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if word("ti", 0) != module || word("ti", 1) != 16 {
		t.Errorf("ti = {%d, %d}, want {%d, 16}", word("ti", 0), word("ti", 1), module)
	}
	if !slices.ContainsFunc(im.imports(), func(o recordObject) bool { return o.Bias == lib.bias && o.BuildID == lib.buildID }) {
		t.Errorf("imports %+v lack the target", im.imports())
	}
	if _, ok := im.symbol("patched"); !ok {
		t.Error("patched is not exported")
	}
	if _, ok := im.symbol("private_value"); ok {
		t.Error("a variable passes for a function")
	}
}

// libc has thread-local storage but no slot with its module id.
func TestModuleOfLibc(t *testing.T) {
	s := newScene(t)
	_, order := loaded(t, s.in, s.p)
	sc, err := baseScope(s.p, order, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, soname := range []string{"libc.so.6", "libtls.so.1"} {
		o := order[slices.IndexFunc(order, func(o *object) bool { return o.soname == soname })]
		got, err := sc.tlsModule(o)
		if want := s.ask("module %s", soname); err != nil || strconv.FormatUint(got, 10) != want {
			t.Errorf("%s: module %d, %v; want %s", soname, got, err, want)
		}
	}
}
