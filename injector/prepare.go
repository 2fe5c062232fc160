package injector

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// prepared is a goal with all that can be found out with nothing stopped.
type prepared struct {
	*goal
	// entries are the functions that need a detour made, in the order of their slots.
	entries []plannedEntry
	// annexes hold the detours of functions that the region is too far from.
	annexes []*annex
	// images and functions belong to goal.load, one for one.
	images    []*image
	functions [][]original
}

// An original is a function that a container replaces, as found in the process.
type original struct {
	name, replacement string
	// entry is where it lies in memory, and what it is made of.
	entry plannedEntry
}

// maxFunction bounds the size of a function that is read, in bytes.
const maxFunction = 4 << 20

// prepare checks every function of what is to be loaded and builds the images.
func (j *job) prepare(g *goal) (*prepared, error) {
	pr := &prepared{goal: g}
	if err := j.checkDepends(g); err != nil {
		return nil, err
	}
	if len(g.load) == 0 {
		return pr, nil
	}
	if err := j.mayMap(); err != nil {
		return nil, err
	}
	for _, m := range g.load {
		functions, err := j.originals(m)
		if err != nil {
			return nil, err
		}
		pr.functions = append(pr.functions, functions)
		for _, f := range functions {
			pr.plan(j, f.entry)
		}
	}
	slots := len(pr.entries)
	if j.led != nil {
		slots += len(j.led.slots)
	}
	if slots > slotCapacity || len(g.keep)+len(g.load) > activeCapacity {
		return nil, blockedf("its ledger is full: %d functions of %d, %d containers of %d",
			slots, slotCapacity, len(g.keep)+len(g.load), activeCapacity)
	}
	var err error
	pr.images, err = j.loadImages(g.load)
	return pr, err
}

// plan adds a function to those that need a detour, unless it has one.
func (pr *prepared) plan(j *job, e plannedEntry) {
	if j.detourFor(e.function) != nil {
		return
	}
	for _, have := range pr.entries {
		if have.function == e.function {
			return
		}
	}
	pr.entries = append(pr.entries, e)
}

// detourFor is the detour that an earlier operation made for a function.
func (j *job) detourFor(function uint64) *detour {
	if j.led == nil {
		return nil
	}
	for _, d := range j.led.detours {
		if d.Function == function && d.sameObject(j.objs) {
			return d
		}
	}
	return nil
}

// mayMap refuses processes that can make no call but read, write and exit. What
// filters say is only known of a stopped thread: see permits.
func (j *job) mayMap() error {
	st, err := j.p.status()
	if err != nil {
		return err
	}
	if st.Seccomp == seccompStrict && st.Threads == 1 {
		return errStrict
	}
	return nil
}

// originals finds and verifies the functions that a container replaces.
func (j *job) originals(m match) ([]original, error) {
	if m.c.Info == nil {
		return j.originalsOfPacker(m)
	}
	var out []original
	for _, f := range m.c.Info.Functions {
		if err := unwindable(f); err != nil {
			return nil, err
		}
		o, err := j.original(m, f)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// unwindable refuses replacements through whose frames somebody may have to
// unwind, as long as their frame information can't be registered: without it
// pthread_cancel skips the callers' clean-up and a C++ exception aborts.
func unwindable(f livepatch.Function) error {
	why := ""
	switch {
	case f.Personality:
		why = "it has an exception handler or clean-up of its own"
	case f.Cancellation:
		why = "a thread can be cancelled in it"
	case f.CallsBack:
		why = "it calls functions of its caller, which may throw"
	default:
		return nil
	}
	return blockedf("%s can't be replaced yet: %s, and a replacement has no registered unwind information", f.Old, why)
}

// original verifies one function: what is in memory must be what the container
// recorded, but for a detour of ours.
func (j *job) original(m match, f livepatch.Function) (original, error) {
	if f.Size > maxFunction || f.Size < uint64(f.Offset+f.Length) {
		return original{}, fmt.Errorf("%s: %s: %d bytes: %w", m.c.Name, f.Old, f.Size, livepatch.ErrCorrupt)
	}
	address := m.lib.addr(f.Address)
	if err := j.foreignDetour(address, f); err != nil {
		return original{}, err
	}
	code, err := j.shippedCode(address, int(f.Size), f.Offset)
	if err != nil {
		return original{}, err
	}
	sum := sha256.Sum256(code)
	if hex.EncodeToString(sum[:]) != f.SHA256 {
		return original{}, describeDifference(m, f, code)
	}
	o := original{name: f.Old, replacement: f.New, entry: plannedEntry{
		function: address, kind: f.Entry, offset: f.Offset, length: f.Length, code: code,
		buildID: m.lib.buildID, bias: m.lib.bias,
	}}
	if err := j.padding(&o.entry); err != nil {
		return original{}, err
	}
	if err := sameEntry(m, f, o.entry); err != nil {
		return original{}, err
	}
	if err := j.mayMove(&o.entry); err != nil {
		return original{}, err
	}
	return o, j.filler(m, &o.entry)
}

// sameEntry checks that the container tells the truth about where and how the
// function can be detoured: what it says is written into the process.
func sameEntry(m match, f livepatch.Function, e plannedEntry) error {
	found := elfinfo.AnalyzeEntry(e.code, e.before, f.Address)
	switch {
	case found.Kind == elfinfo.EntryNone:
		return blockedf("%s is not livepatchable: %s", f.Old, found.Reason)
	case string(found.Kind) != f.Entry || found.Offset != f.Offset || found.Length != f.Length:
		return blockedf("%s says that %s can be detoured as %s at %d, %d bytes; it is %s at %d, %d bytes",
			m.c.Name, f.Old, f.Entry, f.Offset, f.Length, found.Kind, found.Offset, found.Length)
	}
	return nil
}

// shippedCode reads a function and puts the bytes back that a detour of ours
// covers.
func (j *job) shippedCode(address uint64, size, offset int) ([]byte, error) {
	code := make([]byte, size)
	if err := j.p.readAt(code, address); err != nil {
		return nil, err
	}
	d := j.detourFor(address)
	if d == nil {
		return code, nil
	}
	at := d.Address - address
	if at != uint64(offset) || at+uint64(len(d.Original)) > uint64(size) {
		return nil, foreignf("the detour of the function at %#x is in another place than this container's", address)
	}
	if _, err := d.installed(j.p); err != nil {
		return nil, err
	}
	copy(code[at:], d.Original)
	return code, nil
}

// describeDifference explains a checksum that is not as recorded.
func describeDifference(m match, f livepatch.Function, code []byte) error {
	shipped, err := m.lib.file.ReadAt(f.Address, len(code))
	if err == nil {
		for i := range shipped {
			if shipped[i] != code[i] {
				from := i &^ 7
				return describeBytes(code[from:min(len(code), from+nearJump)], m.lib.addr(f.Address))
			}
		}
	}
	return blockedf("%s is not the function that %s was made for: its checksum differs from the record", f.Old, m.c.Name)
}

// padding reads the bytes before a padded function and checks that they are
// still NOPs: nobody else's patch, and no stranger's data, is overwritten.
func (j *job) padding(e *plannedEntry) error {
	if e.kind != string(elfinfo.EntryPadded) {
		return nil
	}
	e.before = make([]byte, 14)
	if err := j.p.readAt(e.before, e.function-uint64(len(e.before))); err != nil {
		return err
	}
	if d := j.detourFor(e.function); d != nil {
		copy(e.before[len(e.before)-len(d.BeforeOriginal):], d.BeforeOriginal)
	}
	if bytes.Count(e.before, []byte{0x90}) != len(e.before) {
		return foreignf("somebody else has used the padding before the function at %#x: % x", e.function, e.before)
	}
	return nil
}
