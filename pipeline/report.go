package pipeline

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/elfinfo"
)

// ErrSomeFailed says that some rows of a report failed and others did not, or
// that all did for different reasons.
var ErrSomeFailed = errors.New("some failed")

// A Result is the word for what became of one build.
type Result string

// The results of Make, Check and Test.
const (
	Built   Result = "BUILT"   // a new container was written
	Cached  Result = "CACHED"  // the container was there already
	OK      Result = "OK"      // nothing would be refused
	Passed  Result = "PASSED"  // old, new and old behaviour seen
	Skipped Result = "SKIPPED" // not tried, for the reason given
	// NotConcerned is a build that the live patch does not concern, by what
	// lpbuild.yaml says of it.
	NotConcerned Result = "NOT-CONCERNED"
	Failed       Result = "FAILED"
)

// A Row is what became of one live patch for one build.
type Row struct {
	Patch     string          `json:"patch"`
	NEVRA     string          `json:"nevra"`
	Soname    string          `json:"soname"`
	BuildID   elfinfo.BuildID `json:"build_id"`
	Entry     string          `json:"entry,omitempty"` // padded, stock, or "mixed" for several functions
	Container string          `json:"container,omitempty"`
	Result    Result          `json:"result"`
	// Step is, for Test, the step that failed.
	Step string `json:"step,omitempty"`
	// Err is why the result is Failed, Reason its text or why nothing was done.
	Err    error  `json:"-"`
	Reason string `json:"reason,omitempty"`
	// Warnings are lines for the author of the patch that stop nothing.
	Warnings []string `json:"warnings,omitempty"`
	// Findings are what the checks found, refused or not.
	Findings []builder.Finding `json:"findings,omitempty"`
	// Group names the builds with the same code in what the patch replaces.
	Group string `json:"group,omitempty"`
	// What follows is for Test only. Seconds is how long it took,
	// StoppedMicroseconds how long the process was stopped at most, the other the
	// median over all rounds.
	Seconds                   float64 `json:"seconds,omitempty"`
	StoppedMicroseconds       int64   `json:"stopped_us,omitempty"`
	StoppedMedianMicroseconds int64   `json:"stopped_p50_us,omitempty"`
	// Rounds is each time that the patch was applied and reverted.
	Rounds []Round `json:"rounds,omitempty"`
	// Hammer is nil if test.c defines no lpbuild_hammer.
	Hammer *Hammer `json:"hammer,omitempty"`
	// Log is what happened, line by line, if the result is Failed.
	Log string `json:"log,omitempty"`
}

// A Round is one time that a live patch was applied and reverted: for how long
// the process was stopped, at most, by each.
type Round struct {
	ApplyMicroseconds  int64 `json:"apply_us"`
	RevertMicroseconds int64 `json:"revert_us"`
}

// warn adds a warning.
func (r *Row) warn(text string) { r.Warnings = append(r.Warnings, text) }

// sumUp derives the figures of all rounds from those of each.
func (r *Row) sumUp() {
	var stops []int64
	for _, round := range r.Rounds {
		stops = append(stops, round.ApplyMicroseconds)
		if round.RevertMicroseconds > 0 {
			stops = append(stops, round.RevertMicroseconds)
		}
	}
	if len(stops) == 0 {
		return
	}
	slices.Sort(stops)
	r.StoppedMicroseconds = stops[len(stops)-1]
	r.StoppedMedianMicroseconds = stops[(len(stops)-1)/2]
}

func newRow(patch Patch, build *elfinfo.Build) Row {
	return Row{
		Patch:   patch.Name,
		NEVRA:   build.NEVRA,
		Soname:  build.Soname,
		BuildID: build.BuildID,
		Entry:   entryKind(patch, build),
	}
}

// fail notes an error. The reason does not repeat what the row says already.
func (r *Row) fail(err error) {
	reason := strings.TrimPrefix(err.Error(), r.NEVRA+": ")
	r.Result, r.Err, r.Reason = Failed, err, strings.TrimPrefix(reason, r.Soname+": ")
}

// entryKind is how the functions of the patch begin in that build.
func entryKind(patch Patch, build *elfinfo.Build) string {
	var kind elfinfo.EntryKind
	for _, u := range patch.Description.Units {
		f, err := build.Function(u.Name())
		if err != nil {
			return ""
		}
		if kind != "" && f.Entry.Kind != kind {
			return "mixed"
		}
		kind = f.Entry.Kind
	}
	return string(kind)
}

// A Report is what became of every live patch for every build, in order of
// patch and then of the records.
type Report struct {
	Rows []Row
}

// containers are the base names of the containers, sorted and once each: builds
// with the same build-id share one.
func (r *Report) containers() []string {
	var names []string
	for _, row := range r.Rows {
		if row.Container != "" {
			names = append(names, filepath.Base(row.Container))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// reasons are why builds are refused, as far as a caller tells them apart.
var reasons = []error{
	builder.ErrNotFound, elfinfo.ErrAmbiguous, builder.ErrNotLivepatchable,
	builder.ErrImport, builder.ErrConflict, builder.ErrCheck,
}

// reason is the one of reasons that the row failed for, nil for any other.
func (r *Row) reason() error {
	for _, reason := range reasons {
		if errors.Is(r.Err, reason) {
			return reason
		}
	}
	return nil
}

// Err is nil if no row failed. If all failed for the same reason, it is the
// first failure, with that reason for errors.Is; else it wraps ErrSomeFailed.
func (r *Report) Err() error {
	failed, concerned, same := 0, 0, true
	var first *rowError
	for _, row := range r.Rows {
		if row.Result != NotConcerned {
			concerned++
		}
		if row.Result != Failed {
			continue
		}
		if failed++; first == nil {
			first = &rowError{row}
		}
		same = same && row.reason() == first.row.reason()
	}
	switch failed {
	case 0:
		return nil
	case concerned:
		switch {
		case failed == 1:
			return first
		case same:
			return fmt.Errorf("all %d failed; the first: %w", failed, first)
		}
		return &someFailed{fmt.Sprintf("all %d failed, for different reasons; the first: %v", failed, first)}
	}
	return &someFailed{fmt.Sprintf("%d of %d failed; the first: %v", failed, concerned, first)}
}

// rowError is the failure of one row.
type rowError struct{ row Row }

func (e *rowError) Error() string {
	parts := []string{e.row.Patch, e.row.NEVRA}
	if e.row.Step != "" {
		parts = append(parts, e.row.Step)
	}
	return strings.Join(append(parts, e.row.Reason), ": ")
}

func (e *rowError) Unwrap() error { return e.row.Err }

type someFailed struct{ text string }

func (e *someFailed) Error() string { return e.text }
func (e *someFailed) Unwrap() error { return ErrSomeFailed }
