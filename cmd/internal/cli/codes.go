package cli

import (
	"fmt"
	"strings"
)

// The exit codes of lpbuild, lpctl and rpm-helper. Codes 0 to 3 and 130 are
// about the run, the others about what it met.
const (
	Done             = 0
	Unexpected       = 1
	Usage            = 2
	SomeFailed       = 3
	NotFound         = 10
	NotLivepatchable = 11
	BuildIDMismatch  = 12
	NotPermitted     = 13
	TargetGone       = 14
	BadSignature     = 15
	NothingToApply   = 20
	NotCovered       = 21
	NewBuilds        = 22
	Interrupted      = 130
)

// A Code is one row of the exit-code table.
type Code struct {
	Code int
	// Meaning is a phrase for a person, without a full stop.
	Meaning string
}

// Codes is the whole table in ascending order: the one source of --help and of
// the manual pages.
var Codes = []Code{
	{Done, "done"},
	{Unexpected, "unexpected error"},
	{Usage, "wrong usage, or a project file that cannot be read"},
	{SomeFailed, "some versions or processes failed, or are not known (lpbuild scan), and the others are done, or all failed for different reasons; if all failed for one reason, its code"},
	{NotFound, "version, function or variable not found, or its name ambiguous"},
	{NotLivepatchable, "function not livepatchable, or the replacement needs what a build lacks"},
	{BuildIDMismatch, "build-id mismatch: a live patch for another build or library"},
	{NotPermitted, "not permitted"},
	{TargetGone, "target process gone"},
	{BadSignature, "bad signature or checksum, or a truncated file"},
	{NothingToApply, "nothing applicable (lpctl status)"},
	{NotCovered, "something is not covered (lpctl status)"},
	{NewBuilds, "new builds since the lock (lpbuild versions --new)"},
	{Interrupted, "interrupted"},
}

// Table is the exit-code table as text, one line a code, each indented by indent.
func Table(indent string) string {
	var b strings.Builder
	for _, c := range Codes {
		fmt.Fprintf(&b, "%s%3d  %s\n", indent, c.Code, c.Meaning)
	}
	return b.String()
}
