package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions"
)

// synthetic makes a project of n builds: those of the real one over and over,
// with names and build-ids of their own.
func (f *farm) synthetic(n int) (project string, err error) {
	real := f.path("real")
	project = f.path(fmt.Sprint(n))
	for _, name := range []string{"lpbuild.yaml", "keys", "livepatches"} {
		if err := copyTree(filepath.Join(real, name), filepath.Join(project, name)); err != nil {
			return "", err
		}
	}
	records, err := versions.ReadRecords(real)
	if err != nil {
		return "", err
	}
	lock, err := versions.ReadLock(real)
	if err != nil {
		return "", err
	}
	if len(lock.Builds) != len(records) {
		return "", fmt.Errorf("%d rows in the lock, %d records", len(lock.Builds), len(records))
	}
	rows := lock.Builds
	lock.Builds = nil
	if err := os.Mkdir(filepath.Join(project, versions.RecordsDir), 0o777); err != nil {
		return "", err
	}
	for i := range n {
		row, err := vary(project, rows[i%len(rows)], *records[i%len(rows)], i)
		if err != nil {
			return "", err
		}
		lock.Builds = append(lock.Builds, row)
	}
	data, err := json.MarshalIndent(lock, "", "  ")
	if err != nil {
		return "", err
	}
	return project, os.WriteFile(filepath.Join(project, versions.LockFile), data, 0o666)
}

// vary writes the record of build i, which is another one under its own name,
// and returns its row in the lock.
func vary(project string, row versions.Locked, record elfinfo.Build, i int) (versions.Locked, error) {
	name, arch, _ := strings.Cut(record.NEVRA, ".x86_64")
	record.NEVRA = fmt.Sprintf("%s.%d.x86_64%s", name, i, arch)
	id := sha256.Sum256([]byte(record.NEVRA))
	record.RPMSHA256 = hex.EncodeToString(id[:])
	record.BuildID = elfinfo.BuildID(record.RPMSHA256[:40])
	row.NEVRA, row.RPMSHA256, row.BuildID = record.NEVRA, record.RPMSHA256, record.BuildID
	row.Record = record.NEVRA + ".json"
	var text bytes.Buffer
	if err := record.Encode(&text); err != nil {
		return row, err
	}
	return row, os.WriteFile(filepath.Join(project, versions.RecordsDir, row.Record), text.Bytes(), 0o666)
}

// copyTree copies a file or a folder.
func copyTree(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	data, err := os.ReadFile(from)
	return errors.Join(err, os.MkdirAll(filepath.Dir(to), 0o777), os.WriteFile(to, data, 0o666))
}
