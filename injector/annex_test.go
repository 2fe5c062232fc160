package injector

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// farFixture is a program with a function of its own beside that of its library,
// each with its container: no memory is within reach of both.
func farFixture(t *testing.T, entry string, args ...string) (f *fixture, ofLibrary, ofProgram *livepatch.Container) {
	t.Helper()
	f = newFixture(t, entry)
	line := append([]string{"-O2", "-g", "-pthread", "-o", f.program, "testdata/target.c", "testdata/far.c", f.library, "-Wl,-rpath,$ORIGIN"},
		entryFlags[entry]...)
	gcc(t, append(line, args...)...)
	program, err := elfinfo.Open(f.program)
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	own := &fixture{dir: t.TempDir(), library: f.library}
	if own.build, err = elfinfo.NewBuild(program, nil, []string{"second"}); err != nil {
		t.Fatal(err)
	}
	return f, f.container(t, 2, "answer"), own.container(t, 2, "second")
}

// TestProgramAndLibrary patches both, in one step and one after the other.
func TestProgramAndLibrary(t *testing.T) {
	const libraryOnly, programOnly = "2001", "1020"
	for _, entry := range []string{"stock", "stock endbr", "padded endbr"} {
		for _, kind := range []string{"-pie", "-no-pie"} {
			t.Run(entry+" "+kind, func(t *testing.T) {
				f, ofLibrary, ofProgram := farFixture(t, entry, kind)
				one, other := []*livepatch.Container{ofLibrary}, []*livepatch.Container{ofProgram}
				in := New(Options{})
				tg := f.start(t, 0, 2)
				want := []string{old}
				do := func(word Word, rs []Result, err error, says string) {
					t.Helper()
					result(t, word, rs, err)
					want = append(want, says)
					tg.expect(want...)
				}
				rs, err := in.Apply(background(), only(tg.pid), slices.Concat(one, other))
				do(Applied, rs, err, v2)
				rs, err = in.Revert(background(), only(tg.pid), one)
				do(Reverted, rs, err, programOnly)
				rs, err = in.Apply(background(), only(tg.pid), one)
				do(Applied, rs, err, v2)
				rs, err = in.Revert(background(), only(tg.pid), nil)
				do(Reverted, rs, err, old)
				for _, first := range [][]*livepatch.Container{one, other} {
					tg, want = f.start(t, 1, 2), []string{old}
					rs, err = in.Apply(background(), only(tg.pid), first)
					result(t, Applied, rs, err)
					rs, err = in.Apply(background(), only(tg.pid), slices.Concat(one, other))
					result(t, Applied, rs, err)
					tg.settles(t, v2)
					rs, err = New(Options{Restore: true}).Revert(background(), only(tg.pid), one)
					result(t, Reverted, rs, err)
					tg.settles(t, programOnly)
					rs, err = New(Options{Restore: true}).Revert(background(), only(tg.pid), nil)
					result(t, Reverted, rs, err)
					tg.settles(t, old)
				}
			})
		}
	}
}

// settles has the main thread call, and wants this answer from it.
func (tg *target) settles(t *testing.T, want string) {
	t.Helper()
	if _, err := tg.stdin.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	tg.await("called")
	heard := tg.answers()[strconv.Itoa(tg.pid)]
	if heard[len(heard)-1] != want {
		t.Fatalf("the main thread answers %v, want %s", heard, want)
	}
	tg.unharmed()
}

// TestAnnexIsSmall: what a far object takes beside the region is one page.
func TestAnnexIsSmall(t *testing.T) {
	f, ofLibrary, ofProgram := farFixture(t, "stock")
	tg := f.start(t, 0, 0)
	before := countMappings(t, tg.pid)
	rs, err := New(Options{}).Apply(background(), only(tg.pid), []*livepatch.Container{ofLibrary, ofProgram})
	result(t, Applied, rs, err)
	after := countMappings(t, tg.pid)
	small := 0
	for at, size := range after {
		if _, was := before[at]; !was && size == pageSize {
			small++
		}
	}
	if small != 1 {
		t.Errorf("%d new mappings of one page, want 1: %v", small, after)
	}
}

// countMappings are the executable mappings of a process without a file, with
// their sizes.
func countMappings(t *testing.T, pid int) map[uint64]uint64 {
	t.Helper()
	r, err := os.Open(filepath.Join("/proc", strconv.Itoa(pid), "maps"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	maps, err := parseMaps(r)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[uint64]uint64)
	for _, m := range maps {
		if m.ourCode() {
			out[m.start] = m.end - m.start
		}
	}
	return out
}
