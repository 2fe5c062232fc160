package pipeline

import (
	"slices"
	"strings"
	"sync"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// A Finding is the word for what is known of one build and one CVE.
type Finding string

// The findings of a scan.
const (
	Affected Finding = "AFFECTED" // made before the fix, or the same code as a build that was
	Fixed    Finding = "FIXED"    // there is evidence of the fix
	Absent   Finding = "ABSENT"   // the build has none of the functions
	Unknown  Finding = "UNKNOWN"  // none of the above can be shown
)

// A Verdict says whether a build has the fault that a live patch repairs.
type Verdict struct {
	Finding Finding
	// Reason is one line for a person: what shows it.
	Reason string
}

// Evidence is what the records of all builds say, so that builds can be
// compared with each other.
type Evidence struct {
	builds []*elfinfo.Build

	mu    sync.Mutex
	cases map[caseKey]*caseFile
}

// caseKey is one question: patch is the name of a live patch, "" if changelogs
// alone are asked.
type caseKey struct{ cve, patch string }

// NewEvidence prepares verdicts over builds, which must be all records of the
// project: what is known of one build decides about others.
func NewEvidence(builds []*elfinfo.Build) *Evidence {
	return &Evidence{builds: builds, cases: make(map[caseKey]*caseFile)}
}

// Verdict says whether a build has the faults that the patch repairs: the CVEs
// that the comments of its description name. It is Fixed only if every one of
// them is. The build must be a target of the patch, and one of NewEvidence's.
// docs/scan.md has the rules.
//
// It is safe for use by several goroutines.
func (e *Evidence) Verdict(patch Patch, build *elfinfo.Build) Verdict {
	names := cves(patch)
	if len(names) == 0 {
		return Verdict{Unknown, "the comments of " + patch.Description.File + " name no CVE"}
	}
	var worst Verdict
	for _, cve := range names {
		v := e.file(cve, &patch).verdict(build)
		if worst.Finding == "" || severity(v.Finding) > severity(worst.Finding) {
			worst = Verdict{v.Finding, cve + ": " + v.Reason}
		}
	}
	return worst
}

// severity orders findings by how much there is to do.
func severity(f Finding) int {
	return slices.Index([]Finding{Fixed, Absent, Unknown, Affected}, f)
}

// cves are the CVEs that the comments of a patch name.
func cves(patch Patch) []string {
	return slices.DeleteFunc(livepatch.ScanReferences(patch.Description.Comments), func(ref string) bool {
		return !strings.HasPrefix(ref, "CVE-")
	})
}

// file returns what is known of a CVE; patch is nil if changelogs alone are asked.
func (e *Evidence) file(cve string, patch *Patch) *caseFile {
	key := caseKey{cve: cve}
	if patch != nil {
		key.patch = patch.Name
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cases[key] == nil {
		e.cases[key] = newCaseFile(cve, patch, e.builds)
	}
	return e.cases[key]
}
