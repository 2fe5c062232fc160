package versions

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// Records are the records of a project without their symbols, which are most
// of them: of a thousand builds of a libc, 20 MB instead of 400.
type Records struct {
	// Builds are the records in order of the lock. Symbols and Imports are
	// empty; see Complete.
	Builds []*elfinfo.Build

	dir   string
	files map[*elfinfo.Build]Locked
}

// OpenRecords reads the records that the project's lock lists, several at a
// time. Errors are those of ReadRecords.
func OpenRecords(projectDir string) (*Records, error) {
	builds, locked, err := readRecords(projectDir, elfinfo.DecodeBrief)
	if err != nil {
		return nil, err
	}
	r := &Records{Builds: builds, dir: projectDir, files: make(map[*elfinfo.Build]Locked, len(builds))}
	for i, b := range builds {
		r.files[b] = locked[i]
	}
	return r, nil
}

// Complete reads the symbols and imports of wanted names into a build of r. It
// is safe for use by several goroutines, for different builds.
func (r *Records) Complete(b *elfinfo.Build, wanted func(name string) bool) error {
	l, ok := r.files[b]
	if !ok {
		return fmt.Errorf("%s: %w: not of this project", b.NEVRA, elfinfo.ErrNotRecorded)
	}
	name := filepath.Join(r.dir, RecordsDir, l.Record)
	buf := takeBuffer()
	defer buf.release()
	data, err := readInto(buf, name, maxRecordFile)
	if err != nil {
		return err
	}
	if b.Symbols, b.Imports, err = elfinfo.DecodeSymbols(data, wanted); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// maxRecordFile bounds the file of a record, in bytes.
const maxRecordFile = 128 << 20

// decoder makes a record of the bytes of its file, and keeps none of them.
type decoder func(data []byte) (*elfinfo.Build, error)

// readRecords reads the records of the lock, and returns with them the rows of
// the lock that they are of.
func readRecords(projectDir string, decode decoder) ([]*elfinfo.Build, []Locked, error) {
	lock, err := ReadLock(projectDir)
	if err != nil {
		return nil, nil, err
	}
	var rows []Locked
	seen := make(map[string]bool)
	for _, l := range lock.Builds {
		if !seen[l.Record] {
			seen[l.Record] = true
			rows = append(rows, l)
		}
	}
	builds := make([]*elfinfo.Build, len(rows))
	errs := make([]error, len(rows))
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range rows {
		g.Go(func() error {
			builds[i], errs[i] = readRecordWith(projectDir, rows[i], decode)
			return nil
		})
	}
	_ = g.Wait() // errors are in errs: the first one of the lock is told, whichever came first
	for _, err := range errs {
		if err != nil {
			return nil, nil, err
		}
	}
	return builds, rows, nil
}

// readRecord reads the record of one locked build.
func readRecord(projectDir string, l Locked) (*elfinfo.Build, error) {
	return readRecordWith(projectDir, l, decodeWhole)
}

// decodeWhole decodes a record with all that it holds.
func decodeWhole(data []byte) (*elfinfo.Build, error) { return elfinfo.DecodeRecord(data, nil) }

// readRecordWith reads and decodes a record.
func readRecordWith(projectDir string, l Locked, decode decoder) (*elfinfo.Build, error) {
	name := filepath.Join(projectDir, RecordsDir, l.Record)
	buf := takeBuffer()
	defer buf.release()
	data, err := readInto(buf, name, maxRecordFile)
	if err != nil {
		return nil, err
	}
	b, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if b.BuildID != l.BuildID || b.Soname != l.Soname {
		return nil, fmt.Errorf("%s: %w: it is of %s %s, the lock says %s %s", name, elfinfo.ErrFormat, b.Soname, b.BuildID, l.Soname, l.BuildID)
	}
	return b, nil
}

// A buffer is memory for the bytes of one file. A thousand records of half a
// megabyte are read one after the other: with memory of its own for each, that
// takes as long as reading them.
type buffer struct{ bytes []byte }

var buffers = sync.Pool{New: func() any { return new(buffer) }}

func takeBuffer() *buffer {
	b, _ := buffers.Get().(*buffer)
	return b
}

// maxKept is the size of the largest buffer, in bytes, that is kept for the
// next file.
const maxKept = 4 << 20

// release gives the buffer to the next file. Nobody may use its bytes any more.
func (b *buffer) release() {
	if cap(b.bytes) <= maxKept {
		buffers.Put(b)
	}
}

// readFile reads a file of at most limit bytes.
func readFile(name string, limit int64) ([]byte, error) {
	return readInto(new(buffer), name, limit)
}

// readInto is readFile into a buffer, which must not be in use.
func readInto(buf *buffer, name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: not a file", name, fs.ErrInvalid)
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, limit)
	}
	data := slices.Grow(buf.bytes[:0], int(info.Size()))[:info.Size()]
	buf.bytes = data
	n, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data[:n], nil // the file may have become shorter
}
