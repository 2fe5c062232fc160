package injector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/lpbuild/lpbuild/livepatch"
)

// A job is one operation on one process.
type job struct {
	// ctx ends when nobody waits for the result any more: from then on nothing
	// is changed.
	ctx    context.Context
	in     *Injector
	p      *process
	op     operation
	result *Result
	// concerned: the process maps a target library, or has a ledger where that
	// is what was asked for.
	concerned bool

	maps []mapping
	objs []*object
	led  *ledger
	// search finds frames of the code that changes; nil if there may be some.
	search *frameSearch
}

// A match is one container and the mapped library that it is for.
type match struct {
	c   *livepatch.Container
	lib *object
}

// run does the job and fills the result. An error means that nothing was
// changed that could be noticed.
func (j *job) run() error {
	err := j.look()
	if j.objs != nil && !j.op.sel.library(j.maps, j.objs) {
		return errNotSelected
	}
	if err != nil && j.op.see != nil && j.objs != nil {
		return errors.Join(err, j.op.see(j)) // what is mapped is known all the same
	}
	if err != nil {
		return err
	}
	now, err := j.active()
	if err != nil {
		return j.doubt(err)
	}
	j.result.Patches = j.patches(now)
	switch j.op.kind {
	case opStatus, opInspect:
		j.concerned = j.led != nil
		j.result.Word = NotApplied
		if len(j.result.Patches) > 0 {
			j.result.Word = Applied
			last := j.result.Patches[len(j.result.Patches)-1]
			j.result.Library, j.result.BuildID = last.Library, last.BuildID
		}
		if j.op.see != nil {
			return j.op.see(j)
		}
		return nil
	case opRevert:
		j.concerned = j.led != nil
	}
	g, err := j.decide(j.matches())
	if err == nil && g != nil {
		err = j.reach(g)
	}
	return j.doubt(err)
}

// doubt looks again before it is said that something stands in the way: it may
// have been the work of another injector, half done when it was looked at.
func (j *job) doubt(err error) error {
	var (
		isBlocked blocked
		isForeign *foreign
	)
	if !errors.As(err, &isBlocked) && !errors.As(err, &isForeign) {
		return err
	}
	maps, e := j.p.mappings()
	if e != nil {
		return err
	}
	if e := j.sameLedger(maps); errors.Is(e, errLedgerChanged) {
		return e
	}
	return err
}

// look reads what is to be known of the process, with nothing stopped.
func (j *job) look() error {
	var err error
	if j.maps, err = j.p.mappings(); err != nil {
		return err
	}
	if j.objs, err = j.in.objects(j.p, j.maps); err != nil {
		return err
	}
	j.led, err = readLedger(j.p, j.maps)
	if err != nil {
		j.concerned = true
	}
	return err
}

// active are the containers in force: those whose library is still mapped where
// it was when they were applied, with our jumps in it. A library that was closed
// and opened again often lies at the same place, as it was shipped.
func (j *job) active() ([]activeRef, error) {
	if j.led == nil {
		return nil, nil
	}
	var refs []activeRef
	for _, a := range j.led.active {
		in, err := j.inForce(j.led.container(a))
		if err != nil {
			return nil, err
		}
		if in {
			refs = append(refs, a)
		}
	}
	return refs, nil
}

// inForce says whether every function of a container has its jump.
func (j *job) inForce(c *recordContainer) (bool, error) {
	if !j.allMapped([]recordObject{{BuildID: c.BuildID, Bias: c.Bias}}) {
		return false, nil
	}
	for _, f := range c.Functions {
		d := j.detourFor(f.Address)
		if d == nil {
			return false, nil
		}
		if in, err := d.installed(j.p); err != nil || !in {
			return false, err
		}
	}
	return true, nil
}

// patches describes active containers for a result.
func (j *job) patches(refs []activeRef) []Patch {
	out := []Patch{}
	for _, a := range refs {
		c := j.led.container(a)
		p := Patch{
			ID: c.ID, Name: c.Name, Set: c.Set, SetVersion: c.SetVersion, Patch: c.Patch,
			Library: c.Soname, BuildID: c.BuildID, References: c.References,
		}
		for _, r := range j.led.records {
			if r.address == a.record {
				p.Time = r.Time
			}
		}
		for _, f := range c.Functions {
			p.Functions = append(p.Functions, f.Old)
		}
		out = append(out, p)
	}
	return out
}

// targetName is what a container says of its target.
func targetName(c *livepatch.Container) string {
	if c.Info != nil {
		return c.Info.Soname
	}
	return c.Apply.Target
}

// matches finds the containers that are for what the process maps, and sets the
// result for the case that there are none.
func (j *job) matches() []match {
	var out []match
	j.result.Word = NotLoaded
	for _, c := range j.op.set {
		name := targetName(c)
		for _, o := range j.objs {
			switch {
			case sameBuild(c, o):
				out = append(out, match{c, o})
				j.result.Library, j.result.BuildID = o.called(), o.buildID
			case o.called() == name && len(out) == 0:
				j.result.Word = NoPatchForBuild
				j.result.Library, j.result.BuildID = o.called(), o.buildID
				j.result.Reason = fmt.Sprintf("it runs build %s of %s, for which there is no container", o.buildID, name)
			}
		}
	}
	if len(out) > 0 {
		j.result.Word, j.result.Reason = "", ""
	}
	j.concerned = j.concerned || j.result.Word != NotLoaded
	return out
}

// called is the object's soname, or the base name of its file.
func (o *object) called() string {
	if o.soname != "" {
		return o.soname
	}
	return path.Base(o.path)
}

// A goal is what a process shall have in the end.
type goal struct {
	// keep are containers of earlier records, load those to bring in; in this
	// order they will be in force.
	keep []activeRef
	load []match
	// word is the result when it is reached.
	word Word
}

// decide finds what there is to do; nil means nothing, with the result set.
func (j *job) decide(matches []match) (*goal, error) {
	now, err := j.active()
	if err != nil {
		return nil, err
	}
	g := &goal{keep: now}
	switch j.op.kind {
	case opRevert:
		g.keep = slices.DeleteFunc(slices.Clone(now), func(a activeRef) bool { return j.op.match(j.led.container(a)) })
		j.result.Word, g.word = NotApplied, NotApplied
		j.result.Reason = ""
		if j.op.library != "" && !j.mapsLibrary(j.op.library) {
			j.result.Word = NotLoaded
		}
		if len(g.keep) < len(now) {
			g.word = Reverted
			c := j.led.container(now[len(now)-1])
			j.result.Library, j.result.BuildID = c.Soname, c.BuildID
		}
		return j.unlessClean(g, len(now))
	case opReplace:
		if j.op.library != "" && len(matches) == 0 {
			return nil, nil
		}
		g.keep = slices.DeleteFunc(slices.Clone(now), func(a activeRef) bool { return j.superseded(j.led.container(a)) })
	}
	for _, m := range matches {
		kept := slices.ContainsFunc(g.keep, func(a activeRef) bool {
			c := j.led.container(a)
			return c.ID == m.c.ID && c.Bias == m.lib.bias
		})
		named := slices.ContainsFunc(g.load, func(o match) bool { return o.c.ID == m.c.ID && o.lib == m.lib })
		if !kept && !named {
			g.load = append(g.load, m)
		}
	}
	switch {
	case len(g.load) > 0 && len(g.keep) < len(now):
		g.word = Replaced
	case len(g.load) > 0:
		g.word = Applied
	case len(g.keep) < len(now):
		g.word = Reverted
	default:
		if len(matches) > 0 {
			j.result.Word = Already
		}
		if j.op.kind == opCheck {
			return nil, nil
		}
		return j.unlessSettled(g, now)
	}
	if g.word != Reverted {
		if err := j.forbidden(); err != nil {
			return nil, err
		}
	}
	j.reuse(g)
	if j.op.kind == opCheck {
		j.result.Word = NotApplied
		return nil, j.rehearse(g)
	}
	return g, nil
}

// superseded says whether Replace takes an active container out of force: it is
// none of the new ones, but of the same set or for the same library.
func (j *job) superseded(c *recordContainer) bool {
	same := false
	for _, s := range j.op.set {
		if s.ID == c.ID {
			return false
		}
		same = same || targetName(s) == c.Soname || s.Info != nil && s.Info.Set == c.Set
	}
	if j.op.match != nil {
		return j.op.match(c)
	}
	return same
}

// reuse turns containers to load into ones to keep where an earlier operation
// has loaded them already and what they were bound to is still there.
func (j *job) reuse(g *goal) {
	if j.led == nil {
		return
	}
	g.load = slices.DeleteFunc(g.load, func(m match) bool {
		for _, r := range j.led.records {
			for i, c := range r.Containers {
				if j.reusable(m, &c) {
					g.keep = append(g.keep, activeRef{r.address, uint32(i)})
					return true
				}
			}
		}
		return false
	})
}

func (j *job) allMapped(imports []recordObject) bool {
	for _, im := range imports {
		if !slices.ContainsFunc(j.objs, func(o *object) bool { return o.buildID == im.BuildID && o.bias == im.Bias }) {
			return false
		}
	}
	return true
}

// unlessClean drops a goal that is reached already: nothing to revert, and no
// detour left behind by an injector that was killed.
func (j *job) unlessClean(g *goal, active int) (*goal, error) {
	if len(g.keep) < active {
		return g, nil
	}
	if !j.op.restore {
		return j.unlessSettled(g, g.keep)
	}
	left, err := j.installed()
	if err != nil || len(left) == 0 || j.led == nil {
		return nil, err
	}
	wanted := j.wanted(g, nil)
	for _, d := range left {
		if _, ok := wanted[d.Function]; !ok {
			return g, nil
		}
	}
	return nil, nil
}

// unlessSettled drops a goal that is reached already, and keeps it where slots
// lead elsewhere than what is active tells: a fork took a copy of the page in
// the midst of a change.
func (j *job) unlessSettled(g *goal, now []activeRef) (*goal, error) {
	left, err := j.installed()
	if err != nil {
		return nil, err
	}
	wanted := j.wanted(&goal{keep: now}, nil)
	for _, d := range left {
		to, ok := wanted[d.Function]
		if !ok {
			to = d.Old
		}
		if j.led.slots[d.Slot] != to {
			g.word = j.result.Word
			return g, nil
		}
	}
	return nil, nil
}

// installed are the detours whose jump is in place.
func (j *job) installed() ([]*detour, error) {
	if j.led == nil {
		return nil, nil
	}
	var out []*detour
	for _, d := range j.led.detours {
		if !d.sameObject(j.objs) {
			continue
		}
		in, err := d.installed(j.p)
		if err != nil {
			return nil, err
		}
		if in {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b *detour) int { return cmp.Compare(a.Address, b.Address) })
	return out, nil
}

// wanted maps the entry of every function that shall be redirected to the
// replacement that is newest. fresh is the record of what is being loaded; nil
// leaves that out.
func (j *job) wanted(g *goal, fresh *record) map[uint64]uint64 {
	to := make(map[uint64]uint64)
	for _, a := range g.keep {
		for _, f := range j.led.container(a).Functions {
			to[f.Address] = f.New
		}
	}
	if fresh != nil {
		for _, c := range fresh.Containers {
			for _, f := range c.Functions {
				to[f.Address] = f.New
			}
		}
	}
	return to
}
