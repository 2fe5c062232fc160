package injector

import (
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// TestAllocatingThreads: four threads are hardly ever outside of the allocator
// that is replaced. Every operation succeeds nevertheless, at the first try, and
// no block is lost or damaged.
func TestAllocatingThreads(t *testing.T) {
	f := fixtureFrom(t, "testdata/malloc_lib.c", entryFlags["stock"], "take")
	set := []*livepatch.Container{f.containerFrom(t, "testdata/malloc_patch.c", 2, "take")}
	tg := f.startCase(t, "malloc.c")
	injectors := []*Injector{New(Options{}), New(Options{Restore: true})}
	const every = 25
	for i := range rounds(150, 500) { // two operations each
		in := injectors[i%2]
		rs, err := in.Apply(background(), only(tg.pid), set)
		tg.became(Applied, rs, err)
		if i%every == 0 { // it takes a while to be heard between four busy threads
			tg.allocates(2)
		}
		rs, err = in.Revert(background(), only(tg.pid), nil)
		tg.became(Reverted, rs, err)
		if i%every == 0 {
			tg.allocates(1)
		}
	}
	tg.unharmed()
	tg.ends()
}

// allocates checks who makes the newest block.
func (tg *target) allocates(want int) {
	tg.t.Helper()
	if count, by := tg.statistics(); by != want || count == 0 {
		tg.t.Fatalf("the newest block is of %d, want %d; %d blocks", by, want, count)
	}
}
