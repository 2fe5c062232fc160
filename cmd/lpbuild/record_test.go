package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions"
)

// record is "record PROJECT LIBRARY NEVRA NAME...": it puts the version record
// of a library into a project, as download would.
func record(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: record PROJECT LIBRARY NEVRA NAME...")
	}
	project, library, nevra, names := ts.MkAbs(args[0]), ts.MkAbs(args[1]), args[2], args[3:]
	f, err := elfinfo.Open(library)
	ts.Check(err)
	defer f.Close()
	build, err := elfinfo.NewBuild(f, nil, names)
	ts.Check(err)
	build.NEVRA, build.Arch = nevra, "x86_64"
	build.Package, _, _ = strings.Cut(nevra, "-")
	build.Library = "/usr/lib64/" + filepath.Base(library)
	build.RPMSHA256 = fmt.Sprintf("%064x", sha256.Sum256([]byte(nevra)))
	build.BuildTime = time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	var out bytes.Buffer
	ts.Check(build.Encode(&out))
	dir := filepath.Join(project, versions.RecordsDir)
	ts.Check(os.MkdirAll(dir, 0o777))
	name := nevra + "_" + build.Soname + ".json"
	ts.Check(os.WriteFile(filepath.Join(dir, name), out.Bytes(), 0o666))

	lock, err := versions.ReadLock(project)
	if errors.Is(err, fs.ErrNotExist) {
		lock, err = &versions.Lock{Format: versions.LockFormat, Packages: versions.Names{build.Package}}, nil
	}
	ts.Check(err)
	lock.Builds = append(lock.Builds, versions.Locked{
		NEVRA: nevra, Arch: build.Arch, RPMSHA256: build.RPMSHA256, Library: build.Library, Soname: build.Soname,
		BuildID: build.BuildID, BuildTime: build.BuildTime, Record: name,
	})
	text, err := json.Marshal(lock)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(project, versions.LockFile), text, 0o666))
}
