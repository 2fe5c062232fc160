package ulp

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/injector"
)

// A code is an error of libpulp: up to 255 one of the system's, above its own
// (libpulp's error.h).
type code int

const (
	none         = code(0)
	eUnknown     = code(256)
	eBuildID     = code(257)
	eNoMeta      = code(269)
	eState       = code(270)
	eNotApplied  = code(272)
	eApplied     = code(275)
	eNoTargetLib = code(276)
	eWildNoMatch = code(279)
	eUsrBlocked  = code(280)
	eNoPatch     = code(284)
	eSysPerm     = code(unix.EPERM)
	eSysGone     = code(unix.ESRCH)
	eSysAgain    = code(unix.EAGAIN)
	eSysNoSys    = code(unix.ENOSYS)
)

var codeTexts = map[code]string{
	eUnknown:     "Unknown error",
	eBuildID:     "Build ID mismatch",
	eNoMeta:      "No metadata in .so",
	eState:       "State update failure",
	eNotApplied:  "Patch not applied",
	eApplied:     "Patch already applied",
	eNoTargetLib: "Target library not loaded",
	eWildNoMatch: "No file matched wildcard",
	eUsrBlocked:  "Livepatching blocked by user request",
	eNoPatch:     "No patches installed",
}

// String is libpulp's text for the error, or the system's.
func (c code) String() string {
	if text, ok := codeTexts[c]; ok {
		return text
	}
	return errnoText(unix.Errno(c))
}

// skipped says that the process needs nothing, which is no failure.
func (c code) skipped() bool {
	switch c {
	case eBuildID, eNoTargetLib, eUsrBlocked, eWildNoMatch, eApplied, eNoPatch, eSysGone:
		return true
	}
	return false
}

// minor says that a container is for something else than what the process runs.
func (c code) minor() bool { return c == eBuildID || c == eNoTargetLib }

// exitStatus joins the errors of all processes, as libpulp does, but never
// makes a success of a failure whose low byte is zero.
func exitStatus(codes code) int {
	status := int(codes) & 0xff
	if status == 0 && codes != 0 {
		status = 1
	}
	return status
}

// codeOf translates a failure of the engine. What libpulp has no word for is an
// unknown error; the engine's reason is printed with it.
func codeOf(r injector.Result) code {
	switch r.Word {
	case injector.NotLoaded:
		return eNoTargetLib
	case injector.NoPatchForBuild:
		return eBuildID
	case injector.Busy:
		return eSysAgain
	case injector.Gone:
		return eSysGone
	case injector.Foreign:
		return eState
	}
	switch {
	case r.Word.OK():
		return none
	case errors.Is(r.Err, injector.ErrDisabled):
		return eUsrBlocked
	case errors.Is(r.Err, injector.ErrPermission):
		return eSysPerm
	}
	return eUnknown
}
