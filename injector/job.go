package injector

import (
	"context"
	"errors"
	"fmt"
	"path"

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
	if e := j.sameLedger(); errors.Is(e, errLedgerChanged) {
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
