package injector

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// needTool skips a test whose tool this machine lacks; where CI=true it fails.
func needTool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is needed: %v", name, err)
		}
		t.Skipf("%s is needed: %v", name, err)
	}
	return path
}

// compile makes a program or library with gcc and returns its path.
func compile(t testing.TB, name, source string, args ...string) string {
	t.Helper()
	gcc := needTool(t, "gcc")
	dir := t.TempDir()
	src, out := filepath.Join(dir, name+".c"), filepath.Join(dir, name)
	if err := os.WriteFile(src, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	if b, err := exec.Command(gcc, append([]string{"-O1", "-o", out, src}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("gcc %s: %v\n%s", name, err, b)
	}
	return out
}

// library makes a shared library with the name as its soname.
func library(t testing.TB, soname, source string, args ...string) string {
	t.Helper()
	return compile(t, soname, source, append([]string{"-shared", "-fPIC", "-Wl,-soname," + soname}, args...)...)
}

// subjectSource is a program that does what lines on its standard input say and
// answers each with one line.
const subjectSource = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>
#include <fcntl.h>

static struct link_map forged[3];

static void forge(const char *how)
{
	struct r_debug *d = dlsym(RTLD_DEFAULT, "_r_debug");
	struct link_map *first = d->r_map;
	if (!strcmp(how, "cycle")) {
		forged[0] = *first, forged[1] = *first->l_next;
		forged[0].l_prev = 0, forged[0].l_next = &forged[1];
		forged[1].l_prev = &forged[0], forged[1].l_next = &forged[0];
		d->r_map = &forged[0];
	} else if (!strcmp(how, "wild")) {
		forged[0] = *first;
		forged[0].l_next = (void *)0x123456789000;
		d->r_map = &forged[0];
	} else if (!strcmp(how, "kernel")) {
		d->r_map = (void *)0xffffffff81000000;
	} else if (!strcmp(how, "twice")) {
		forged[0] = *first, forged[1] = *first;
		forged[0].l_next = &forged[1], forged[1].l_prev = &forged[0];
		d->r_map = &forged[0];
	} else if (!strcmp(how, "stranger")) {
		forged[0] = *first, forged[1] = *first;
		forged[0].l_next = &forged[1], forged[1].l_prev = &forged[0];
		forged[1].l_ld = (void *)forged, forged[1].l_next = 0;
		d->r_map = &forged[0];
	} else if (!strcmp(how, "busy")) {
		d->r_state = RT_ADD;
	} else if (!strcmp(how, "empty")) {
		d->r_map = 0;
	}
}

static int module(struct dl_phdr_info *info, size_t size, void *name)
{
	if (!strstr(info->dlpi_name, name))
		return 0;
	printf("%zu\n", info->dlpi_tls_modid);
	return 1;
}

int main(int argc, char **argv)
{
	char line[4096], a[1024], b[1024];
	setvbuf(stdout, 0, _IOLBF, 0);
	puts("ready");
	while (fgets(line, sizeof line, stdin)) {
		if (sscanf(line, "sym %s", a) == 1)
			printf("%p\n", dlsym(RTLD_DEFAULT, a));
		else if (sscanf(line, "vsym %s %s", a, b) == 2)
			printf("%p\n", dlvsym(RTLD_DEFAULT, a, b));
		else if (sscanf(line, "open %s", a) == 1)
			puts(dlopen(a, RTLD_NOW | RTLD_LOCAL) ? "ok" : dlerror());
		else if (sscanf(line, "global %s", a) == 1)
			puts(dlopen(a, RTLD_NOW | RTLD_GLOBAL) ? "ok" : dlerror());
		else if (sscanf(line, "call %s", a) == 1)
			printf("%ld\n", ((long (*)(void))dlsym(RTLD_DEFAULT, a))());
		else if (sscanf(line, "module %s", a) == 1)
			dl_iterate_phdr(module, a);
		else if (sscanf(line, "forge %s", a) == 1)
			forge(a), puts("ok");
		else if (sscanf(line, "map %1000[^\n]", a) == 1) {
			int fd = open(a, O_RDONLY);
			printf("%p\n", mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0));
		} else if (sscanf(line, "exec %s", a) == 1)
			execl(a, a, (char *)0);
	}
	return 0;
}
`

// A subject is a running process that answers lines.
type subject struct {
	t   testing.TB
	pid int
	in  io.Writer
	out *bufio.Reader
}

// launch runs a program that says "ready" on its standard output.
func launch(t testing.TB, cmd *exec.Cmd) *subject {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	tg := &subject{t: t, pid: cmd.Process.Pid, in: in, out: bufio.NewReader(out)}
	tg.expect("ready")
	return tg
}

func (tg *subject) line() string {
	tg.t.Helper()
	s, err := tg.out.ReadString('\n')
	if err != nil {
		tg.t.Fatalf("the target says nothing: %v", err)
	}
	return strings.TrimSuffix(s, "\n")
}

func (tg *subject) expect(want string) {
	tg.t.Helper()
	if got := tg.line(); got != want {
		tg.t.Fatalf("the target says %q, want %q", got, want)
	}
}

// say sends a line, ask also returns the answer.
func (tg *subject) say(format string, args ...any) {
	tg.t.Helper()
	if _, err := fmt.Fprintf(tg.in, format+"\n", args...); err != nil {
		tg.t.Fatal(err)
	}
}

func (tg *subject) ask(format string, args ...any) string {
	tg.t.Helper()
	tg.say(format, args...)
	return tg.line()
}

// address asks for an address.
func (tg *subject) address(format string, args ...any) uint64 {
	tg.t.Helper()
	s := tg.ask(format, args...)
	if s == "(nil)" {
		return 0
	}
	v, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		tg.t.Fatalf("the target answers %q", s)
	}
	return v
}

// hold opens a process until the test ends.
func hold(t testing.TB, pid int) *process {
	t.Helper()
	p, err := openProcess("/proc", pid)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

// loaded reads what a process has loaded: all objects, and those of the base
// namespace in load order.
func loaded(t testing.TB, in *Injector, p *process) (objs, order []*object) {
	t.Helper()
	maps, err := p.mappings()
	if err != nil {
		t.Fatal(err)
	}
	if objs, err = in.objects(p, maps); err != nil {
		t.Fatal(err)
	}
	if order, err = p.linkOrder(objs); err != nil {
		t.Fatal(err)
	}
	return objs, order
}

// testInjector closes its files when the test ends.
func testInjector(t testing.TB) *Injector {
	t.Helper()
	in := New(Options{})
	t.Cleanup(in.files.close)
	return in
}

// names are the base names of the objects' files.
func names(objs []*object) []string {
	var out []string
	for _, o := range objs {
		out = append(out, o.path[strings.LastIndexByte(o.path, '/')+1:])
	}
	return out
}
