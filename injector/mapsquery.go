package injector

import (
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mapQuery is struct procmap_query of include/uapi/linux/fs.h.
type mapQuery struct {
	size, flags, address        uint64
	start, end, vmaFlags        uint64
	pageSize, offset, inode     uint64
	major, minor                uint32
	nameSize, buildIDSize       uint32
	nameAddress, buildIDAddress uint64
}

const (
	procmapQuery = 0xc0686611 // PROCMAP_QUERY: _IOWR('f', 17, struct procmap_query)

	queryRead, queryWrite, queryExec, queryShared = 1, 2, 4, 8
	queryNext                                     = 0x10 // the first mapping that ends behind the address
)

// errNoQuery: the kernel does not know PROCMAP_QUERY, which Linux 6.11 brought,
// or there is too much to ask for.
var errNoQuery = errors.New("mappings can't be asked for")

// mappingsIn asks for the mappings that overlap a range, without those around
// it. errNoQuery: see mappings.
func (p *process) mappingsIn(s span) ([]mapping, error) {
	const few = 16
	if p.mapsFile == nil {
		return nil, errNoQuery
	}
	var maps []mapping
	for at := s.start; at < s.end && len(maps) < few; {
		m, err := p.mappingFrom(at)
		if errors.Is(err, unix.ENOENT) {
			return maps, nil
		}
		if err != nil {
			return nil, err
		}
		if m.start >= s.end {
			return maps, nil
		}
		if m.end <= at {
			return nil, errMalformed
		}
		maps = append(maps, m)
		at = m.end
	}
	if len(maps) == few {
		return nil, errNoQuery
	}
	return maps, nil
}

// mappingFrom asks for the mapping that holds an address, or for the next one:
// ENOENT if there is none, errNoQuery also where its name is too long.
func (p *process) mappingFrom(address uint64) (mapping, error) {
	q := mapQuery{
		flags: queryNext, address: address,
		nameSize: uint32(len(p.mapName)), nameAddress: uint64(uintptr(unsafe.Pointer(&p.mapName))),
	}
	q.size = uint64(unsafe.Sizeof(q))
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, p.mapsFile.Fd(), procmapQuery, uintptr(unsafe.Pointer(&q)))
	runtime.KeepAlive(p)
	switch errno {
	case 0:
	case unix.ENOTTY, unix.EINVAL, unix.ENAMETOOLONG:
		return mapping{}, errNoQuery
	case unix.ENOENT:
		return mapping{}, errno
	default:
		return mapping{}, procError(errno)
	}
	return mapping{
		start: q.start, end: q.end, offset: q.offset, major: q.major, minor: q.minor, inode: q.inode,
		read: q.vmaFlags&queryRead != 0, write: q.vmaFlags&queryWrite != 0,
		exec: q.vmaFlags&queryExec != 0, shared: q.vmaFlags&queryShared != 0,
		path: unix.ByteSliceToString(p.mapName[:min(int(q.nameSize), len(p.mapName))]),
	}, nil
}
