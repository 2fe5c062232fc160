package injector

import (
	"os/exec"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// TestReloadedLibrary: after dlclose and dlopen a library is as it was shipped,
// at the same place, and the ledger knows nothing of it.
func TestReloadedLibrary(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := startTarget(t, exec.Command(reloader(t), f.library))
	in := New(Options{})
	for range 3 {
		rs, err := in.Apply(background(), only(tg.pid), set)
		result(t, Applied, rs, err)
		tg.says(v2)
		tg.reload('r')
		tg.says(old)
		rs, err = in.Status(background(), only(tg.pid))
		result(t, NotApplied, rs, err)
	}
	rs, err := in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	tg.says(v2)
	rs, err = in.Revert(background(), only(tg.pid), nil)
	result(t, Reverted, rs, err)
	tg.says(old)
	tg.ends()
}

// TestSecondCopyOfLibrary: a copy that is loaded later is patched, too.
func TestSecondCopyOfLibrary(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	copied := f.library + ".copy"
	run(t, "cp", f.library, copied)
	tg := startTarget(t, exec.Command(reloader(t), f.library, copied))
	in := New(Options{})
	rs, err := in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	tg.says(v2)
	tg.reload('c')
	tg.says(old)
	rs, err = in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	tg.says(v2)
	rs, err = in.Apply(background(), only(tg.pid), set)
	result(t, Already, rs, err)
	tg.ends()
}

// reload has the reloader load its library again ('r') or the copy ('c').
func (tg *target) reload(how byte) {
	tg.t.Helper()
	if _, err := tg.stdin.Write([]byte{how}); err != nil {
		tg.t.Fatal(err)
	}
	<-tg.lines
}

// reloader is a program that loads the library by dlopen.
func reloader(t *testing.T) string {
	t.Helper()
	return compile(t, "reload", `
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	char byte;
	void *lib = dlopen(argv[1], RTLD_NOW);
	if (!lib) return 2;
	dprintf(1, "ready\n");
	while (read(0, &byte, 1) == 1) {
		if (byte == 'c')
			lib = dlopen(argv[2], RTLD_NOW);
		if (byte == 'r') {
			dlclose(lib);
			lib = dlopen(argv[1], RTLD_NOW);
		}
		int answer = ((int (*)(void))dlsym(lib, "answer"))();
		dprintf(1, "%d %d\n", getpid(), 1010 * answer - (answer == 1 ? 9 : 0));
	}
	return 0;
}`)
}
