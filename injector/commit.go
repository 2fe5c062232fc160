package injector

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"
)

// carryOut reaches a goal: prepare, borrow, commit. A thread that could not be
// brought to a safe place is tried again a few times.
func (j *job) carryOut(g *goal) error {
	pr, err := j.prepare(g)
	if err := errors.Join(err, j.ctx.Err()); err != nil {
		return err
	}
	defer j.finishSearch()
	if err := j.expectUnused(pr); err != nil {
		return err
	}
	if err := j.p.lock(j.ctx); err != nil {
		return err
	}
	var control uint64
	err = j.op.crew.trace(j.p, func(t *tracer) error {
		defer func() { j.result.Stopped = t.stopped }()
		if err := j.claim(t); err != nil {
			return err
		}
		if err := j.clearLeftBehind(t); err != nil {
			return err
		}
		c, l, err := j.establish(t, pr)
		if err != nil {
			return err
		}
		control = c.controlAt
		if done, err := j.switchOver(t, c, l); err != nil || done {
			return err
		}
		if l == nil { // else establish has just read them
			if j.maps, err = j.p.mappings(); err != nil {
				return err
			}
		}
		return j.insist(t, c, l)
	})
	if err != nil {
		return err
	}
	j.result.Word, j.result.Reason = g.word, ""
	return j.report(control)
}

// insist commits, and tries again a few times where a thread does not stop or
// can't be moved. All threads run afterwards.
func (j *job) insist(t *tracer, c *composed, l *loan) error {
	const tries = 3
	var err error
	for range tries {
		if err = j.commit(t, c, l); err == nil {
			return t.letGo() // nothing is left to write: nobody need stop again to be let go
		}
		err = errors.Join(err, t.letRun())
		var b *busy
		if !errors.As(err, &b) {
			return err
		}
	}
	return err
}

// report reads back what is in force now, from the ledger whose control page
// lies at an address.
func (j *job) report(control uint64) error {
	var err error
	if j.led, err = readLedgerAt(j.p, control); err != nil {
		return err
	}
	now, err := j.active()
	if err != nil {
		return err
	}
	j.result.Patches = j.patches(now)
	return nil
}

// claim attaches to the process's first thread, which keeps every other tracer
// away, and checks that nobody has changed the ledger since it was read.
func (j *job) claim(t *tracer) error {
	tids, err := t.files.listTasks()
	if err != nil {
		return err
	}
	slices.Sort(tids)
	for _, tid := range tids {
		th, err := t.seize(j.p.pid, tid)
		if err != nil {
			return err
		}
		if th != nil {
			t.claimed = th
			break
		}
	}
	if err := j.p.verify(); err != nil {
		return err
	}
	return j.sameLedger()
}

// sameLedger answers errLedgerChanged if the ledger is not the one that look
// has read. A process has no more than one, which stays where it is.
func (j *job) sameLedger() error {
	if j.led == nil {
		return j.noLedger()
	}
	now, err := readControl(j.p, j.led.address)
	var f *foreign
	switch {
	case errors.Is(err, ErrGone), errors.As(err, &f):
		return err
	case err != nil || now.sequence != j.led.sequence:
		return errLedgerChanged
	}
	return nil
}

// noLedger answers errLedgerChanged if there is a ledger, which look did not find.
func (j *job) noLedger() error {
	var err error
	if j.maps, err = j.p.mappings(); err != nil {
		return err
	}
	now, err := readLedger(j.p, j.maps)
	if err == nil && now != nil {
		return errLedgerChanged
	}
	return err
}

// errLedgerChanged: two programs work on one process.
var errLedgerChanged = fmt.Errorf("another program has changed its live patches meanwhile: %w", errBusy)

// controlPage reads the control page, and makes sure that the ledger is the one
// with this sequence number before it is overwritten: the thread that keeps
// others away can have ended.
func (j *job) controlPage(address, sequence uint64) ([]byte, error) {
	page := make([]byte, pageSize)
	if err := j.p.readAt(page, address); err != nil {
		return nil, err
	}
	now, err := decodeControl(page)
	if err != nil {
		return nil, err
	}
	if now.sequence != sequence {
		return nil, errLedgerChanged
	}
	return page, nil
}

// establish brings the region into the process, if there is one to bring, and
// enters it in the ledger. The process behaves as before.
func (j *job) establish(t *tracer, pr *prepared) (*composed, *loan, error) {
	left, err := j.installed()
	if err != nil {
		return nil, nil, err
	}
	if len(pr.load) == 0 {
		c, err := j.compose(pr, 0, region{}, left)
		if err != nil {
			return nil, nil, err
		}
		c.known = j.led.sequence
		return c, nil, nil
	}
	if j.led != nil { // else claim has just read them
		if j.maps, err = j.p.mappings(); err != nil {
			return nil, nil, err
		}
	}
	if err := j.runResolvers(t, pr.images); err != nil {
		return nil, nil, err
	}
	g := layOut(j.led == nil, len(pr.entries), j.recordRoom(pr), pr.images)
	c, l, err := j.mapRegion(t, pr, g, left)
	if err != nil {
		return nil, l, err
	}
	for _, p := range c.content {
		if err := j.p.writeAt(p.bytes, p.address); err != nil {
			return nil, l, fmt.Errorf("fill the mapping: %w", err)
		}
	}
	if l, err = j.construct(t, pr, c.base, g, l); err != nil {
		return nil, l, err
	}
	return c, l, j.publish(c)
}

// publish enters the new region in the ledger: from here on whoever comes after
// an injector that was killed finds the detours. The process runs, and may fork
// at any moment: see control.
func (j *job) publish(c *composed) error {
	c.known = c.published.sequence
	if j.led == nil {
		return j.p.writeAt(c.published.encode(), c.controlAt)
	}
	if _, err := j.controlPage(c.controlAt, j.led.sequence); err != nil {
		return err
	}
	var slots []byte
	for _, s := range c.published.slots[len(j.led.slots):] {
		slots = append(slots, leBytes(s)...)
	}
	if len(slots) > 0 {
		if err := j.p.writeAt(slots, slotAddress(c.controlAt, len(j.led.slots))); err != nil {
			return err
		}
	}
	return j.p.writeAt(c.published.statement(), c.controlAt+uint64(c.published.statementOffset()))
}

// mapRegion finds a place for the region and has the process map it. Another
// thread may map something there first: then the next place is tried.
func (j *job) mapRegion(t *tracer, pr *prepared, g region, left []*detour) (*composed, *loan, error) {
	const tries = 4
	home, err := j.arrange(pr, g.size)
	if err == nil {
		err = j.mapAnnexes(t, pr)
	}
	if err != nil {
		return nil, nil, err
	}
	candidates := places(j.maps, g.size, home)
	last := blockedf("there is no room of %d bytes within 2 GiB of the library", g.size)
	for _, base := range candidates[:min(len(candidates), tries)] {
		c, err := j.compose(pr, base, g, left)
		if errors.Is(err, errFar) {
			last = blockedf("there is no room within reach of all that is to be patched: %v", err)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		l, err := t.run(g.calls(base), tails(j.objs))
		if err == nil {
			return c, l, nil
		}
		var b blocked
		if !errors.As(err, &b) {
			return nil, l, err
		}
		last = err
	}
	return nil, nil, last
}

// commit stops the process and makes the change.
func (j *job) commit(t *tracer, c *composed, l *loan) error {
	deadline := time.Now().Add(j.in.opts.Timeout)
	err := t.stopAll(deadline, func(pc uint64) bool { return !c.changes(pc) && (l == nil || !l.stub.holds(pc)) })
	if err != nil {
		return err
	}
	if l != nil {
		if err := l.settle(); err != nil {
			return err
		}
	}
	page, err := j.controlPage(c.controlAt, c.known)
	if err := errors.Join(j.ctx.Err(), err, j.confirmUnused(t, deadline)); err != nil {
		return err
	}
	c.final.change(page)
	if err := j.moveThreads(t, c, deadline); err != nil {
		return err
	}
	return j.flip(c, page)
}

// flip writes the jumps, then the control page, then removes jumps that are no
// longer wanted. page is the control page as it will be. Every step leaves a
// process that works: a jump whose slot still leads to the old code changes
// nothing, and the control page is one write within one page.
// Precondition: all threads are stopped where flip may happen.
func (j *job) flip(c *composed, page []byte) error {
	for _, d := range c.install {
		if err := j.expect(d.Address, d.Original); err != nil {
			return err
		}
		if err := j.expectPadding(d); err != nil {
			return err
		}
	}
	for _, d := range c.remove {
		if err := j.expect(d.Address, d.Installed); err != nil {
			return err
		}
	}
	for i, d := range c.install {
		if err := j.install(d); err != nil {
			return errors.Join(err, j.undo(c.install[:i]))
		}
	}
	if err := j.p.writeAt(page, c.controlAt); err != nil {
		return errors.Join(err, j.undo(c.install))
	}
	return j.undo(c.remove)
}

// expect checks bytes before they are overwritten.
func (j *job) expect(address uint64, want []byte) error {
	have := make([]byte, len(want))
	if err := j.p.readAt(have, address); err != nil {
		return err
	}
	if !bytes.Equal(have, want) {
		return describeBytes(have, address)
	}
	return nil
}

// expectPadding checks the bytes before a padded entry: as shipped, or ours of
// an operation that got no further.
func (j *job) expectPadding(d *detour) error {
	have := make([]byte, len(d.Before))
	if err := j.p.readAt(have, d.Function-uint64(len(d.Before))); err != nil {
		return err
	}
	if !bytes.Equal(have, d.Before) && !bytes.Equal(have, d.BeforeOriginal) {
		return foreignf("somebody else has used the padding before the function at %#x: % x", d.Function, have)
	}
	return nil
}

// install writes the jump; nothing leads to the padding before that.
func (j *job) install(d *detour) error {
	if len(d.Before) > 0 {
		if err := j.p.writeAt(d.Before, d.Function-uint64(len(d.Before))); err != nil {
			return err
		}
	}
	return j.p.writeAt(d.Installed, d.Address)
}

// undo puts the original bytes back.
func (j *job) undo(detours []*detour) error {
	var errs []error
	for _, d := range detours {
		errs = append(errs, j.p.writeAt(d.Original, d.Address))
		if len(d.Before) > 0 {
			errs = append(errs, j.p.writeAt(d.BeforeOriginal, d.Function-uint64(len(d.Before))))
		}
	}
	return errors.Join(errs...)
}
