package injector

import (
	"bytes"
	"encoding/hex"
	"errors"
	"path"
	"slices"
	"time"
)

// composed is everything that will be written, for one base address.
type composed struct {
	base uint64
	// content are the parts of the region, without the control page.
	content []patchBytes
	// room is the new region's place for stubs.
	room tail
	// controlAt is where the control page lies. published is its content while
	// nothing has changed yet, but the ledger knows the new detours already;
	// final is its content when the goal is reached.
	controlAt        uint64
	published, final control
	// known is the sequence number of the control page in the process.
	known uint64
	// install are the detours whose jump must be in place, remove those whose
	// jump must go.
	install, remove []*detour
}

// patchBytes are bytes for an address.
type patchBytes struct {
	address uint64
	bytes   []byte
}

// compose lays the region out and computes all bytes. left are the detours in
// place now.
func (j *job) compose(pr *prepared, base uint64, g region, left []*detour) (*composed, error) {
	c := &composed{base: base, controlAt: base}
	if j.led != nil {
		c.controlAt, c.published = j.led.address, j.led.control
		c.published.slots = slices.Clone(c.published.slots)
	}
	var fresh *record
	if len(pr.load) > 0 {
		var err error
		if fresh, err = c.bringIn(j, pr, g); err != nil {
			return nil, err
		}
	}
	if fresh != nil {
		c.published.sequence++
	}
	c.final = c.published
	c.final.slots = slices.Clone(c.published.slots)
	c.final.sequence++
	c.final.active = slices.Clone(pr.keep)
	if fresh != nil {
		for i := range fresh.Containers {
			c.final.active = append(c.final.active, activeRef{fresh.address, uint32(i)})
		}
	}
	return c, c.aim(j, j.wanted(pr.goal, fresh), fresh, left)
}

// aim sets the slots and sorts the detours into those to install and to remove.
func (c *composed) aim(j *job, wanted map[uint64]uint64, fresh *record, left []*detour) error {
	all := slices.Clone(left)
	if j.led != nil {
		for _, d := range j.led.detours {
			if d.sameObject(j.objs) && !slices.Contains(all, d) {
				all = append(all, d)
			}
		}
	}
	if fresh != nil {
		for i := range fresh.Detours {
			all = append(all, &fresh.Detours[i])
		}
	}
	reached := 0
	for _, d := range all {
		to, ok := wanted[d.Function]
		in := slices.Contains(left, d)
		switch {
		case ok:
			c.final.slots[d.Slot] = to
			reached++
			if !in {
				c.install = append(c.install, d)
			}
		default:
			c.final.slots[d.Slot] = d.Old
			if in && j.op.restore {
				c.remove = append(c.remove, d)
			}
		}
	}
	if reached != len(wanted) {
		return errors.New("a function to redirect has no detour")
	}
	return nil
}

// bringIn makes the region's content: trampolines, record and images.
func (c *composed) bringIn(j *job, pr *prepared, g region) (*record, error) {
	r := &record{
		address: c.base + g.record, prev: c.published.newest,
		Time: time.Now().UTC().Truncate(time.Second), Start: c.base, Size: g.size, Room: c.base + g.room,
	}
	c.room = tail{r.Room, roomSize}
	for i, e := range pr.entries {
		slot := len(c.published.slots)
		at := c.base + g.trampolines + uint64(i)*trampolineSize
		leads := slotAddress(c.controlAt, slot)
		if a, n := pr.annexOf(i); a != nil {
			var err error
			if at, leads, err = c.relay(a, n, at, leads); err != nil {
				return nil, err
			}
		}
		d, trampoline, err := newDetour(e, leads, at)
		if err != nil {
			return nil, err
		}
		d.Slot = slot
		c.published.slots = append(c.published.slots, d.Old)
		r.Detours = append(r.Detours, *d)
		c.add(at, trampoline)
	}
	for i, im := range pr.images {
		at := c.base + g.images[i]
		data, err := im.place(at)
		if err != nil {
			return nil, err
		}
		c.add(at, data)
		rc, err := j.describeContainer(pr.load[i], pr.functions[i], im, at)
		if err != nil {
			return nil, err
		}
		r.Containers = append(r.Containers, rc)
	}
	encoded, err := r.encode()
	if err != nil {
		return nil, err
	}
	if uint64(len(encoded)) > g.recordRoom {
		return nil, errors.New("the ledger record takes more room than was reserved for it")
	}
	c.add(r.address, encoded)
	c.published.newest = r.address
	return r, nil
}

// add notes bytes to write. Pages of zeros are left out: mapped memory is zero,
// and a page never written costs nothing.
func (c *composed) add(address uint64, content []byte) {
	for len(content) > 0 {
		n := min(len(content), pageSize-int(address%pageSize))
		if len(bytes.Trim(content[:n], "\x00")) > 0 {
			last := len(c.content) - 1
			if last >= 0 && c.content[last].address+uint64(len(c.content[last].bytes)) == address {
				c.content[last].bytes = append(c.content[last].bytes, content[:n]...)
			} else {
				c.content = append(c.content, patchBytes{address, bytes.Clone(content[:n])})
			}
		}
		address += uint64(n)
		content = content[n:]
	}
}

// describeContainer is what the ledger remembers of a container.
func (j *job) describeContainer(m match, functions []original, im *image, at uint64) (recordContainer, error) {
	rc := recordContainer{
		ID: m.c.ID, Name: path.Base(m.c.Name), Library: m.lib.path, Soname: m.lib.called(),
		BuildID: m.lib.buildID, Bias: m.lib.bias, Imports: im.imports(),
		Start: at, Size: im.size,
	}
	rc.PatchID, rc.Depends = hex.EncodeToString(m.c.Apply.PatchID[:]), dependsOf(m.c)
	if m.c.Info != nil {
		rc.Set, rc.SetVersion, rc.Patch = m.c.Info.Set, m.c.Info.SetVersion, m.c.Info.Patch
	}
	rc.References = m.c.References()
	for _, f := range functions {
		offset, ok := im.symbol(f.replacement)
		if !ok {
			return rc, blockedf("%s does not export %s", m.c.Name, f.replacement)
		}
		rc.Functions = append(rc.Functions, recordFunction{
			Old: f.name, Address: f.entry.function, Size: uint64(len(f.entry.code)),
			New: at + offset, NewSize: im.symbolSize(f.replacement),
		})
	}
	return rc, nil
}

// recordRoom bounds the size of the record, before addresses are known.
func (j *job) recordRoom(pr *prepared) uint64 {
	const perDetour, perFunction, perContainer, perDepend = 1024, 192, 1216, 80
	room := recordHeaderSize + 512 + perDetour*len(pr.entries)
	for i, m := range pr.load {
		room += perContainer + perDepend*len(m.c.Apply.Depends) + 2*len(m.c.Name) + 2*len(m.lib.path) + 2*len(m.lib.called())
		if m.c.Info != nil {
			room += 2 * (len(m.c.Info.Set) + len(m.c.Info.SetVersion) + len(m.c.Info.Patch))
		}
		for _, ref := range m.c.References() {
			room += 2*len(ref) + 4
		}
		for _, f := range pr.functions[i] {
			room += perFunction + 6*len(f.name)
		}
		room += 160 * len(pr.images[i].imports())
	}
	return uint64(room)
}
