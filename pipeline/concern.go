package pipeline

import (
	"slices"
	"time"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions"
)

// A Concern decides which builds the live patches of a project are for.
type Concern struct {
	project  *Project
	evidence *Evidence
	now      time.Time
	headers  *versions.Headers // nil until they are asked for
}

// NewConcern prepares decisions; builds must be all records of the project.
func (p *Project) NewConcern(builds []*elfinfo.Build) *Concern {
	return &Concern{project: p, evidence: NewEvidence(builds), now: buildDate()}
}

// Apart is why a patch does not concern a build of its library, "" if it does.
func (c *Concern) Apart(patch Patch, b *elfinfo.Build) string {
	if r := patch.Config.Versions; !r.Contains(b.NEVRA) {
		return "for versions " + r.String()
	}
	if reason := c.project.Support.leftOut(b, c.now); reason != "" {
		return reason
	}
	if patch.Config.UnlessFixed {
		if v := c.evidence.Verdict(patch, b); v.Finding == Fixed {
			return "fixed already: " + v.Reason
		}
	}
	return ""
}

// selection says to the builder what a patch has to do with a build.
func (c *Concern) selection(patch Patch, b *elfinfo.Build) (builder.Selection, error) {
	s := builder.Selection{Apart: c.Apart(patch, b)}
	if s.Apart != "" {
		return s, nil
	}
	for _, d := range patch.Config.Defines {
		if d.Versions.Contains(b.NEVRA) {
			s.Defines = append(s.Defines, d.Set...)
		}
	}
	if patch.Config.Devel == "" {
		return s, nil
	}
	include, err := c.include(patch.Config.Devel, b)
	s.Headers = []string{include}
	return s, err
}

// include is the folder with the headers of a build.
func (c *Concern) include(devel string, b *elfinfo.Build) (dir string, err error) {
	if c.headers == nil {
		if c.headers, err = versions.ReadHeaders(c.project.Dir); err != nil {
			return "", err
		}
	}
	return c.headers.Include(devel, b.NEVRA)
}

// develPackages are the packages with headers that live patches ask for.
func (p *Project) develPackages() []string {
	var names []string
	for _, patch := range p.Patches {
		if name := patch.Config.Devel; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
