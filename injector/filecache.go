package injector

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// A fileCache keeps what was read from the files that processes map, for all
// processes and goroutines of one Injector: a library is read once, however
// many processes run it. A file is known by what the kernel changes with its
// contents, so that a cache may live for as long as its Injector.
type fileCache struct {
	mu    sync.Mutex
	files map[fileKey]*cachedFile
	// layouts are those of containers, by container id.
	layouts map[string]*layout
}

// fileKey identifies the contents of a file.
type fileKey struct {
	dev, inode uint64
	size       int64
	ctime      unix.Timespec
}

func newFileCache() *fileCache {
	return &fileCache{files: make(map[fileKey]*cachedFile), layouts: make(map[string]*layout)}
}

// errNotRegular: a device or the like is mapped.
var errNotRegular = errors.New("not a regular file")

// open returns the file at a path, which may be a link in procfs. The answer
// for a file that is not ELF, or not of this machine, is a cachedFile with err.
func (c *fileCache) open(name string) (*cachedFile, error) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	if f := c.lookup(keyOf(&st)); f != nil {
		return f, nil
	}
	r, err := openRegular(name, &st)
	if errors.Is(err, unix.EMFILE) {
		c.forget()
		return nil, fmt.Errorf("%w: %w", err, errBusy)
	}
	if err != nil {
		return nil, err
	}
	return c.insert(keyOf(&st), readObjectFile(name, r, st.Size)), nil
}

func keyOf(st *unix.Stat_t) fileKey {
	return fileKey{dev: st.Dev, inode: st.Ino, size: st.Size, ctime: st.Ctim}
}

func (c *fileCache) lookup(key fileKey) *cachedFile {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.files[key]
}

// forget drops all files: a process may map so many that no other one could be
// looked at. Those that nobody uses any more are closed as garbage.
func (c *fileCache) forget() {
	c.mu.Lock()
	clear(c.files)
	c.mu.Unlock()
	runtime.GC()
}

// insert adds a file, unless another goroutine was faster.
func (c *fileCache) insert(key fileKey, f *cachedFile) *cachedFile {
	c.mu.Lock()
	defer c.mu.Unlock()
	if first := c.files[key]; first != nil {
		f.close()
		return first
	}
	c.files[key] = f
	return f
}

// openRegular opens a file for reading and fills st with the status of the
// very file that was opened. Nothing but a regular file is opened: opening a
// device or a pipe has effects, and any process can map one.
func openRegular(name string, st *unix.Stat_t) (*os.File, error) {
	fd, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	handle := os.NewFile(uintptr(fd), name)
	defer handle.Close()
	if err := unix.Fstat(fd, st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	return openProc("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY)
}

// A cachedFile is an ELF file and what was worked out about it so far.
type cachedFile struct {
	// file is nil if err says why the file cannot be used.
	file *elfinfo.File
	err  error
	// image: read from a process's memory, where slots are filled already.
	image    bool
	segments []elf.ProgHeader

	reader *os.File // nil for an image

	once     sync.Once
	facts    *symbolFacts
	factsErr error

	// tail is where its code ends, as elfinfo.File.TextTail tells.
	tailOnce  sync.Once
	tail      uint64
	tailBytes int
}

// readObjectFile reads what is needed of every mapped file; it owns r.
func readObjectFile(name string, r *os.File, size int64) *cachedFile {
	f := &cachedFile{reader: r}
	f.file, f.err = elfinfo.NewFile(name, r, size)
	if f.err != nil {
		f.close()
		return f
	}
	f.segments = f.file.Segments()
	return f
}

func (f *cachedFile) close() {
	if f.reader != nil {
		_ = f.reader.Close()
	}
}

// symbols returns the facts about symbols and relocations, which are read when
// they are first asked for.
func (f *cachedFile) symbols() (*symbolFacts, error) {
	f.once.Do(func() { f.facts, f.factsErr = readSymbolFacts(f.file) })
	return f.facts, f.factsErr
}

// textTail is TextTail of the file, which is read for the first process only.
func (f *cachedFile) textTail() (vaddr uint64, n int) {
	f.tailOnce.Do(func() { f.tail, f.tailBytes = f.file.TextTail() })
	return f.tail, f.tailBytes
}
