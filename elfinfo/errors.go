package elfinfo

import "errors"

// What callers branch on. Every error of this package that concerns the
// contents of a file, rather than the reading of it, wraps one of these.
var (
	// ErrFormat: not an ELF file or record, or one that is damaged or newer than this code.
	ErrFormat = errors.New("bad format")
	// ErrMachine: an ELF file, but not for 64-bit little-endian x86.
	ErrMachine = errors.New("not an x86-64 ELF file")
	// ErrBuildID: a debug file belongs to another build, or a build-id is missing.
	ErrBuildID = errors.New("build-id mismatch")
	// ErrNotRecorded: the name was never looked up in this build.
	ErrNotRecorded = errors.New("not recorded")
	// ErrMissing: the build does not define the name.
	ErrMissing = errors.New("not defined by this build")
	// ErrAmbiguous: several functions or variables have the name.
	ErrAmbiguous = errors.New("ambiguous name")
	// ErrNotLivepatchable: the function's entry cannot be redirected.
	ErrNotLivepatchable = errors.New("not livepatchable")
)
