package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/lpbuild/lpbuild/injector"
)

// errNoPatch: the process runs a build that no container given is for.
var errNoPatch = errors.New("no live patch for that build")

// A processError is the failure of the one process that the command was for.
// What it wraps decides the exit code.
type processError struct{ result injector.Result }

// processFailure is nil if the result is normal for a process named by its id.
func processFailure(r injector.Result) error {
	if r.Word.OK() && r.Word != injector.NoPatchForBuild {
		return nil
	}
	return &processError{r}
}

// Error is "pid N: WORD: reason".
func (e *processError) Error() string {
	r := e.result
	pid := fmt.Sprintf("pid %d: ", r.PID)
	text := pid + string(r.Word)
	if reason := strings.TrimPrefix(r.Reason, pid); reason != "" {
		text += ": " + reason
	}
	return text
}

func (e *processError) Unwrap() error {
	if e.result.Word == injector.NoPatchForBuild {
		return errNoPatch
	}
	return e.result.Err
}

// failedProcesses is the failure of some of many processes. It wraps nothing:
// the exit code does not depend on why.
type failedProcesses struct {
	failed, all int
	first       error
}

// someFailure is nil if all results are normal.
func someFailure(results []injector.Result) error {
	e := &failedProcesses{all: len(results)}
	for _, r := range results {
		if r.Word.OK() {
			continue
		}
		if e.failed++; e.first == nil {
			e.first = &processError{r}
		}
	}
	if e.failed == 0 {
		return nil
	}
	return e
}

func (e *failedProcesses) Error() string {
	return fmt.Sprintf("%d of %d processes failed; the first: %v", e.failed, e.all, e.first)
}

// busy says that trying again may help.
func busy(err error) bool {
	var e *processError
	return errors.As(err, &e) && e.result.Word == injector.Busy
}
