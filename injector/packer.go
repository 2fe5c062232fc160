package injector

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// originalsOfPacker finds and verifies the functions that a container of
// libpulp's packer replaces. It records nothing but names and addresses: the
// rest is read from the file that is mapped.
func (j *job) originalsOfPacker(m match) ([]original, error) {
	var out []original
	for _, u := range m.c.Apply.Units {
		f, err := recordFromFile(m, u)
		if err != nil {
			return nil, err
		}
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

// recordFromFile makes the record of a function that the container lacks.
func recordFromFile(m match, u livepatch.MetadataUnit) (livepatch.Function, error) {
	if !m.lib.executable(m.lib.addr(u.Address)) {
		return livepatch.Function{}, blockedf("%s has no code at %#x, where %s says that %s is", m.lib.called(), u.Address, m.c.Name, u.Old)
	}
	size, err := sizeInFile(m.lib.file, u.Address)
	if err != nil {
		return livepatch.Function{}, err
	}
	if size > maxFunction {
		return livepatch.Function{}, blockedf("%s has %d bytes, at most %d are supported", u.Old, size, maxFunction)
	}
	known := size != 0
	if !known {
		size = paddedEntry
	}
	code, err := m.lib.file.ReadAt(u.Address, int(size))
	if err != nil {
		return livepatch.Function{}, err
	}
	const padding = 16
	before, err := m.lib.file.ReadAt(u.Address-padding, padding)
	if err != nil {
		before = nil
	}
	e := elfinfo.AnalyzeEntry(code, before, u.Address)
	switch {
	case !known && e.Kind != elfinfo.EntryPadded:
		return livepatch.Function{}, blockedf("the size of %s is not known, and it has no padding: %s does not record it, and %s has neither a symbol nor frame information for it",
			u.Old, m.c.Name, m.lib.called())
	case e.Kind == elfinfo.EntryNone:
		return livepatch.Function{}, blockedf("%s is not livepatchable: %s", u.Old, e.Reason)
	}
	sum := sha256.Sum256(code)
	f := livepatch.Function{
		Old: u.Old, New: u.New, Address: u.Address, Size: size, SHA256: hex.EncodeToString(sum[:]),
		Entry: string(e.Kind), Offset: e.Offset, Length: e.Length,
	}
	if !known {
		return f, nil // it has no frame information: nobody can unwind through it anyway
	}
	unwind, err := m.lib.file.UnwindOf(u.Old, u.Address, code)
	f.Personality, f.CallsBack, f.Cancellation = unwind.Personality, unwind.CallsBack, unwind.Cancellation
	return f, err
}

// paddedEntry is the size of the longest entry made for patching: endbr64 and a
// NOP of two bytes. Of a function whose size nobody tells, no more is looked at.
const paddedEntry = 6

// sizeInFile is the size of the function at an address, in bytes; 0 if the file
// does not tell: it may be private and the file stripped.
func sizeInFile(file *elfinfo.File, address uint64) (uint64, error) {
	symbols, err := file.DynamicSymbols()
	if err != nil {
		return 0, err
	}
	for _, s := range symbols {
		if s.Kind == "func" && s.Address == address && s.Size != 0 && !s.Undefined {
			return s.Size, nil
		}
	}
	if size, ok := file.FrameSize(address); ok {
		return size, nil
	}
	size, _ := file.FunctionSize(address)
	return size, nil
}

// sameBuild says whether a container is for the build of an object. libpulp's
// metadata has room for 20 bytes of a build-id, filled up with zeros.
func sameBuild(c *livepatch.Container, o *object) bool {
	if c.Info != nil {
		return o.buildID == c.Info.BuildID
	}
	const digits = 40
	return o.buildID != "" && (o.buildID + strings.Repeat("0", digits))[:digits] == hex.EncodeToString(c.Apply.BuildID)
}

// checkDepends makes sure that whatever a container to load depends on is in
// force, or comes into force before it; and that nothing is taken out of force on
// which something depends that stays.
func (j *job) checkDepends(g *goal) error {
	var have []string
	for _, a := range g.keep {
		have = append(have, j.led.container(a).PatchID)
	}
	if j.led != nil {
		for _, a := range j.led.active {
			if c := j.led.container(a); !slices.Contains(g.keep, a) && !slices.Contains(have, c.PatchID) {
				if by := j.dependent(g.keep, c.PatchID); by != "" {
					return blockedf("%s depends on %s, which would not be in force any more", by, c.Name)
				}
			}
		}
	}
	for _, m := range g.load {
		for _, id := range dependsOf(m.c) {
			if !slices.Contains(have, id) {
				return blockedf("%s depends on the live patch %s, which has to be applied first", m.c.Name, j.nameOf(id))
			}
		}
		have = append(have, hex.EncodeToString(m.c.Apply.PatchID[:]))
	}
	return nil
}

// dependent is the name of a container that depends on a live patch, "" if none does.
func (j *job) dependent(among []activeRef, patchID string) string {
	for _, a := range among {
		if c := j.led.container(a); slices.Contains(c.Depends, patchID) {
			return c.Name
		}
	}
	return ""
}

// dependsOf are the patch ids that a container depends on, in hexadecimal.
func dependsOf(c *livepatch.Container) []string {
	var out []string
	for _, id := range c.Apply.Depends {
		out = append(out, hex.EncodeToString(id[:]))
	}
	return out
}

// nameOf is the name of a container with this patch id, if one is known, or the id.
func (j *job) nameOf(id string) string {
	for _, c := range j.op.set {
		if hex.EncodeToString(c.Apply.PatchID[:]) == id {
			return c.Name
		}
	}
	if j.led != nil {
		for _, r := range j.led.records {
			for _, c := range r.Containers {
				if c.PatchID == id {
					return c.Name
				}
			}
		}
	}
	return id
}

// libpulpJump is how libpulp's detour begins: jmp *0(%rip), followed by the
// address. It stands in the 14 bytes before a function made for patching, and
// stays there when libpulp reverts.
var libpulpJump = []byte{0xff, 0x25, 0, 0, 0, 0}

// foreignDetour answers that a function is not ours to touch where libpulp has
// patched it, also if it has taken the patch back: it may do it again at any time.
func (j *job) foreignDetour(function uint64, f livepatch.Function) error {
	const size = 14
	if f.Entry != string(elfinfo.EntryPadded) {
		return nil
	}
	mem := make([]byte, size+f.Offset+f.Length)
	if err := j.p.readAt(mem, function-size); err != nil {
		return err
	}
	if !bytes.HasPrefix(mem, libpulpJump) {
		return nil
	}
	if entry := mem[size+f.Offset:]; entry[0] == 0xeb {
		return foreignf("libpulp has patched %s: it leads to %#x", f.Old, leUint64(mem[len(libpulpJump):]))
	}
	return foreignf("libpulp has patched %s once, and reverted that: it may do so again", f.Old)
}
