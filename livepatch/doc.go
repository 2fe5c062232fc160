// Package livepatch holds what the side that builds live patches and the side
// that applies them share: the description language and the live-patch
// container, both directions.
//
// A description (FILE.dsc, or FILE.in before it is filled in for one build)
// says which functions of a target library are replaced by which functions of
// a container. [ParseDescription] reads it, [Description.Bytes] writes it in
// its canonical form, docs/description.md is its grammar.
//
// A container is an ET_DYN ELF file with the sections .ulp, .ulp.comments and
// .ulp.rev of libpulp, and .lpbuild, lpbuild's own: docs/container-format.md
// gives every byte. [Pack] makes one from a linked shared object and a
// description, [ReadContainer] reads one.
//
// # Invariants
//
//   - Whatever a decoder accepts, the encoder writes again byte for byte. The
//     one exception is the NUL that ends the name in a foreign .ulp.rev.
//   - [Embed] never changes a byte that is loaded, the three fields of the ELF
//     header that locate the section table aside: it keeps the file up to the
//     end of the last segment and lays out everything behind it anew, in the
//     order of the section table. Hence embedding the same sections again
//     gives the identical file.
//   - Equal input gives equal output: nothing depends on the time, on the
//     folder or on the order of a map.
//   - Input is hostile: every length is checked against what is there before
//     it is used, and nothing panics.
//
// The package is a leaf: it reads only the few ELF structures it needs, and
// imports neither elfinfo nor anything that compiles, fetches or patches.
package livepatch

import "errors"

// What callers branch on. Errors of this package wrap one of them where it applies.
var (
	// ErrNoMetadata: the file is no live-patch container: not ELF, or an ELF
	// file without .ulp.
	ErrNoMetadata = errors.New("no live-patch metadata")
	// ErrCorrupt: the file is truncated, or its parts contradict each other.
	ErrCorrupt = errors.New("corrupt")
	// ErrNewerFormat: the file was written by a newer lpbuild.
	ErrNewerFormat = errors.New("newer format than this version of lpbuild knows")
	// ErrUnsupported: an ELF file, but not a little-endian 64-bit shared object
	// for x86-64.
	ErrUnsupported = errors.New("not an x86-64 shared object")
)

// The limits that both directions hold.
const (
	// MaxContainer is the largest container file in bytes.
	MaxContainer = 64 << 20
	// MaxDescription is the largest description in bytes.
	MaxDescription = 1 << 20
	// MaxMetadata is the largest .ulp section in bytes: libpulp inserts the
	// container's path (at most PATH_MAX) with its length, and must hold the
	// result in a buffer of 512 KiB.
	MaxMetadata = 512<<10 - 4096 - 4
	// MaxInfo is the largest payload of .lpbuild in bytes.
	MaxInfo = 1 << 20

	maxLine    = 4096 // bytes of a line of a description, without its LF
	maxName    = 1024 // bytes of a symbol name
	maxItems   = 4096 // units, references or dependencies of one description
	maxBuildID = 64   // bytes of a build-id
)
