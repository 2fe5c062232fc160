package injector

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// linker is the path of this machine's dynamic linker.
func linker(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(needTool(t, "gcc"), "-print-file-name=ld-linux-x86-64.so.2").Output()
	if err != nil {
		t.Fatal(err)
	}
	path, err := filepath.EvalSymlinks(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLinkOrder(t *testing.T) {
	lib := library(t, "libone.so.1", "long one(void) { return 1; }")
	data := library(t, "libdata.so.1", "const int answer = 42;", "-nostdlib", "-Wl,-z,noseparate-code")
	preload := library(t, "libpre.so.1", "long pre(void) { return 1; }")
	pie := compile(t, "pie", subjectSource, "-Wl,--no-as-needed", lib, data)
	fixed := compile(t, "fixed", subjectSource, "-no-pie", "-Wl,--no-as-needed", lib, data)
	env := "LD_LIBRARY_PATH=" + filepath.Dir(lib) + ":" + filepath.Dir(data)
	for _, tt := range []struct {
		name string
		argv []string
		env  string
		want []string
	}{
		{"position-independent", []string{pie}, "", []string{"pie", "libone.so.1", "libdata.so.1", "libc.so.6", filepath.Base(linker(t))}},
		{"fixed address", []string{fixed}, "", []string{"fixed", "libone.so.1", "libdata.so.1", "libc.so.6", filepath.Base(linker(t))}},
		{"preload", []string{pie}, "LD_PRELOAD=" + preload, []string{"pie", "libpre.so.1", "libone.so.1", "libdata.so.1", "libc.so.6", filepath.Base(linker(t))}},
		{"started by ld.so", []string{linker(t), pie}, "", []string{"pie", "libone.so.1", "libdata.so.1", "libc.so.6", filepath.Base(linker(t))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command(tt.argv[0], tt.argv[1:]...)
			cmd.Env = append(os.Environ(), env, tt.env)
			tg := launch(t, cmd)
			p := hold(t, tg.pid)
			objs, order := loaded(t, testInjector(t), p)
			if got := names(order); !slices.Equal(got, tt.want) {
				t.Errorf("order %v\nwant  %v", got, tt.want)
			}
			if len(objs) != len(order) {
				t.Errorf("objects %v", names(objs))
			}
			global, err := p.globalScope(p.links)
			if err != nil || !slices.Equal(names(global), tt.want) {
				t.Errorf("global scope %v, %v\nwant %v", names(global), err, tt.want)
			}
			if got := names(startupScope(order)); !slices.Equal(got, tt.want) {
				t.Errorf("computed scope %v\nwant %v", got, tt.want)
			}
			for _, o := range order {
				if o.soname != "" && o.buildID == "" {
					t.Errorf("%s has no build-id", o.path)
				}
			}
		})
	}
}

func TestLibrariesLoadedLater(t *testing.T) {
	local := library(t, "liblocal.so.1", "long local(void) { return 1; }")
	global := library(t, "libglobal.so.1", "long global(void) { return 1; }")
	tg := launch(t, exec.Command(compile(t, "target", subjectSource)))
	if got := tg.ask("open %s", local); got != "ok" {
		t.Fatal(got)
	}
	if got := tg.ask("global %s", global); got != "ok" {
		t.Fatal(got)
	}
	p := hold(t, tg.pid)
	_, order := loaded(t, testInjector(t), p)
	for _, tt := range []struct {
		symbol string
		found  bool
	}{{"local", false}, {"global", true}, {"puts", true}} {
		sc, err := baseScope(p, order, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _, _, err = sc.lookup(tt.symbol, "")
		if tt.found && err != nil || !tt.found && !errors.Is(err, errNoSymbol) {
			t.Errorf("%s: %v, want found = %v", tt.symbol, err, tt.found)
		}
	}
	sc, err := baseScope(p, order, []string{"liblocal.so.1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, o, err := sc.lookup("local", ""); err != nil || o.soname != "liblocal.so.1" {
		t.Errorf("local as a needed library's symbol: %v", err)
	}
	if _, err := baseScope(p, order, []string{"libabsent.so.1"}); !errors.As(err, new(blocked)) ||
		!strings.Contains(err.Error(), "libabsent.so.1") {
		t.Errorf("a library that is not loaded gives %v", err)
	}
}

// The file that is mapped counts, not what has its name now.
func TestReplacedAndDeletedFiles(t *testing.T) {
	lib := library(t, "libold.so.1", "long version(void) { return 1; }")
	exe := compile(t, "target", subjectSource, "-Wl,--no-as-needed", lib)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Dir(lib))
	tg := launch(t, cmd)
	newer := library(t, "libnew.so.1", "long version(void) { return 2; } long more;")
	for _, change := range []struct {
		name string
		do   func() error
	}{
		{"untouched", func() error { return nil }},
		{"replaced", func() error { return os.Rename(newer, lib) }},
		{"deleted", func() error { return os.Remove(lib) }},
	} {
		t.Run(change.name, func(t *testing.T) {
			if err := change.do(); err != nil {
				t.Fatal(err)
			}
			p := hold(t, tg.pid)
			_, order := loaded(t, testInjector(t), p)
			i := slices.IndexFunc(order, func(o *object) bool { return o.soname == "libold.so.1" })
			if i < 0 {
				t.Fatalf("not found among %v", names(order))
			}
			sc, err := baseScope(p, order, nil)
			if err != nil {
				t.Fatal(err)
			}
			if addr, _, _, err := sc.lookup("version", ""); err != nil || addr != tg.address("sym version") {
				t.Errorf("version is at %#x, %v", addr, err)
			}
		})
	}
}

func TestStaticPrograms(t *testing.T) {
	for _, flag := range []string{"-static", "-static-pie"} {
		t.Run(flag, func(t *testing.T) {
			exe := compile(t, "static", `
#include <stdio.h>
int main(void) { puts("ready"); fflush(stdout); return getchar(); }`, flag)
			tg := launch(t, exec.Command(exe))
			_, order := loaded(t, testInjector(t), hold(t, tg.pid))
			if len(order) != 1 || filepath.Base(order[0].path) != "static" {
				t.Errorf("objects %v, want the program alone", names(order))
			}
		})
	}
}

// Whatever a process makes of its own list of libraries, reading it ends, and
// ends in a reason.
func TestForgedLists(t *testing.T) {
	exe := compile(t, "target", subjectSource)
	for _, tt := range []struct {
		how  string
		busy bool
	}{
		{"cycle", false}, {"wild", false}, {"kernel", false}, {"twice", false}, {"stranger", false},
		{"busy", true}, {"empty", true},
	} {
		t.Run(tt.how, func(t *testing.T) {
			tg := launch(t, exec.Command(exe))
			if got := tg.ask("forge %s", tt.how); got != "ok" {
				t.Fatal(got)
			}
			p := hold(t, tg.pid)
			maps, err := p.mappings()
			if err != nil {
				t.Fatal(err)
			}
			objs, err := testInjector(t).objects(p, maps)
			if err != nil {
				t.Fatal(err)
			}
			order, err := p.linkOrder(objs)
			if tt.busy && !errors.Is(err, errBusy) || !tt.busy && !errors.As(err, new(blocked)) {
				t.Errorf("linkOrder = %v, %v", names(order), err)
			}
		})
	}
}

// A device that is mapped must not be opened.
func TestMappedDevice(t *testing.T) {
	tg := launch(t, exec.Command(compile(t, "target", subjectSource)))
	if at := tg.address("map /dev/zero"); at == ^uint64(0) {
		t.Skip("/dev/zero cannot be mapped executable here")
	}
	loaded(t, testInjector(t), hold(t, tg.pid))
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newFileCache().open(fifo); !errors.Is(err, errNotRegular) {
		t.Errorf("opening a FIFO gives %v", err)
	}
}

// One library is read once, however many processes map it.
func TestFileCacheIsShared(t *testing.T) {
	exe := compile(t, "target", subjectSource)
	in := testInjector(t)
	_, a := loaded(t, in, hold(t, launch(t, exec.Command(exe)).pid))
	_, b := loaded(t, in, hold(t, launch(t, exec.Command(exe)).pid))
	for i := range a {
		if a[i].cached != b[i].cached || a[i] == b[i] {
			t.Errorf("%s was read twice", a[i].path)
		}
	}
}

// An Injector works on several processes at once.
func TestProcessesAtOnce(t *testing.T) {
	s := newScene(t)
	c := readUnpacked(t, library(t, "container.so", importSource, append([]string{"-nostartfiles"}, s.libs...)...))
	var g errgroup.Group
	for range 8 {
		g.Go(func() error {
			p, err := openProcess("/proc", s.pid)
			if err != nil {
				return err
			}
			defer p.close()
			_, err = (&scene{subject: s.subject, in: s.in, p: p}).prepare(c)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}
