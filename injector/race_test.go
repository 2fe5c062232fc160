package injector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/livepatch"
)

// TestPlaceTakenMeanwhile: a thread of the process has mapped memory of its own
// where the region was to go. That memory must not be mistaken for ours.
func TestPlaceTakenMeanwhile(t *testing.T) {
	f := newFixture(t, "stock")
	tg := f.startHard(t, "plain")
	j := tg.looked()
	i := slices.IndexFunc(j.maps, func(m mapping) bool { return m.write && m.path == "" })
	if i < 0 {
		t.Fatal("it has no anonymous memory")
	}
	g := region{size: pageSize}
	withData := region{size: 2 * pageSize, writable: []span{{pageSize, 2 * pageSize}}}
	for _, calls := range [][]remoteCall{g.calls(j.maps[i].start), withData.calls(j.maps[i].start - pageSize)} {
		err := trace(j.p, func(tr *tracer) error {
			_, err := tr.run(calls, tails(j.objs))
			return err
		})
		var b blocked
		if !errors.As(err, &b) {
			t.Errorf("memory of the process's own is taken for ours: %v", err)
		}
	}
	tg.says(old)
	tg.unharmed()
}

// TestChildOfVforkIsNotPatchedAlone: it runs in its parent's memory, where
// threads run that are none of its own.
func TestChildOfVforkIsNotPatchedAlone(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.startHard(t, "vforked")
	child := 0
	for deadline := time.Now().Add(10 * time.Second); child == 0 && time.Now().Before(deadline); {
		tids, err := listTasks("/proc", tg.pid)
		if err != nil {
			t.Fatal(err)
		}
		for _, tid := range tids {
			for _, pid := range children("/proc", tg.pid, tid) {
				child = pid
			}
		}
	}
	in := New(Options{})
	rs, err := in.Apply(background(), only(child), set)
	if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, strconv.Itoa(tg.pid)) {
		t.Errorf("reason %q", r.Reason)
	}
	tg.says(old)
	rs, err = in.Apply(background(), Selection{Globs: []string{"hard"}}, set)
	rs = slices.DeleteFunc(rs, func(r Result) bool { return r.BuildID != string(f.build.BuildID) }) // other tests' processes
	if err != nil || len(rs) != 1 || rs[0].PID != tg.pid || rs[0].Word != Applied {
		t.Errorf("parent and child: %+v, %v", rs, err)
	}
	tg.says(v2)
	tg.ends()
}

// TestNoOtherTracerBetweenTries: from the check of the ledger to the commit
// nobody else gets at the process, also while its threads run.
func TestNoOtherTracerBetweenTries(t *testing.T) {
	f := newFixture(t, "stock")
	tg := f.startHard(t, "plain")
	j := tg.looked()
	second := func() error {
		return trace(j.p, func(tr *tracer) error { return (&job{p: j.p, result: &Result{}}).claim(tr) })
	}
	err := trace(j.p, func(tr *tracer) error {
		if err := j.claim(tr); err != nil {
			return err
		}
		if err := tr.stopAll(time.Now().Add(10*time.Second), nil); err != nil {
			return err
		}
		if err := tr.letRun(); err != nil {
			return err
		}
		tg.says(old)
		var b blocked
		if err := second(); !errors.As(err, &b) {
			t.Errorf("a second injector gets in: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := second(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	tg.unharmed()
	tg.ends()
}

// TestLedgerChangedBeforeTheCommit: a control page composed from an older one
// is not written.
func TestLedgerChangedBeforeTheCommit(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.startHard(t, "plain")
	in := New(Options{})
	rs, err := in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	p, _ := f.locate(t, tg, "answer")
	defer p.close()
	for _, op := range []operation{
		{kind: opRevert, match: func(*recordContainer) bool { return true }},
		{kind: opReplace, set: []*livepatch.Container{f.container(t, 3, "answer", "second")}},
	} {
		j, pr := preparedJob(t, p, in, op)
		err := trace(p, func(tr *tracer) error {
			if err := j.claim(tr); err != nil {
				return err
			}
			newer := j.led.control
			newer.sequence += 2
			if err := p.writeAt(newer.encode(), j.led.address); err != nil {
				return err
			}
			c, l, err := j.establish(tr, pr)
			if err != nil {
				return err
			}
			return j.commit(tr, c, l)
		})
		if !errors.Is(err, errBusy) {
			t.Errorf("the newer ledger is overwritten: %v", err)
		}
	}
	tg.says(v2)
	tg.ends()
}

// TestFilesAreNeverWritten: a forged ledger can name any address. What is
// written there must not reach a file that the process could not write itself:
// the kernel refuses shared mappings that are not writable.
func TestFilesAreNeverWritten(t *testing.T) {
	exe := compile(t, "shared", `
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	char byte;
	int fd = open(argv[1], O_RDONLY), both = open(argv[1], O_RDWR);
	void *shared = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
	void *writable = mmap(0, 4096, PROT_READ, MAP_SHARED, both, 0);
	void *private = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	dprintf(1, "ready\n%p %p %p\n", shared, writable, private);
	return read(0, &byte, 1) != 0;
}`)
	file := filepath.Join(t.TempDir(), "file")
	content := bytes.Repeat([]byte{0x90}, pageSize)
	if err := os.WriteFile(file, content, 0o644); err != nil {
		t.Fatal(err)
	}
	tg := startTarget(t, exec.Command(exe, file))
	p := tg.opened()
	var at [3]uint64
	if _, err := fmt.Sscanf(<-tg.lines, "%v %v %v", &at[0], &at[1], &at[2]); err != nil {
		t.Fatal(err)
	}
	for i, private := range []bool{false, false, true} {
		if err := p.writeAt([]byte{0xe9}, at[i]); (err == nil) != private {
			t.Errorf("mapping %d: %v", i, err)
		}
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, content) {
		t.Errorf("the file has changed: % x, %v", now[:8], err)
	}
	tg.ends()
}

// TestTextsOfAProcessArePrintable: its name can hold what a terminal obeys.
func TestTextsOfAProcessArePrintable(t *testing.T) {
	exe := compile(t, "named", `
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(void)
{
	char byte;
	prctl(PR_SET_NAME, "a\033]0;b\a\nc");
	dprintf(1, "ready\n");
	return read(0, &byte, 1) != 0;
}`)
	tg := startTarget(t, exec.Command(exe))
	rs, err := New(Options{}).Status(background(), only(tg.pid))
	if r := result(t, NotApplied, rs, err); r.Command != "a?]0;b??c" {
		t.Errorf("its name is %q", r.Command)
	}
	tg.ends()
}

// TestTwoInjectorsAtOnce: each gets an answer, and the process is none the
// worse for it.
func TestTwoInjectorsAtOnce(t *testing.T) {
	f := newFixture(t, "stock")
	first, second := f.container(t, 2, "answer"), f.container(t, 3, "answer", "second")
	for _, name := range []string{"signals", "chain", "computing", "blocked"} {
		t.Run(name, func(t *testing.T) {
			tg := f.startHard(t, name)
			words := make(chan string, 1000)
			var both errgroup.Group
			for _, c := range []*livepatch.Container{first, second} {
				both.Go(func() error {
					in := New(Options{})
					for range 40 {
						for _, do := range []func(context.Context, Selection, []*livepatch.Container) ([]Result, error){
							in.Replace, in.Revert,
						} {
							rs, err := do(background(), only(tg.pid), []*livepatch.Container{c})
							if err != nil {
								return err
							}
							switch rs[0].Word {
							case Failed, Gone, Foreign, NotLoaded:
								return fmt.Errorf("%s: %w", rs[0].Word, rs[0].Err)
							}
							words <- string(rs[0].Word)
						}
					}
					return nil
				})
			}
			if err := both.Wait(); err != nil {
				t.Fatal(err)
			}
			close(words)
			count := make(map[string]int)
			for w := range words {
				count[w]++
			}
			t.Log(count)
			if _, err := New(Options{}).Revert(background(), only(tg.pid), nil); err != nil {
				t.Fatal(err)
			}
			tg.says(old)
			tg.unharmed()
			tg.ends()
		})
	}
}

// TestStubsLeftBehind: where every room for a stub is taken by what killed
// injectors have left, it is cleared, unless a thread is still in it.
func TestStubsLeftBehind(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.startHard(t, "plain")
	p, _ := f.locate(t, tg, "answer")
	defer p.close()
	in := New(Options{})
	j := &job{ctx: background(), in: in, p: p, result: &Result{}}
	if err := j.look(); err != nil {
		t.Fatal(err)
	}
	loop := append([]byte(stubMagic), 0xeb, 0xfe)                                               // a stub that never ends
	room := slices.DeleteFunc(tails(j.objs), func(s tail) bool { return s.size < stubSize(2) }) // too small for any stub
	for _, s := range room {
		if err := p.writeAt(loop, s.address); err != nil {
			t.Fatal(err)
		}
	}
	var home unix.PtraceRegs
	move := func(to func(*thread) unix.PtraceRegs) {
		t.Helper()
		err := trace(p, func(tr *tracer) error {
			if err := j.claim(tr); err != nil {
				return err
			}
			th := tr.threads[0]
			if err := tr.mustHold(th); err != nil {
				return err
			}
			if err := tr.registers(th); err != nil {
				return err
			}
			th.regs, th.dirty = to(th), true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	move(func(th *thread) unix.PtraceRegs {
		home = th.regs
		return inStub(th.regs, room[0].address+uint64(len(stubMagic)))
	})
	rs, err := in.Apply(background(), only(tg.pid), set)
	result(t, Busy, rs, err)
	move(func(*thread) unix.PtraceRegs { return home })
	rs, err = in.Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	tg.says(v2)
	for _, s := range room {
		mem := make([]byte, s.size)
		if err := p.readAt(mem, s.address); err != nil || len(bytes.Trim(mem, "\x00")) > 0 {
			t.Errorf("a stub is left at %#x: %v", s.address, err)
		}
	}
	tg.ends()
}
