package injector

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// An object is one ELF file as one process has loaded it.
type object struct {
	// path is the file's name as the kernel shows it, for messages.
	path    string
	soname  string // DT_SONAME, "" if there is none
	buildID string // lower-case hexadecimal, "" if there is none
	// bias is what was added to every virtual address of the file.
	bias uint64
	// maps are its mappings and those without a file between them.
	maps []mapping
	file *elfinfo.File

	cached *cachedFile
	// link is the address of its struct link_map, name its l_name; see linkOrder.
	link uint64
	name string
}

// addr is where a virtual address of the file is in the process.
func (o *object) addr(vaddr uint64) uint64 { return o.bias + vaddr }

// executable says whether an address is in executable memory of the object.
func (o *object) executable(addr uint64) bool {
	m, ok := findMapping(o.maps, addr)
	return ok && m.exec
}

// segment returns the first segment of a type.
func (o *object) segment(kind elf.ProgType) (elf.ProgHeader, bool) {
	i := slices.IndexFunc(o.cached.segments, func(s elf.ProgHeader) bool { return s.Type == kind })
	if i < 0 {
		return elf.ProgHeader{}, false
	}
	return o.cached.segments[i], true
}

// span is the memory between its first and its last segment, in whole pages.
func (o *object) span() (start, end uint64) {
	lo, hi := loadSpan(o.cached.segments)
	return o.addr(lo), o.addr(hi)
}

// loadSpan is the page range that the PT_LOAD segments cover; 0, 0 if there are none.
func loadSpan(segments []elf.ProgHeader) (lo, hi uint64) {
	lo = ^uint64(0)
	for _, s := range segments {
		if s.Type == elf.PT_LOAD {
			lo = min(lo, pageDown(s.Vaddr))
			hi = max(hi, roundUp(s.Vaddr+s.Memsz))
		}
	}
	return min(lo, hi), hi
}

func pageDown(n uint64) uint64 { return n &^ (pageSize - 1) }

// objects finds the ELF files that a process has loaded, by ascending address:
// those with executable memory, and those that look like libraries of data
// only. Files that are not ELF for this machine are left out.
func (in *Injector) objects(p *process, maps []mapping) ([]*object, error) {
	p.files = in.files
	var objs []*object
	for _, group := range groupByFile(maps) {
		f, err := in.files.mapped(p, group)
		switch {
		case err != nil:
			return nil, err
		case f == nil || f.err != nil:
			continue
		}
		objs = append(objs, instances(f, group, maps)...)
	}
	slices.SortFunc(objs, func(a, b *object) int { return cmp.Compare(a.maps[0].start, b.maps[0].start) })
	return objs, nil
}

// groupByFile collects the private mappings of each file that may be a loaded
// object.
func groupByFile(maps []mapping) [][]mapping {
	type file struct {
		major, minor uint32
		inode        uint64
	}
	groups := make(map[file][]mapping)
	var order []file
	for _, m := range maps {
		if !m.file() || m.shared {
			continue
		}
		k := file{m.major, m.minor, m.inode}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], m)
	}
	var out [][]mapping
	for _, k := range order {
		if g := groups[k]; mayBeObject(g) {
			out = append(out, g)
		}
	}
	return out
}

// mayBeObject says whether the mappings of one file can be those of a loaded
// object. A library without code has at least its header and its data.
func mayBeObject(group []mapping) bool {
	return slices.ContainsFunc(group, func(m mapping) bool { return m.exec }) ||
		len(group) > 1 && slices.ContainsFunc(group, func(m mapping) bool { return m.offset == 0 })
}

// mapped reads the file of a group of mappings: the very file that is mapped,
// whatever its name refers to today. nil means that it is not to be had and
// does not look like an object.
func (c *fileCache) mapped(p *process, group []mapping) (*cachedFile, error) {
	m := group[0]
	name := filepath.Join(p.path("map_files"), strconv.FormatUint(m.start, 16)+"-"+strconv.FormatUint(m.end, 16))
	f, err := c.open(name)
	switch {
	case err == nil:
		return f, nil
	case errors.Is(err, errNotRegular):
		return nil, nil
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return c.fromMemory(p, group)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		if err := p.verify(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("pid %d: its memory keeps changing: %w", p.pid, errBusy)
	}
	return nil, fmt.Errorf("pid %d: %s: %w", p.pid, m.path, err)
}

// fromMemory stands in where map_files needs a privilege that we lack: it
// reads the headers from memory, and takes the file of that name only if it
// has the same build-id.
func (c *fileCache) fromMemory(p *process, group []mapping) (*cachedFile, error) {
	i := slices.IndexFunc(group, func(m mapping) bool { return m.offset == 0 })
	if i < 0 {
		return nil, nil
	}
	m := group[i]
	img, err := elfinfo.NewImage(m.path, p, m.start)
	switch {
	case errors.Is(err, ErrGone):
		return nil, err
	case err != nil:
		return nil, nil // not ELF: what ld.so has loaded is readable
	}
	if id := img.BuildID(); id != "" && path.IsAbs(m.path) && !m.deleted {
		f, err := c.open(filepath.Join(p.path("root"), m.path))
		if err == nil && f.err == nil && f.file.BuildID() == id {
			return f, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, errNotRegular) {
			return nil, fmt.Errorf("pid %d: %w", p.pid, err)
		}
	}
	return &cachedFile{file: img, image: true, segments: img.Segments()}, nil
}

// instances makes an object of each place where a file is loaded.
func instances(f *cachedFile, group, maps []mapping) []*object {
	var objs []*object
	for _, m := range group {
		bias, ok := biasOf(f.segments, m)
		if !ok || slices.ContainsFunc(objs, func(o *object) bool { return o.bias == bias }) {
			continue
		}
		o := &object{
			path: m.path, soname: f.file.Soname(), buildID: strings.ToLower(string(f.file.BuildID())),
			bias: bias, file: f.file, cached: f,
		}
		start, end := o.span()
		for _, n := range maps {
			if n.start < end && n.end > start && (n.sameFile(m) || !n.file()) {
				o.maps = append(o.maps, n)
			}
		}
		if o.complete(m) {
			objs = append(objs, o)
		}
	}
	return objs
}

// complete says whether every segment is mapped where the bias puts it, from
// the file of m or, where a program has moved its code to larger pages, from
// none.
func (o *object) complete(m mapping) bool {
	for _, s := range o.cached.segments {
		if s.Type != elf.PT_LOAD || s.Filesz == 0 {
			continue
		}
		at := o.addr(pageDown(s.Vaddr))
		n, ok := findMapping(o.maps, at)
		if !ok || n.file() && (!n.sameFile(m) || n.offset+at-n.start != pageDown(s.Off)) {
			return false
		}
	}
	return len(o.maps) > 0
}

// biasOf computes the load bias from one mapping. Where code is mapped, the
// segment must be executable; other mappings tell only by their first page,
// because two segments may share a page of the file.
func biasOf(segments []elf.ProgHeader, m mapping) (uint64, bool) {
	if !m.exec && m.offset != 0 {
		return 0, false
	}
	for _, s := range segments {
		if s.Type != elf.PT_LOAD || m.exec && s.Flags&elf.PF_X == 0 {
			continue
		}
		off := pageDown(s.Off)
		if m.offset >= off && m.offset < s.Off+s.Filesz && s.Off%pageSize == s.Vaddr%pageSize {
			return m.start - (m.offset - off) - pageDown(s.Vaddr), true
		}
	}
	return 0, false
}
