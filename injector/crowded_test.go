package injector

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// regionSize is how much memory the first apply of a set takes.
func (f *fixture) regionSize(t *testing.T, set []*livepatch.Container) uint64 {
	t.Helper()
	tg := f.startHard(t, "plain")
	rs, err := New(Options{}).Apply(background(), only(tg.pid), set)
	result(t, Applied, rs, err)
	p := tg.opened()
	maps, err := p.mappings()
	if err != nil {
		t.Fatal(err)
	}
	l, err := readLedger(p, maps)
	if err != nil || l == nil {
		t.Fatalf("ledger %v, %v", l, err)
	}
	return l.records[0].Size
}

// TestCrowdedAddressSpace: what an apply brings has to be within 2 GiB of the
// library. A hole that is just big enough, on either side, is found, with one
// free page between us and each neighbour; without one it is refused.
func TestCrowdedAddressSpace(t *testing.T) {
	f := newFixture(t, "stock")
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	size := f.regionSize(t, set)
	for _, tt := range []struct {
		where string
		hole  uint64
		word  Word
	}{
		{"none", 0, Blocked},
		{"below", size + pageSize, Blocked},
		{"above", size + pageSize, Blocked},
		{"below", size + 2*pageSize, Applied},
		{"above", size + 2*pageSize, Applied},
		{"below", 64 << 20, Applied},
		{"above", 64 << 20, Applied},
	} {
		t.Run(fmt.Sprint(tt.where, tt.hole), func(t *testing.T) {
			tg := f.startProgram(t, "testdata/crowded.c", tt.where, fmt.Sprint(tt.hole))
			in := New(Options{})
			rs, err := in.Apply(background(), only(tg.pid), set)
			r := result(t, tt.word, rs, err)
			if tt.word == Blocked {
				if !strings.Contains(r.Reason, "no room") {
					t.Errorf("reason %q", r.Reason)
				}
				tg.does('x', "1")
				tg.unharmed()
				tg.ends()
				return
			}
			tg.does('x', "2")
			rs, err = in.Revert(background(), only(tg.pid), nil)
			result(t, Reverted, rs, err)
			tg.does('x', "1")
			rs, err = in.Apply(background(), only(tg.pid), set)
			result(t, Applied, rs, err)
			tg.does('x', "2")
			tg.unharmed()
			tg.ends()
		})
	}
}
