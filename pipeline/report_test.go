package pipeline

import (
	"errors"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
)

func failedRow(patch, nevra string, err error) Row {
	r := Row{Patch: patch, NEVRA: nevra, Soname: "libx.so"}
	r.fail(err)
	return r
}

func TestReportErr(t *testing.T) {
	t.Parallel()
	good := Row{Patch: "p", NEVRA: "a-1-1.x86_64", Result: Built}
	missing := failedRow("p", "a-2-1.x86_64", elfinfo.ErrMissing)
	ambiguous := failedRow("p", "a-3-1.x86_64", elfinfo.ErrAmbiguous)
	tests := []struct {
		name string
		rows []Row
		is   error
		text string
	}{
		{name: "none", rows: nil},
		{name: "all good", rows: []Row{good, good}},
		{name: "skipped is not failed", rows: []Row{{Result: Skipped}}},
		{name: "the only one", rows: []Row{missing}, is: elfinfo.ErrMissing, text: "p: a-2-1.x86_64: not defined by this build"},
		{name: "all", rows: []Row{missing, missing}, is: elfinfo.ErrMissing,
			text: "all 2 failed; the first: p: a-2-1.x86_64: not defined by this build"},
		{name: "all, for different reasons", rows: []Row{missing, ambiguous}, is: ErrSomeFailed,
			text: "all 2 failed, for different reasons; the first: p: a-2-1.x86_64: not defined by this build"},
		{name: "some", rows: []Row{good, missing, good}, is: ErrSomeFailed,
			text: "1 of 3 failed; the first: p: a-2-1.x86_64: not defined by this build"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := Report{Rows: tt.rows}
			err := r.Err()
			if !errors.Is(err, tt.is) {
				t.Errorf("error %v, want %v", err, tt.is)
			}
			if err != nil && err.Error() != tt.text {
				t.Errorf("%q, want %q", err, tt.text)
			}
			if tt.is == ErrSomeFailed && errors.Is(err, elfinfo.ErrMissing) {
				t.Error("the reason of one row decides the exit code of all")
			}
		})
	}
}

func TestReasonDoesNotRepeatTheRow(t *testing.T) {
	t.Parallel()
	r := failedRow("p", "a-1-1.x86_64", errors.New("a-1-1.x86_64: libx.so: too short"))
	if r.Reason != "too short" {
		t.Errorf("reason %q", r.Reason)
	}
}
