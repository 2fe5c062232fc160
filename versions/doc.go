// Package versions finds out which builds of a library have shipped, and
// records all that building live patches for them needs.
//
// [Download] asks the repositories for every version of a package, fetches what
// the store lacks, verifies it, unpacks the libraries, finds their debug
// symbols by build-id, and writes two things to the project: versions.lock,
// which lists the builds, and one version record (elfinfo.Build) a build in
// versions/. Both are sorted and hold no times of their own: the same input
// gives the same bytes.
//
// Invariants:
//
//   - Nothing is used that is not verified: metadata by its signature, packages
//     by the metadata's digest and by their own signature, debug files by
//     build-id. A failed verification fails the whole run, and the project is
//     left as it was: files are written when all is known, each atomically,
//     the records before the lock that names them.
//   - Trust is pinned: the lock has the fingerprints of each repository's keys
//     and how new its metadata was. Another key, another signer or older metadata
//     fails the run unless Options say that it is meant; nothing ever asks.
//   - Any other trouble with one version fails that version alone
//     (ErrSomeFailed): the others are recorded, and what the lock had of it stays.
//   - Shipped is shipped: a build that has left the repositories stays in the
//     lock, marked as removed, and keeps its record. Processes still run it.
//   - The store is content-addressed and never trusted: a package in it is
//     compared with its digest and its signature in every run, and nothing that
//     is right is fetched twice.
package versions

import (
	"errors"

	"github.com/lpbuild/lpbuild/versions/keyring"
	"github.com/lpbuild/lpbuild/versions/rpmfile"
	"github.com/lpbuild/lpbuild/versions/rpmmd"
)

// What callers branch on. The first five are failed verifications.
var (
	// ErrSignature: a signature is missing, malformed or wrong.
	ErrSignature = keyring.ErrSignature
	// ErrUntrustedKey: signed, but not by a key of the repository's keys.
	ErrUntrustedKey = keyring.ErrUntrustedKey
	// ErrChecksum: bytes are not those that signed metadata describes.
	ErrChecksum = rpmfile.ErrChecksum
	// ErrTruncated: a file ends early.
	ErrTruncated = rpmfile.ErrTruncated
	// ErrMetadata: the metadata of a repository is not what its format says, or
	// unpacks to more than it may, although nobody changed it on the way.
	ErrMetadata = rpmmd.ErrFormat
	// ErrPackage: the same of a package.
	ErrPackage = rpmfile.ErrFormat
	// ErrUnsafePath: metadata or a payload names a place outside its own.
	ErrUnsafePath = rpmfile.ErrUnsafePath
	// ErrKeyFile: a file of a repository's keys cannot be read, or holds no key.
	ErrKeyFile = errors.New("key file")
	// ErrOffline: the network is forbidden and the store lacks something.
	ErrOffline = rpmmd.ErrOffline
	// ErrKeyChanged: the keys of a repository, or the one that signs it, are
	// not those that the lock pinned.
	ErrKeyChanged = errors.New("another key")
	// ErrRollback: a repository shows metadata older than the lock has seen.
	ErrRollback = errors.New("older than before")
	// ErrBuildIDTwice: two different files have one build-id.
	ErrBuildIDTwice = errors.New("one build-id, two different files")
	// ErrAccept: what is to be accepted is no key or repository of the request.
	ErrAccept = errors.New("nothing to accept")
	// ErrRequest: the request contradicts itself.
	ErrRequest = errors.New("request")
	// ErrNoVersions: no repository has, and the lock does not know, a version
	// of the package.
	ErrNoVersions = errors.New("no version of the package found")
	// ErrNoLibrary: a package holds no file that the request names.
	ErrNoLibrary = errors.New("no file of the package matches the libraries")
	// ErrSomeFailed: some versions could not be recorded; the others are.
	ErrSomeFailed = errors.New("some versions failed")
	// ErrNotInStore: a library is not in the store; Download puts it there.
	ErrNotInStore = errors.New("not in the store")
)

// failedVerification says that err must fail the whole run.
func failedVerification(err error) bool {
	for _, e := range []error{ErrSignature, ErrUntrustedKey, ErrChecksum, ErrTruncated, ErrUnsafePath, ErrKeyChanged, ErrRollback} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
