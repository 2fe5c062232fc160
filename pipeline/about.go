package pipeline

import (
	"time"

	"github.com/lpbuild/lpbuild/pipeline/dist"
)

// About is what a report is about.
type About struct {
	// Name and Version are those of the project, Package is whose libraries it
	// patches.
	Name, Version, Package string
	// Time is SOURCE_DATE_EPOCH or, without it, the build time of the newest
	// shipped build: equal input gives equal reports but for what was measured.
	Time time.Time
}

// About is what reports of the project are about. ErrNoRecords is wrapped if
// there are no records.
func (p *Project) About() (About, error) {
	records, err := p.records()
	if err != nil {
		return About{}, err
	}
	t, err := dist.SourceDate(newest(records))
	return About{Name: p.Name, Version: p.Version, Package: p.Package.String(), Time: t}, err
}

// timestamp is Time as ISO 8601 without a zone, as JUnit wants it.
func (a About) timestamp() string {
	if a.Time.IsZero() {
		return ""
	}
	return a.Time.UTC().Format("2006-01-02T15:04:05")
}
