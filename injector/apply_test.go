package injector

import (
	"maps"
	"slices"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// What combined() of testdata/target.c answers with the shipped library, and
// with patches of value 2 and 3.
const old, v2, v3 = "1001", "2020", "3030"

func TestApplyAndRevertOfEveryKindOfEntry(t *testing.T) {
	for _, entry := range slices.Sorted(maps.Keys(entryFlags)) {
		t.Run(entry, func(t *testing.T) {
			f := newFixture(t, entry)
			set := []*livepatch.Container{f.container(t, 2, "answer", "second")}
			for _, threads := range []struct {
				name       string
				busy, idle int
			}{{"one thread", 0, 0}, {"idle threads", 0, 9}, {"busy threads", 2, 3}} {
				t.Run(threads.name, func(t *testing.T) {
					tg := f.start(t, threads.busy, threads.idle)
					in := New(Options{})
					rs, err := in.Apply(background(), only(tg.pid), set)
					r := result(t, Applied, rs, err)
					tg.expect(old, v2)
					if len(r.Patches) != 1 || r.Patches[0].ID != set[0].ID || r.Stopped <= 0 {
						t.Errorf("result %+v", r)
					}
					rs, err = in.Apply(background(), only(tg.pid), set)
					result(t, Already, rs, err)
					rs, err = in.Revert(background(), only(tg.pid), nil)
					if r := result(t, Reverted, rs, err); r.Library != "libanswer.so.1" || r.BuildID != string(f.build.BuildID) {
						t.Errorf("reverted in %q, build %q", r.Library, r.BuildID)
					}
					tg.expect(old, v2, old)
					rs, err = in.Revert(background(), only(tg.pid), nil)
					result(t, NotApplied, rs, err)
					rs, err = in.Apply(background(), only(tg.pid), set)
					result(t, Applied, rs, err)
					tg.expect(old, v2, old, v2)
				})
			}
		})
	}
}

func TestReplaceInOneStop(t *testing.T) {
	f := newFixture(t, "stock")
	first := []*livepatch.Container{f.container(t, 2, "answer", "second")}
	next := []*livepatch.Container{f.container(t, 3, "answer", "second")}
	tg := f.start(t, 2, 2)
	in := New(Options{})
	rs, err := in.Replace(background(), only(tg.pid), first)
	result(t, Applied, rs, err)
	tg.expect(old, v2)
	rs, err = in.Replace(background(), only(tg.pid), next)
	r := result(t, Replaced, rs, err)
	tg.expect(old, v2, v3)
	if len(r.Patches) != 1 || r.Patches[0].SetVersion != "3" {
		t.Errorf("in force: %+v", r.Patches)
	}
	rs, err = in.Replace(background(), only(tg.pid), next)
	result(t, Already, rs, err)
	rs, err = in.Revert(background(), only(tg.pid), nil)
	result(t, Reverted, rs, err)
	tg.expect(old, v2, v3, old)
}
