package injector

import (
	"errors"
	"slices"
)

// An annex is memory near an object that the region can't be within reach of,
// as where a program and a library far from it are patched. It holds for each
// detour of the object the trampoline, and a word with the address of a stub in
// the region, which jumps through the slot: the word takes the slot's place for
// what must be near the function. It never changes, so that all slots, near or
// far, are still switched by one write.
type annex struct {
	base, size uint64
	near       []span
	// entries are the detours in it, as indexes of prepared.entries.
	entries []int
}

// annexUnit is what one detour takes in an annex: trampoline and word.
const annexUnit = trampolineSize + 16

// place is where the trampoline of the n-th detour lies, and its word.
func (a *annex) place(n int) (trampoline, word uint64) {
	at := a.base + uint64(n)*annexUnit
	return at, at + trampolineSize
}

// annexOf is the annex in which an entry's detour lies, nil if it lies in the region.
func (pr *prepared) annexOf(entry int) (*annex, int) {
	for _, a := range pr.annexes {
		if n := slices.Index(a.entries, entry); n >= 0 {
			return a, n
		}
	}
	return nil, 0
}

// arrange says what the region, of this size, must be within reach of, and plans
// annexes for the rest of what is to be patched.
func (j *job) arrange(pr *prepared, size uint64) ([]span, error) {
	var home []span
	if j.led != nil {
		home = []span{{j.led.address, j.led.address + pageSize}}
	}
	pr.annexes = nil
	for _, m := range pr.load {
		if len(m.lib.maps) == 0 {
			continue
		}
		lib := span{m.lib.maps[0].start, m.lib.maps[len(m.lib.maps)-1].end}
		if all := append(slices.Clone(home), lib); len(places(j.maps, size, all)) > 0 {
			home = all
			continue
		}
		if entries := pr.entriesOf(m.lib); len(entries) > 0 && !j.joinAnnex(pr, lib, entries) {
			return nil, blockedf("there is no room of %d bytes within 2 GiB of %s", annexUnit*len(entries), m.lib.called())
		}
	}
	if len(home) == 0 || len(places(j.maps, size, home)) == 0 {
		return nil, blockedf("there is no room of %d bytes within 2 GiB of the library", size)
	}
	return home, nil
}

// entriesOf are the new detours of an object.
func (pr *prepared) entriesOf(lib *object) []int {
	var out []int
	for i, e := range pr.entries {
		if a, _ := pr.annexOf(i); a == nil && e.buildID == lib.buildID && e.bias == lib.bias {
			out = append(out, i)
		}
	}
	return out
}

// joinAnnex puts detours into an annex that is near to what they are for, or
// plans another one. It reports false if there is no room for any.
func (j *job) joinAnnex(pr *prepared, lib span, entries []int) bool {
	for i := 0; ; i++ {
		a := &annex{}
		if i < len(pr.annexes) {
			a = pr.annexes[i]
		}
		near := append(slices.Clone(a.near), lib)
		all := append(slices.Clone(a.entries), entries...)
		size := roundUp(uint64(len(all)) * annexUnit)
		if len(places(j.maps, size, near)) > 0 {
			a.near, a.entries, a.size = near, all, size
			if i == len(pr.annexes) {
				pr.annexes = append(pr.annexes, a)
			}
			return true
		}
		if i == len(pr.annexes) {
			return false
		}
	}
}

// mapAnnexes has the process map the annexes. If this program is killed, or
// the change is not made after all, nothing leads to them.
func (j *job) mapAnnexes(t *tracer, pr *prepared) error {
	for _, a := range pr.annexes {
		if err := j.mapAnnex(t, a); err != nil {
			return err
		}
		var err error
		if j.maps, err = j.p.mappings(); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) mapAnnex(t *tracer, a *annex) error {
	const tries = 4
	g := region{size: a.size}
	last := blockedf("there is no room of %d bytes in it", a.size)
	candidates := places(j.maps, a.size, a.near)
	for _, base := range candidates[:min(len(candidates), tries)] {
		l, err := t.run(g.calls(base), tails(j.objs))
		if errors.As(err, &blocked{}) {
			last = err
			continue
		}
		if err != nil {
			return err
		}
		a.base = base
		return l.dismiss()
	}
	return last
}

// relay notes what the n-th detour of an annex needs to reach its slot: the
// stub at forward, and the word that leads there. It returns where the
// detour's trampoline lies, and the word in the slot's place.
func (c *composed) relay(a *annex, n int, forward, slot uint64) (trampoline, word uint64, err error) {
	trampoline, word = a.place(n)
	jump, err := jumpThrough(forward+uint64(len(endbr64)), slot)
	if err != nil {
		return 0, 0, err
	}
	c.add(forward, append(slices.Clone(endbr64), jump...)) // reached by an indirect jump
	c.add(word, leBytes(forward))
	return trampoline, word, nil
}
