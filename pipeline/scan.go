package pipeline

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/lpbuild/lpbuild/elfinfo"
)

var (
	// ErrUnknown says that a scan could not tell of some builds.
	ErrUnknown = errors.New("not known")
	// ErrCVE says that something is no CVE, or that there is none to scan for.
	ErrCVE = errors.New("no CVE")
)

var cveShape = regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,19}$`)

// A ScanRow is what is known of one build and one CVE.
type ScanRow struct {
	CVE string `json:"cve"`
	// Patch is the live patch whose functions were compared, "" if none names
	// the CVE: then changelogs alone were read.
	Patch   string          `json:"patch,omitempty"`
	NEVRA   string          `json:"nevra"`
	Arch    string          `json:"arch"`
	Library string          `json:"library"`
	Soname  string          `json:"soname"`
	BuildID elfinfo.BuildID `json:"build_id"`
	Finding Finding         `json:"finding"`
	Reason  string          `json:"reason"`
}

// Scan says for every build and CVE whether the build is affected, in order of
// CVE, live patch and the records. No names mean every CVE that the comments of
// the live patches name. It reads records alone. The error wraps ErrCVE or
// ErrNoRecords.
func (p *Project) Scan(names []string) ([]ScanRow, error) {
	if len(names) == 0 {
		for _, patch := range p.Patches {
			names = append(names, cves(patch)...)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w to scan for: the comments of no description name one", ErrCVE)
	}
	names = slices.Clone(names)
	slices.Sort(names)
	for _, name := range names {
		if !cveShape.MatchString(name) {
			return nil, fmt.Errorf("%q: %w: CVE-YEAR-NUMBER is wanted", name, ErrCVE)
		}
	}
	records, err := p.records()
	if err != nil {
		return nil, err
	}
	evidence := NewEvidence(records)
	var rows []ScanRow
	for _, cve := range slices.Compact(names) {
		rows = append(rows, p.scan(evidence, cve)...)
	}
	return rows, nil
}

func (p *Project) scan(evidence *Evidence, cve string) []ScanRow {
	var rows []ScanRow
	add := func(patch string, file *caseFile, builds []*elfinfo.Build) {
		for _, b := range builds {
			v := file.verdict(b)
			rows = append(rows, ScanRow{CVE: cve, Patch: patch, NEVRA: b.NEVRA, Arch: b.Arch, Library: b.Library,
				Soname: b.Soname, BuildID: b.BuildID, Finding: v.Finding, Reason: v.Reason})
		}
	}
	for _, patch := range p.Patches {
		if slices.Contains(cves(patch), cve) {
			add(patch.Name, evidence.file(cve, &patch), targets(patch, evidence.builds))
		}
	}
	if len(rows) == 0 {
		add("", evidence.file(cve, nil), evidence.builds)
	}
	return rows
}

// ScanErr is nil if all rows are known; else it wraps ErrUnknown.
func ScanErr(rows []ScanRow) error {
	unknown := 0
	for _, r := range rows {
		if r.Finding == Unknown {
			unknown++
		}
	}
	if unknown == 0 {
		return nil
	}
	return fmt.Errorf("%d of %s: %w whether affected", unknown, count(len(rows), "build"), ErrUnknown)
}
