package injector

import (
	"cmp"
	"slices"
)

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
		return j.decideRevert(g, now)
	case opReplace:
		if j.op.library != "" && len(matches) == 0 {
			return nil, nil
		}
		g.keep = slices.DeleteFunc(slices.Clone(now), func(a activeRef) bool { return j.superseded(j.led.container(a)) })
	}
	g.load = j.missing(g.keep, matches)
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

// decideRevert finds what a revert has to do.
func (j *job) decideRevert(g *goal, now []activeRef) (*goal, error) {
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
}

// missing are the matches, each once, that are not among the containers to keep.
func (j *job) missing(keep []activeRef, matches []match) []match {
	var load []match
	for _, m := range matches {
		kept := slices.ContainsFunc(keep, func(a activeRef) bool {
			c := j.led.container(a)
			return c.ID == m.c.ID && c.Bias == m.lib.bias
		})
		named := slices.ContainsFunc(load, func(o match) bool { return o.c.ID == m.c.ID && o.lib == m.lib })
		if !kept && !named {
			load = append(load, m)
		}
	}
	return load
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
