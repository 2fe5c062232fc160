// Package rpmfile reads RPM package files: identity, signatures, payload.
//
// A package is a lead (96 bytes), a signature header padded to 8 bytes, the
// main header, and the compressed cpio archive. The signature header is not
// protected by anything; the main header is what is signed, and holds a digest
// of the compressed payload (tag 5092), so one signature covers all. [Package.Verify]
// follows that chain, and refuses a package where it has a gap.
//
// The parser is the package's own because the input is hostile until it is
// verified and verification needs the parser: every length is checked against
// the file's size before memory is allocated for it, nothing panics, and what
// the payload says of a file must agree with what the signed header says.
// The header parsers of published modules take some of that on trust: an empty
// NAME array or unequal file arrays end in an index out of range.
//
// [Package.Extract] writes only what its caller asks for, below one directory
// and never outside it: names with "..", symlinks that would leave, writing
// through a symlink, device nodes, and set-user-id files are errors.
package rpmfile

import "errors"

var (
	// ErrTruncated says that the file ends before its own structure does.
	ErrTruncated = errors.New("truncated")
	// ErrFormat says that the file is not an RPM, or contradicts itself.
	ErrFormat = errors.New("malformed RPM")
	// ErrChecksum says that bytes differ from a digest recorded for them.
	ErrChecksum = errors.New("checksum mismatch")
	// ErrUnsafePath says that the payload holds what must not be unpacked: a
	// path or symlink that leaves the package, a device, a set-user-id file.
	ErrUnsafePath = errors.New("unsafe path")
	// ErrNotFound says that the package holds no such file.
	ErrNotFound = errors.New("not in the package")
)
