package versions

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions/rpmfile"
	"github.com/lpbuild/lpbuild/versions/rpmmd"
)

const (
	// LockFile is the lock's name in a project, RecordsDir the records' folder.
	LockFile   = "versions.lock"
	RecordsDir = "versions"
	// LockFormat is the version of the lock's schema; a reader refuses a larger one.
	LockFormat = 1

	maxLock = 64 << 20 // bytes
)

// A Lock lists every shipped build, oldest package first. It is JSON.
type Lock struct {
	Format   int   `json:"format"`
	Packages Names `json:"package"`
	// Repositories are what the builds' repositories are held to, by name.
	Repositories []Pin    `json:"repositories,omitempty"`
	Builds       []Locked `json:"builds"`
}

// Names are one name or several; in JSON one is a text and several are a list.
type Names []string

// MarshalJSON writes a text or a list.
func (n Names) MarshalJSON() ([]byte, error) {
	if len(n) == 1 {
		return json.Marshal(n[0])
	}
	return json.Marshal([]string(n))
}

// UnmarshalJSON reads a text or a list.
func (n *Names) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*n = Names{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(n))
}

// Locked is one build as one package shipped it.
type Locked struct {
	// NEVRA is NAME-[EPOCH:]VERSION-RELEASE.ARCH, Arch its last part.
	NEVRA string `json:"nevra"`
	Arch  string `json:"arch"`
	// Repository is the name of where it was found, Location the path there.
	Repository string `json:"repository"`
	Location   string `json:"location"`
	// Products are what the package ships in, sorted: those of all
	// repositories that have it.
	Products []string `json:"products,omitempty"`
	// RPMSHA256 is the package file's SHA-256 in hexadecimal, RPMSize its
	// length in bytes; the Debug ones are those of the debug symbols' package,
	// empty if there was none for this build. DebugRepository is empty too if
	// it is Repository.
	RPMSHA256       string `json:"rpm_sha256"`
	RPMSize         int64  `json:"rpm_size"`
	DebugRepository string `json:"debug_repository,omitempty"`
	DebugLocation   string `json:"debug_location,omitempty"`
	DebugRPMSHA256  string `json:"debug_rpm_sha256,omitempty"`
	DebugRPMSize    int64  `json:"debug_rpm_size,omitempty"`
	// SignedBy is the fingerprint of the primary key that signed the package,
	// DebugSignedBy that of the debug symbols' package.
	SignedBy      string `json:"signed_by,omitempty"`
	DebugSignedBy string `json:"debug_signed_by,omitempty"`
	// DebugSource says where debug symbols came from, DebugFileSHA256 is the
	// digest of the file that a debuginfod server gave; then DebugLocation is
	// where it did.
	DebugSource     elfinfo.DebugSource `json:"debug_source,omitempty"`
	DebugFileSHA256 string              `json:"debug_file_sha256,omitempty"`
	// Library is the absolute path in the package, Soname its DT_SONAME.
	Library string          `json:"library,omitempty"`
	Soname  string          `json:"soname,omitempty"`
	BuildID elfinfo.BuildID `json:"build_id,omitempty"`
	// BuildTime is in UTC; EndOfSupport is the last second, nil if unknown.
	BuildTime    time.Time  `json:"build_time"`
	EndOfSupport *time.Time `json:"end_of_support,omitempty"`
	// Removed says that no repository has the package any more. The build has
	// shipped all the same, and stays.
	Removed bool `json:"removed,omitempty"`
	// Record is the file name of the version record in RecordsDir. Packages
	// that ship the same build share one.
	Record string `json:"record,omitempty"`
	// Layers are what this run has checked, in the order of trust. The lock
	// has none: they are proved anew in every run.
	Layers []Layer `json:"-"`
}

// Supported says whether the build was still supported at the time t; one
// whose end is unknown is.
func (l Locked) Supported(t time.Time) bool {
	return l.EndOfSupport == nil || !t.After(*l.EndOfSupport)
}

// ReadLock reads the project's versions.lock. The error wraps fs.ErrNotExist
// if there is none.
func ReadLock(projectDir string) (*Lock, error) {
	name := filepath.Join(projectDir, LockFile)
	data, err := readFile(name, maxLock)
	if err != nil {
		return nil, err
	}
	lock, err := decodeLock(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return lock, nil
}

func decodeLock(data []byte) (*Lock, error) {
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, err
	}
	if head.Format < 1 || head.Format > LockFormat {
		return nil, fmt.Errorf("format %d, this program reads up to %d", head.Format, LockFormat)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	lock := new(Lock)
	if err := dec.Decode(lock); err != nil {
		return nil, err
	}
	if err := lock.check(); err != nil {
		return nil, err
	}
	return lock, nil
}

// check refuses what this program would not have written.
func (l *Lock) check() error {
	pinned := make(map[string]bool)
	for _, p := range l.Repositories {
		if err := p.check(); err != nil {
			return err
		}
		if pinned[p.Name] {
			return fmt.Errorf("repository %s is pinned twice", p.Name)
		}
		pinned[p.Name] = true
	}
	recorded := make(map[string]Locked)
	for _, b := range l.Builds {
		if err := b.check(); err != nil {
			return err
		}
		first, known := recorded[b.Record]
		if known && (first.BuildID != b.BuildID || first.Soname != b.Soname) {
			return fmt.Errorf("%s: its record %s is that of %s, which has another build-id", b.NEVRA, b.Record, first.NEVRA)
		}
		recorded[b.Record] = b
	}
	return nil
}

// check refuses what would lead out of the project or the store.
func (l Locked) check() error {
	if _, err := rpmfile.ParseNEVRA(l.NEVRA); err != nil {
		return err
	}
	if l.Record == "" || filepath.Base(l.Record) != l.Record || l.Record[0] == '.' {
		return fmt.Errorf("%s: record %q is no file name", l.NEVRA, l.Record)
	}
	if !isSHA256(l.RPMSHA256) || l.DebugRPMSHA256 != "" && !isSHA256(l.DebugRPMSHA256) {
		return fmt.Errorf("%s: not a SHA-256: %q, %q", l.NEVRA, l.RPMSHA256, l.DebugRPMSHA256)
	}
	if l.DebugFileSHA256 != "" && !isSHA256(l.DebugFileSHA256) {
		return fmt.Errorf("%s: not a SHA-256: %q", l.NEVRA, l.DebugFileSHA256)
	}
	return nil
}

func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func (l *Lock) encode() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(l)
	return b.Bytes(), err
}

// sort orders by architecture, package version, library and build-id.
func (l *Lock) sort() {
	slices.SortFunc(l.Builds, func(a, b Locked) int {
		x, _ := rpmfile.ParseNEVRA(a.NEVRA)
		y, _ := rpmfile.ParseNEVRA(b.NEVRA)
		return cmp.Or(
			cmp.Compare(a.Arch, b.Arch),
			rpmmd.Compare(x, y),
			cmp.Compare(a.NEVRA, b.NEVRA),
			cmp.Compare(a.Library, b.Library),
			cmp.Compare(a.BuildID, b.BuildID),
			cmp.Compare(a.RPMSHA256, b.RPMSHA256),
		)
	})
}

// ReadRecords reads the version records that the project's lock names, each
// once, in the lock's order. The error wraps fs.ErrNotExist if there is no
// lock, or a record is missing.
func ReadRecords(projectDir string) ([]*elfinfo.Build, error) {
	builds, _, err := readRecords(projectDir, decodeWhole)
	return builds, err
}

// writeFile replaces the file name atomically; unchanged content is not written.
func writeFile(name string, data []byte) error {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, data) {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".lpbuild-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
