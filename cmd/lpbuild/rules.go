package main

import (
	"errors"
	"os"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
	"github.com/lpbuild/lpbuild/pipeline"
	"github.com/lpbuild/lpbuild/versions"
)

// Hints that several rules give.
const (
	retry     = "nothing was recorded; a mirror may be in the middle of an update: try again later, then ask who runs the repository"
	malformed = "it is what its maker signed, so trying again is of no use: tell who runs the repository"
	madeBy    = "a container is made by lpbuild make, lpbuild pack or ulp packer"
)

// rules are the exit codes and hints of lpbuild; the first that matches counts.
var rules = []cli.Rule{
	{Err: pipeline.ErrSomeFailed, Code: cli.SomeFailed},
	{Err: versions.ErrNotInStore, Code: cli.NotFound, Hint: "run lpbuild download: test needs the unpacked libraries, devel: the headers"},
	{Match: testNotPermitted, Code: cli.NotPermitted, Hint: "test traces processes: run it as root"},
	{Err: pipeline.ErrNoProject, Code: cli.Usage, Hint: "lpbuild init makes a project; -C DIR names one elsewhere"},
	{Err: pipeline.ErrNoPatch, Code: cli.Usage, Hint: "a live patch is a folder livepatches/NAME with NAME.c and NAME.in"},
	{Err: pipeline.ErrExists, Code: cli.Usage, Hint: "init overwrites nothing; use a new folder"},
	{Err: pipeline.ErrNoRecords, Code: cli.NotFound, Hint: "run lpbuild download"},
	{Err: pipeline.ErrNoRepositories, Code: cli.Usage, Hint: "add one under repositories:"},
	{Err: pipeline.ErrNewBuilds, Code: cli.NewBuilds, Hint: "run lpbuild download, then make and test"},
	{Err: pipeline.ErrCVE, Code: cli.Usage, Hint: "name one, or name it in a comment of a description: ! CVE-2022-37434"},
	{Err: pipeline.ErrUnknown, Code: cli.SomeFailed, Hint: "REASON says what is missing; a build that is not known to be fixed should get the live patch"},
	{Match: cli.As[*pipeline.ConfigError], Code: cli.Usage},
	{Match: cli.As[*livepatch.SyntaxError], Code: cli.Usage},
	{Err: versions.ErrKeyFile, Code: cli.Usage, Hint: "keys: in lpbuild.yaml are files with OpenPGP public keys, relative to the project"},
	{Err: versions.ErrRequest, Code: cli.Usage, Hint: "versions.lock knows repositories by name: give each its own in lpbuild.yaml"},
	{Err: versions.ErrAccept, Code: cli.Usage, Hint: "gpg --show-keys --with-fingerprint FILE shows the fingerprints of a key file"},
	{Err: versions.ErrCredentials, Code: cli.Usage, Hint: "docs/repositories.md says where credentials are and who may read them"},
	{Err: versions.ErrKeyChanged, Code: cli.BadSignature, Hint: "ask who runs the repository; compare the fingerprint with one from elsewhere; lpbuild download --accept-keys FINGERPRINT accepts it"},
	{Err: versions.ErrRollback, Code: cli.BadSignature, Hint: "a mirror may lag behind, or somebody hides newer builds: try another mirror or later; lpbuild download --accept-older REPOSITORY accepts it"},
	{Err: versions.ErrBuildIDTwice, Code: cli.BuildIDMismatch, Hint: "live patches go by build-id: ask the vendor which is right, and leave the other's repository out"},
	{Err: versions.ErrUntrustedKey, Code: cli.BadSignature, Hint: "if you trust the key, add its file to the repository's keys in lpbuild.yaml"},
	{Err: versions.ErrSignature, Code: cli.BadSignature, Hint: retry},
	{Err: versions.ErrTruncated, Code: cli.BadSignature, Hint: retry},
	{Err: versions.ErrChecksum, Code: cli.BadSignature, Hint: retry},
	{Err: versions.ErrMetadata, Code: cli.BadSignature, Hint: malformed},
	{Err: versions.ErrPackage, Code: cli.BadSignature, Hint: malformed},
	{Err: versions.ErrUnsafePath, Code: cli.BadSignature, Hint: "do not use this repository before you know who made that package"},
	{Err: versions.ErrSomeFailed, Code: cli.SomeFailed},
	{Err: versions.ErrNoVersions, Code: cli.NotFound, Hint: "package: and arches: in lpbuild.yaml say what is looked for"},
	{Err: versions.ErrNoLibrary, Code: cli.NotFound, Hint: "libraries: in lpbuild.yaml are paths in the package"},
	{Err: versions.ErrOffline, Code: cli.NotFound, Hint: "run it without --offline"},
	{Err: elfinfo.ErrNotRecorded, Code: cli.NotFound, Hint: "run lpbuild download again: it records what the descriptions name"},
	{Err: elfinfo.ErrAmbiguous, Code: cli.NotFound, Hint: "write NAME@SOURCE.c in the description to choose one, and run lpbuild download"},
	{Err: elfinfo.ErrMissing, Code: cli.NotFound, Hint: "nm -D LIBRARY lists what it exports; patches: and livepatches/ say what is patched"},
	{Err: builder.ErrNotFound, Code: cli.NotFound},
	{Err: elfinfo.ErrBuildID, Code: cli.BuildIDMismatch},
	{Err: builder.ErrNotLivepatchable, Code: cli.NotLivepatchable, Hint: "patch a function that calls it; lpbuild livepatchable LIBRARY lists what can be patched"},
	{Err: builder.ErrImport, Code: cli.NotLivepatchable, Hint: "the replacement may call only what every build offers; private symbols need a # line in the description"},
	{Err: builder.ErrCheck, Code: cli.NotLivepatchable, Hint: "lpbuild check --explain NAME, with the name in brackets, says what to do and when to waive it"},
	{Err: builder.ErrConflict, Code: cli.NotLivepatchable},
	{Err: builder.ErrReplacement, Code: cli.Usage},
	{Err: builder.ErrCacheInUse, Code: cli.Unexpected, Hint: "nothing was removed; do it when no lpbuild runs"},
	{Err: pipeline.ErrShards, Code: cli.BuildIDMismatch, Hint: "make every part with lpbuild make --shard I/N from the same project, and gather what their build/ hold"},
	{Err: pipeline.ErrNotMade, Code: cli.NotFound, Hint: "run lpbuild make"},
	{Err: pipeline.ErrContainer, Code: cli.BuildIDMismatch, Hint: "run lpbuild make again: what is in build/ is not what this project makes"},
	{Err: pipeline.ErrPackage, Code: cli.Usage},
	{Err: pipeline.ErrSource, Code: cli.Usage, Hint: "the source package holds sources only: move the file out of the project"},
	{Err: livepatch.ErrNoMetadata, Code: cli.Usage, Hint: madeBy},
	{Err: livepatch.ErrUnsupported, Code: cli.Usage, Hint: madeBy},
	{Err: livepatch.ErrNewerFormat, Code: cli.Usage, Hint: "use the lpbuild that made it"},
	{Err: livepatch.ErrCorrupt, Code: cli.BadSignature, Hint: "make the container again"},
	{Match: cli.As[*pipeline.TestError], Code: cli.SomeFailed},
}

// testNotPermitted: a test that failed for want of a permission.
func testNotPermitted(err error) bool {
	return cli.As[*pipeline.TestError](err) && (errors.Is(err, os.ErrPermission) || errors.Is(err, pipeline.ErrNotPermitted))
}
