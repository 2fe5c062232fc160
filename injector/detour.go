package injector

import (
	"bytes"
	"errors"
	"fmt"
)

// A detour redirects one function in one process: a jump at its entry that
// leads through a slot of the control page. While the slot holds Old, the
// function behaves as it always did.
type detour struct {
	// Slot is the number of the slot.
	Slot int `json:"slot"`
	// Function is the function's entry, Address where the jump is written:
	// the entry, or behind its endbr64.
	Function uint64 `json:"function"`
	Address  uint64 `json:"address"`
	// Kind is "stock" or "padded".
	Kind string `json:"kind"`
	// Original are the bytes at Address as shipped, Installed the jump; they
	// have the same length: 5, or 2 where the jump leads to Before.
	Original  []byte `json:"original"`
	Installed []byte `json:"installed"`
	// Before is what is written into the padding of a padded function, or into
	// the filler before a stock one whose 5 bytes straddle two pages; it ends at
	// Function. Nothing executes it unless the jump is there.
	Before         []byte `json:"before,omitempty"`
	BeforeOriginal []byte `json:"before_original,omitempty"`
	// Old is where the slot leads when no patch is in force: past the padding,
	// or to the moved instructions, which end with a jump back.
	Old uint64 `json:"old"`
	// Moves are the instructions that the jump covers: where each begins,
	// counted from Address, and where the same instruction lies now.
	Moves []move `json:"moves,omitempty"`
	// BuildID and Bias are the object that the function belongs to.
	BuildID string `json:"build_id"`
	Bias    uint64 `json:"bias"`
}

// A move says where an instruction went.
type move struct {
	Offset  uint64 `json:"offset"`
	Address uint64 `json:"address"`
}

// check bounds what was read from a process.
func (d *detour) check() error {
	switch n := len(d.Original); {
	case n != 2 && n != 5, len(d.Installed) != n, d.Slot < 0:
		return fmt.Errorf("detour at %#x: %d bytes, slot %d", d.Address, n, d.Slot)
	}
	if len(d.Before) != len(d.BeforeOriginal) || len(d.Before) > 16 || len(d.Moves) > 16 {
		return fmt.Errorf("detour at %#x: padding of %d bytes, %d moves", d.Address, len(d.Before), len(d.Moves))
	}
	return nil
}

// covers says whether a program counter is behind the first and before the last
// byte that the jump covers: such a thread would execute the middle of it.
func (d *detour) covers(pc uint64) bool {
	return pc > d.Address && pc < d.Address+uint64(len(d.Original))
}

// inPadding says whether a program counter is in the bytes before an entry
// that change. From all of them the way leads past the entry, to Old.
func (d *detour) inPadding(pc uint64) bool {
	return pc < d.Function && d.Function-pc <= uint64(len(d.Before))
}

// moved gives the place that stands for pc once the jump is written.
func (d *detour) moved(pc uint64) (uint64, bool) {
	for _, m := range d.Moves {
		if d.Address+m.Offset == pc {
			return m.Address, true
		}
	}
	return 0, false
}

// installed compares the bytes in memory with both states.
func (d *detour) installed(m readerAt) (bool, error) {
	mem := make([]byte, len(d.Original))
	if err := m.readAt(mem, d.Address); err != nil {
		return false, err
	}
	switch {
	case bytes.Equal(mem, d.Installed):
		return true, nil
	case bytes.Equal(mem, d.Original):
		return false, nil
	}
	return false, describeBytes(mem, d.Function)
}

// describeBytes explains an entry that is neither as shipped nor ours.
func describeBytes(mem []byte, function uint64) error {
	switch {
	case len(mem) > 0 && bytes.IndexByte(mem, 0xcc) >= 0:
		return blockedf("there is a breakpoint or a uprobe on the function at %#x", function)
	case len(mem) > 0 && (mem[0] == 0xe9 || mem[0] == 0xeb || mem[0] == 0xff):
		return foreignf("somebody else has patched the function at %#x: it begins with % x", function, mem)
	}
	return blockedf("the function at %#x is not as it was shipped: it begins with % x", function, mem)
}

// sameObject reports whether the object that the detour was made for is still
// mapped where it was.
func (d *detour) sameObject(objs []*object) bool {
	for _, o := range objs {
		if o.buildID == d.BuildID && o.bias == d.Bias {
			return true
		}
	}
	return false
}

// errFar: two places are more than ±2 GiB apart.
var errFar = errors.New("more than 2 GiB apart")
