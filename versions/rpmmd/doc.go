// Package rpmmd reads RPM-MD repositories: which packages there are, and the
// packages themselves, both verified.
//
// Trust goes down a chain. repodata/repomd.xml is signed (repomd.xml.asc, a
// detached OpenPGP signature); it holds size and digest of primary.xml, both
// compressed and open; primary.xml holds size and digest of every package.
// Nothing that a link of the chain did not vouch for is returned, and no more
// is read or unpacked than the link above says there is. A package's own
// signature is the caller's to check (package rpmfile).
//
// A repository is http(s)://, file://, or a folder of RPM files without
// repodata; for the last one only the packages' own signatures vouch.
package rpmmd

import (
	"errors"

	"github.com/lpbuild/lpbuild/versions/rpmfile"
)

var (
	// ErrChecksum says that a file's size or digest is not what signed metadata
	// says. It is rpmfile's, for both mean the same to a caller.
	ErrChecksum = rpmfile.ErrChecksum
	// ErrUnsafePath says that metadata names a file outside the repository.
	ErrUnsafePath = rpmfile.ErrUnsafePath
	// ErrTruncated says that a file ends early.
	ErrTruncated = rpmfile.ErrTruncated
	// ErrFormat says that metadata cannot be understood.
	ErrFormat = errors.New("malformed repository metadata")
	// ErrOffline says that what is asked for needs the network.
	ErrOffline = errors.New("not available offline")
	// ErrNotFound says that the repository has no such file.
	ErrNotFound = errors.New("not in the repository")
)
