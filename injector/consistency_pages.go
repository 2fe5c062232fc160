package injector

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A pageList tells which pages of a process hold what the process has written:
// those of memory that was reserved and never touched, and those that show a
// file as it is, hold no stack.
type pageList struct {
	file    *os.File
	regions []pageRegion
	// scans: the kernel knows PAGEMAP_SCAN (Linux 6.7).
	scans bool
	buf   []byte
}

// pageRegion is struct page_region, pageScan struct pm_scan_arg of
// include/uapi/linux/fs.h.
type (
	pageRegion struct{ start, end, categories uint64 }
	pageScan   struct {
		size, flags, start, end, walkEnd   uint64
		vec, vecLen, maxPages              uint64
		inverted, mask, anyOf, returnsMask uint64
	}
)

const (
	pagemapScan = 0xc0606610 // PAGEMAP_SCAN: _IOWR('f', 16, struct pm_scan_arg)

	pageIsFile    = 1 << 2
	pageIsPresent = 1 << 3
	pageIsSwapped = 1 << 4
	pageIsZero    = 1 << 5

	// Of an entry of the pagemap file (Documentation/admin-guide/mm/pagemap.rst).
	entryPresent, entrySwapped, entryFile = 1 << 63, 1 << 62, 1 << 61
)

func openPageList(p *process) (*pageList, error) {
	f, err := os.Open(p.path("pagemap"))
	if err != nil {
		return nil, fmt.Errorf("pid %d: %w", p.pid, procError(err))
	}
	const regions = 4096
	return &pageList{file: f, regions: make([]pageRegion, regions), scans: true, buf: make([]byte, 64<<10)}, nil
}

func (l *pageList) close() { _ = l.file.Close() } // read only

// errWide: there is too much to look at with what this kernel offers.
var errWide = errors.New("more memory is reserved than can be looked at in time")

// touched visits the written pages of a range, neighbours together, in order.
func (l *pageList) touched(s span, visit func(span) error) error {
	if !l.scans {
		return l.read(s, visit)
	}
	arg := pageScan{
		size: uint64(unsafe.Sizeof(pageScan{})), start: s.start, end: s.end,
		vec: uint64(uintptr(unsafe.Pointer(&l.regions[0]))), vecLen: uint64(len(l.regions)),
		inverted: pageIsFile | pageIsZero, mask: pageIsFile | pageIsZero, anyOf: pageIsPresent | pageIsSwapped,
		returnsMask: pageIsPresent,
	}
	for arg.start < s.end {
		n, _, errno := unix.Syscall(unix.SYS_IOCTL, l.file.Fd(), pagemapScan, uintptr(unsafe.Pointer(&arg)))
		if errno == unix.ENOTTY || errno == unix.EINVAL {
			l.scans = false
			return l.read(span{arg.start, s.end}, visit)
		}
		if errno != 0 {
			return fmt.Errorf("pagemap: %w", procError(errno))
		}
		for _, r := range l.regions[:min(int(n), len(l.regions))] {
			if err := visit(span{r.start, r.end}); err != nil {
				return err
			}
		}
		if arg.walkEnd <= arg.start {
			return errMalformed
		}
		arg.start = arg.walkEnd
	}
	return nil
}

// read does the same on kernels without PAGEMAP_SCAN: 8 bytes for every page,
// touched or not.
func (l *pageList) read(s span, visit func(span) error) error {
	const entry, widest = 8, 1 << 30
	if s.end-s.start > widest {
		return errWide
	}
	var run span
	for at := s.start; at < s.end; {
		n := min((s.end-at)/pageSize*entry, uint64(len(l.buf)))
		if _, err := l.file.ReadAt(l.buf[:n], int64(at/pageSize*entry)); err != nil {
			return fmt.Errorf("pagemap: %w", procError(err))
		}
		for i := uint64(0); i < n; i, at = i+entry, at+pageSize {
			e := binary.LittleEndian.Uint64(l.buf[i:])
			if e&(entryPresent|entrySwapped) == 0 || e&entryFile != 0 {
				continue
			}
			if run.end != at {
				if err := visitSpan(run, visit); err != nil {
					return err
				}
				run.start = at
			}
			run.end = at + pageSize
		}
	}
	return visitSpan(run, visit)
}

func visitSpan(s span, visit func(span) error) error {
	if s.start == s.end {
		return nil
	}
	return visit(s)
}
