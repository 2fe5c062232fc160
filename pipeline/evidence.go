package pipeline

import "github.com/lpbuild/lpbuild/elfinfo"

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
}

// NewEvidence prepares verdicts over builds, which must be all records of the
// project: what is known of one build decides about others.
func NewEvidence(builds []*elfinfo.Build) *Evidence {
	return &Evidence{builds: builds}
}

// Verdict says whether a build has the faults that the patch repairs: the CVEs
// that the comments of its description name. It is Fixed only if every one of
// them is. The build must be a target of the patch. docs/scan.md has the rules.
//
// It is safe for use by several goroutines.
func (e *Evidence) Verdict(patch Patch, build *elfinfo.Build) Verdict {
	return Verdict{Finding: Unknown, Reason: "not scanned"}
}
