package injector

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Limits on a maps file. A process may raise its count of mappings to
// vm.max_map_count, 65,530 unless set higher; a path has at most 4,096 bytes,
// of which each newline is shown as four.
const (
	maxMappings = 262144
	maxMapsLine = 32 << 10
)

// A mapping is one line of /proc/PID/maps: addresses [start, end).
type mapping struct {
	start, end                uint64
	read, write, exec, shared bool
	// offset is the place of start in the file.
	offset       uint64
	major, minor uint32
	inode        uint64
	// path is as the kernel shows it (newlines as \012), without the
	// " (deleted)" that deleted stands for. A hostile process chooses it: it is
	// fit for messages, not for opening.
	path    string
	deleted bool
}

// file says that a file is mapped.
func (m mapping) file() bool { return m.inode != 0 }

// sameFile says that two mappings are of one file.
func (m mapping) sameFile(o mapping) bool {
	return m.inode == o.inode && m.major == o.major && m.minor == o.minor
}

// findMapping returns the mapping that holds an address. maps are in order.
func findMapping(maps []mapping, addr uint64) (mapping, bool) {
	i, found := slices.BinarySearchFunc(maps, addr, func(m mapping, a uint64) int {
		switch {
		case m.end <= a:
			return -1
		case m.start > a:
			return 1
		}
		return 0
	})
	if !found {
		return mapping{}, false
	}
	return maps[i], true
}

// mappings reads /proc/PID/maps. The kernel hands it out piece by piece: if a
// change in between shows, it is read again.
func (p *process) mappings() ([]mapping, error) {
	for range 3 {
		maps, err := p.readMaps()
		if err == nil {
			p.maps = maps
		}
		if !errors.Is(err, errMapsChanged) {
			return maps, err
		}
	}
	return nil, fmt.Errorf("pid %d: its memory keeps changing: %w", p.pid, errBusy)
}

func (p *process) readMaps() ([]mapping, error) {
	if p.mapsFile == nil {
		f, err := openProc(p.path("maps"), unix.O_RDONLY)
		if err != nil {
			return nil, fmt.Errorf("pid %d: %w", p.pid, procError(err))
		}
		p.mapsFile = f
	}
	maps, err := parseMaps(io.NewSectionReader(p.mapsFile, 0, math.MaxInt64))
	if err != nil {
		return nil, fmt.Errorf("pid %d: maps: %w", p.pid, procError(err))
	}
	if len(maps) == 0 {
		return nil, fmt.Errorf("pid %d: no memory: %w", p.pid, ErrGone)
	}
	return maps, nil
}

// errMapsChanged: the lines of a maps file overlap.
var errMapsChanged = errors.New("mappings overlap")

// mapsBuffers are kept: maps are read several times for each process.
var mapsBuffers = sync.Pool{New: func() any { return new([8 << 10]byte) }}

// parseMaps parses a maps file (proc(5)). It accepts at most 262,144 lines.
func parseMaps(r io.Reader) ([]mapping, error) {
	maps := make([]mapping, 0, 32) // most programs of one library have fewer
	s := bufio.NewScanner(r)
	buf := mapsBuffers.Get().(*[8 << 10]byte)
	defer mapsBuffers.Put(buf)
	s.Buffer(buf[:0], maxMapsLine)
	for s.Scan() {
		if len(maps) == maxMappings {
			return nil, fmt.Errorf("more than %d mappings", maxMappings)
		}
		last := ""
		if len(maps) > 0 {
			last = maps[len(maps)-1].path
		}
		m, err := parseMapping(s.Bytes(), last)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", len(maps)+1, err)
		}
		if n := len(maps); n > 0 && m.start < maps[n-1].end {
			return nil, fmt.Errorf("line %d: %w", n+1, errMapsChanged)
		}
		maps = append(maps, m)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", len(maps)+1, err)
	}
	return maps, nil
}

// parseMapping parses a line "START-END PERMS OFFSET MAJOR:MINOR INODE [PATH]".
// last is the path of the line before, which most often is this one's too.
func parseMapping(line []byte, last string) (mapping, error) {
	var f [5][]byte
	rest := line
	for i := range f {
		f[i], rest, _ = bytes.Cut(rest, []byte(" "))
	}
	start, end, ok1 := bytes.Cut(f[0], []byte("-"))
	major, minor, ok2 := bytes.Cut(f[3], []byte(":"))
	if !ok1 || !ok2 || len(f[1]) != 4 {
		return mapping{}, errMalformed
	}
	var bad bool
	number := func(s []byte, base, bits int) uint64 {
		v, err := strconv.ParseUint(string(s), base, bits)
		bad = bad || err != nil
		return v
	}
	m := mapping{
		start: number(start, 16, 64), end: number(end, 16, 64), offset: number(f[2], 16, 64),
		read: f[1][0] == 'r', write: f[1][1] == 'w', exec: f[1][2] == 'x', shared: f[1][3] == 's',
		major: uint32(number(major, 16, 32)), minor: uint32(number(minor, 16, 32)), inode: number(f[4], 10, 64),
	}
	if bad || m.start >= m.end {
		return mapping{}, errMalformed
	}
	name := bytes.TrimLeft(rest, " ")
	if m.file() {
		name, m.deleted = bytes.CutSuffix(name, []byte(" (deleted)"))
	}
	if m.path = last; string(name) != last {
		m.path = string(name)
	}
	return m, nil
}
