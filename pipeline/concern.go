package pipeline

import (
	"time"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/elfinfo"
)

// A Concern decides which builds the live patches of a project are for.
type Concern struct {
	project  *Project
	evidence *Evidence
	now      time.Time
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
	return s, nil
}
