package injector

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// maxLinks bounds the list of loaded libraries; maxName a library's name (PATH_MAX).
const (
	maxLinks = 4096
	maxName  = 4096
)

// A linkList is the dynamic linker's list of what is loaded in one namespace
// (struct r_debug and struct link_map of <link.h>).
type linkList struct {
	// interpreter is the dynamic linker itself, nil if it could not be told.
	interpreter *object
	// debug is the address of its struct r_debug, 0 if it is not known.
	debug uint64
	// head is the address of the first link_map: in the base namespace that of
	// the program, in another that of the first library loaded there.
	head uint64
	// nodes holds the object of each link_map by its address; nil for the vDSO.
	nodes map[uint64]*object
	// order are the objects in load order.
	order []*object
}

// linkOrder returns the objects of the base namespace in load order: the
// program, preloaded libraries, what these need, what was loaded by dlopen. It
// reads the dynamic linker's list from memory, which can be anything: the walk
// is bounded, and a list that contradicts itself is blocked. errBusy means that
// it is being changed. A statically linked program is its only object.
func (p *process) linkOrder(objs []*object) ([]*object, error) {
	for _, o := range objs {
		o.link, o.name = 0, ""
	}
	aux, err := p.auxv()
	if err != nil {
		return nil, err
	}
	debug, interpreter, err := p.findDebug(objs, aux)
	if err != nil {
		return nil, err
	}
	if debug == 0 {
		return static(objs)
	}
	head, err := p.readDebug(debug)
	if err != nil {
		return nil, err
	}
	list := &linkList{interpreter: interpreter, debug: debug, head: head}
	if err := p.walk(list, objs, aux[auxVDSO]); err != nil {
		return nil, err
	}
	if err := p.sameHead(list); err != nil {
		return nil, err
	}
	p.links = list
	return list.order, nil
}

// sameHead looks again at what a list was read from: errBusy if it is changing.
func (p *process) sameHead(list *linkList) error {
	again, err := p.readDebug(list.debug)
	if err == nil && again != list.head {
		err = fmt.Errorf("pid %d: it loads a library: %w", p.pid, errBusy)
	}
	return err
}

// static answers for programs without a dynamic linker.
func static(objs []*object) ([]*object, error) {
	if len(objs) != 1 {
		return nil, blockedf("it has no dynamic linker, yet maps %d ELF files", len(objs))
	}
	return objs, nil
}

// Types of auxiliary vector entries (<elf.h>).
const (
	auxBase  = 7
	auxEntry = 9
	auxVDSO  = 33
)

// auxv reads what the kernel told the program at its start.
func (p *process) auxv() (map[uint64]uint64, error) {
	b, err := readProcFile(p.path("auxv"))
	if err != nil {
		return nil, fmt.Errorf("pid %d: auxv: %w", p.pid, err)
	}
	aux := make(map[uint64]uint64)
	for ; len(b) >= 16; b = b[16:] {
		kind := binary.LittleEndian.Uint64(b)
		if kind == 0 {
			break
		}
		aux[kind] = binary.LittleEndian.Uint64(b[8:])
	}
	return aux, nil
}

// findDebug finds the dynamic linker and its struct r_debug; 0 if there is none.
func (p *process) findDebug(objs []*object, aux map[uint64]uint64) (uint64, *object, error) {
	// Where a program was started as "ld.so PROGRAM", the kernel knows of no
	// interpreter: ld.so is the program.
	at := aux[auxBase]
	if at == 0 {
		at = aux[auxEntry]
	}
	i := slices.IndexFunc(objs, func(o *object) bool { start, end := o.span(); return at >= start && at < end })
	if i >= 0 {
		if _, ok := objs[i].segment(elf.PT_INTERP); !ok {
			addr, err := objs[i].dataSymbol("_r_debug")
			if err != nil || addr != 0 {
				return addr, objs[i], err
			}
		}
	}
	for _, o := range objs {
		if _, ok := o.segment(elf.PT_INTERP); ok {
			addr, err := p.debugTag(o)
			if err != nil || addr != 0 {
				return addr, nil, err
			}
		}
	}
	return 0, nil, nil
}

// dataSymbol is the address of a variable that an object defines, 0 if it defines none.
func (o *object) dataSymbol(name string) (uint64, error) {
	addr, _, err := o.dataSymbolSize(name)
	return addr, err
}

// dataSymbolSize is the variable's address and its size in bytes.
func (o *object) dataSymbolSize(name string) (addr, size uint64, err error) {
	facts, err := o.cached.symbols()
	if err != nil {
		return 0, 0, err
	}
	for _, i := range facts.defined[name] {
		if s := facts.table[i]; !s.Undefined && s.Kind == "object" {
			return o.addr(s.Address), s.Size, nil
		}
	}
	return 0, 0, nil
}

// debugTag reads DT_DEBUG, which ld.so fills in, from the program's memory.
func (p *process) debugTag(o *object) (uint64, error) {
	dyn, ok := o.segment(elf.PT_DYNAMIC)
	if !ok {
		return 0, nil
	}
	b := make([]byte, min(dyn.Memsz, 64<<10)&^15)
	if err := p.readAt(b, o.addr(dyn.Vaddr)); err != nil {
		return 0, err
	}
	for ; len(b) > 0; b = b[16:] {
		switch elf.DynTag(binary.LittleEndian.Uint64(b)) {
		case elf.DT_DEBUG:
			return binary.LittleEndian.Uint64(b[8:]), nil
		case elf.DT_NULL:
			return 0, nil
		}
	}
	return 0, nil
}

// readDebug reads a struct r_debug and returns the address of the first
// link_map: version at 0, r_map at 8, r_state at 24.
func (p *process) readDebug(addr uint64) (uint64, error) {
	var b [40]byte
	if err := p.readAt(b[:], addr); err != nil {
		return 0, damaged(err)
	}
	version, head := binary.LittleEndian.Uint32(b[:]), binary.LittleEndian.Uint64(b[8:])
	const consistent = 0 // RT_CONSISTENT
	state := binary.LittleEndian.Uint32(b[24:])
	switch {
	case version == 0 || head == 0:
		return 0, fmt.Errorf("pid %d: it is still being started: %w", p.pid, errBusy)
	case state != consistent:
		return 0, fmt.Errorf("pid %d: it loads a library: %w", p.pid, errBusy)
	}
	return head, nil
}

// damaged turns a failed read through a pointer of the process into a reason
// not to touch it.
func damaged(err error) error {
	if errors.Is(err, ErrGone) {
		return err
	}
	return blockedf("its list of loaded libraries is damaged: %v", err)
}

// walk follows a list from its head, matches each node to an object and fills
// nodes and order. The dynamic linker itself is in the lists of all namespaces.
func (p *process) walk(list *linkList, objs []*object, vdso uint64) error {
	byDynamic := make(map[uint64]*object, len(objs))
	for _, o := range objs {
		if dyn, ok := o.segment(elf.PT_DYNAMIC); ok {
			byDynamic[o.addr(dyn.Vaddr)] = o
		}
	}
	list.nodes, list.order = make(map[uint64]*object), nil
	for at, prev := list.head, uint64(0); at != 0; {
		if _, seen := list.nodes[at]; seen || len(list.nodes) == maxLinks {
			return blockedf("its list of loaded libraries has no end")
		}
		n, err := p.readLink(at)
		if err != nil {
			return err
		}
		if n.prev != prev {
			return blockedf("its list of loaded libraries is damaged: entry at %#x", at)
		}
		o := byDynamic[n.dynamic]
		switch {
		case o != nil && o.bias == n.bias && !slices.Contains(list.order, o):
			if o.link == 0 {
				o.link, o.name = at, p.readName(n.name)
			}
			list.order = append(list.order, o)
		case vdso == 0 || n.bias != vdso:
			return p.unknownLink(n)
		}
		list.nodes[at] = o
		prev, at = at, n.next
	}
	return nil
}

// unknownLink explains an entry that belongs to no object: either it was
// loaded after maps was read, or half loaded then, or its file is none that we
// can read.
func (p *process) unknownLink(n link) error {
	before := p.maps
	now, err := p.mappings()
	if err != nil {
		return err
	}
	if _, ok := findMapping(before, n.dynamic); !ok || !slices.Equal(before, now) {
		return fmt.Errorf("pid %d: it has just loaded a library: %w", p.pid, errBusy)
	}
	return blockedf("library %q has a file that cannot be read", p.readName(n.name))
}

// A link is a struct link_map as <link.h> declares it.
type link struct{ bias, name, dynamic, next, prev uint64 }

func (p *process) readLink(at uint64) (link, error) {
	var b [40]byte
	if err := p.readAt(b[:], at); err != nil {
		return link{}, damaged(err)
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	return link{bias: word(0), name: word(1), dynamic: word(2), next: word(3), prev: word(4)}, nil
}

// readName reads a NUL-terminated name, "" if it cannot be read. It never
// reads across the end of a page that the name does not reach.
func (p *process) readName(at uint64) string {
	var name []byte
	for at != 0 && len(name) < maxName {
		b := make([]byte, min(64, pageSize-at%pageSize))
		if err := p.readAt(b, at); err != nil {
			return ""
		}
		if i := bytes.IndexByte(b, 0); i >= 0 {
			return string(append(name, b[:i]...))
		}
		name = append(name, b...)
		at += uint64(len(b))
	}
	return ""
}
