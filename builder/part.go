package builder

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// part is one live patch of the set, as far as it does not depend on a build.
type part struct {
	patch   Patch
	desc    *livepatch.Description
	depends [][32]byte
}

// cell is one live patch in one build that it concerns.
type cell struct {
	*part
	index   int      // of outcomes
	variant *variant // nil if there is an err
	// findings are what the checks found, err why the patch cannot be in that
	// build, as soon as they are known.
	findings []Finding
	err      error
}

// site is one build with the live patches that concern it.
type site struct {
	build *elfinfo.Build
	cells []*cell
}

// readParts reads the descriptions.
func (m *maker) readParts(patches []Patch) error {
	for _, p := range patches {
		template, err := os.ReadFile(p.templateFile())
		if err != nil {
			return err
		}
		d, err := livepatch.ParseDescription(filepath.Base(p.templateFile()), template)
		if err != nil {
			return err
		}
		part := &part{patch: p, desc: d}
		if err := part.readDepends(); err != nil {
			return err
		}
		m.parts = append(m.parts, part)
	}
	return nil
}

// readDepends reads the patch ids of the patches that must be applied before.
func (p *part) readDepends() error {
	for _, name := range p.desc.Depends {
		data, err := os.ReadFile(under(p.patch.Dir, name))
		if err != nil {
			return fmt.Errorf("dependency: %w", err)
		}
		id, err := livepatch.ReadPatchID(name, data)
		if err != nil {
			return fmt.Errorf("dependency: %w", err)
		}
		p.depends = append(p.depends, id)
	}
	return nil
}

// assign asks each patch what it has to do with each build of its library, and
// makes the outcomes: by patch, then by build.
func (m *maker) assign(builds []*elfinfo.Build) []*site {
	sites := make([]*site, len(builds))
	for i, b := range builds {
		sites[i] = &site{build: b}
	}
	for _, p := range m.parts {
		for _, s := range sites {
			if IsTarget(p.desc.Target, s.build) {
				m.assignOne(p, s)
			}
		}
	}
	return sites
}

func (m *maker) assignOne(p *part, s *site) {
	o := Outcome{Patch: p.patch.Name, Build: s.build}
	var selection Selection
	var err error
	if p.patch.Select != nil {
		selection, err = p.patch.Select(s.build)
	}
	o.Apart = selection.Apart
	m.outcomes, m.done = append(m.outcomes, o), append(m.done, false)
	if o.Apart != "" && err == nil {
		m.report(len(m.outcomes)-1, o)
		return
	}
	c := &cell{part: p, index: len(m.outcomes) - 1, err: err}
	if err == nil {
		c.variant = m.variantOf(p, selection)
	}
	s.cells = append(s.cells, c)
}
