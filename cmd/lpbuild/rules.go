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

// rules are the exit codes and hints of lpbuild; the first that matches counts.
var rules = []cli.Rule{
	{Err: pipeline.ErrSomeFailed, Code: cli.SomeFailed},
	{Err: versions.ErrNotInStore, Code: cli.NotFound, Hint: "run lpbuild download: test needs the unpacked libraries"},
	{Match: testNotPermitted, Code: cli.NotPermitted, Hint: "test traces processes: run it as root"},
	{Match: cli.As[*pipeline.TestError], Code: cli.SomeFailed},
	{Err: pipeline.ErrNoProject, Code: cli.Usage, Hint: "lpbuild init makes a project; -C DIR names one elsewhere"},
	{Err: pipeline.ErrNoPatch, Code: cli.Usage, Hint: "a live patch is a folder livepatches/NAME with NAME.c and NAME.in"},
	{Err: pipeline.ErrExists, Code: cli.Usage, Hint: "init overwrites nothing; use a new folder"},
	{Err: pipeline.ErrNoRecords, Code: cli.NotFound, Hint: "run lpbuild download"},
	{Err: pipeline.ErrNoRepositories, Code: cli.Usage, Hint: "add one under repositories:"},
	{Err: pipeline.ErrNewBuilds, Code: cli.NewBuilds, Hint: "run lpbuild download, then make and test"},
	{Match: cli.As[*pipeline.ConfigError], Code: cli.Usage},
	{Match: cli.As[*livepatch.SyntaxError], Code: cli.Usage},
	{Err: versions.ErrSignature, Code: cli.BadSignature},
	{Err: versions.ErrUntrustedKey, Code: cli.BadSignature, Hint: "if you trust the key, add its file to the repository's keys in lpbuild.yaml"},
	{Err: versions.ErrChecksum, Code: cli.BadSignature},
	{Err: versions.ErrTruncated, Code: cli.BadSignature, Hint: "run lpbuild download again"},
	{Err: versions.ErrUnsafePath, Code: cli.BadSignature},
	{Err: versions.ErrSomeFailed, Code: cli.SomeFailed},
	{Err: versions.ErrNoVersions, Code: cli.NotFound, Hint: "package: and arches: in lpbuild.yaml say what is looked for"},
	{Err: versions.ErrNoLibrary, Code: cli.NotFound, Hint: "libraries: in lpbuild.yaml are paths in the package"},
	{Err: versions.ErrOffline, Code: cli.NotFound, Hint: "run it without --offline"},
	{Err: elfinfo.ErrNotRecorded, Code: cli.NotFound, Hint: "run lpbuild download again: it records what the descriptions name"},
	{Err: elfinfo.ErrMissing, Code: cli.NotFound},
	{Err: elfinfo.ErrBuildID, Code: cli.BuildIDMismatch},
	{Err: livepatch.ErrCorrupt, Code: cli.BadSignature},
	{Err: builder.ErrNotFound, Code: cli.NotFound},
	{Err: elfinfo.ErrNotLivepatchable, Code: cli.NotLivepatchable},
	{Err: builder.ErrNotLivepatchable, Code: cli.NotLivepatchable},
}

// testNotPermitted: a test that failed for want of a permission.
func testNotPermitted(err error) bool {
	return cli.As[*pipeline.TestError](err) && (errors.Is(err, os.ErrPermission) || errors.Is(err, pipeline.ErrNotPermitted))
}
