package injector

import (
	"encoding/binary"
	"errors"
	"slices"
)

// maxNamespaces is more than glibc has: DL_NNS is 16.
const maxNamespaces = 64

// otherNamespaces reads the lists of the namespaces that dlmopen has made. It
// must follow linkOrder, which reads that of the base namespace.
func (p *process) otherNamespaces(objs []*object) ([]*linkList, error) {
	if p.links == nil {
		return nil, nil
	}
	lists, chained, err := p.debugChain()
	if err == nil && !chained {
		lists, err = p.namespacesByEntry(objs)
	}
	if err != nil {
		return nil, err
	}
	for _, l := range lists {
		l.interpreter = p.links.interpreter
		if err := p.walk(l, objs, 0); err != nil {
			return nil, err
		}
		if l.debug == 0 {
			continue
		}
		if err := p.sameHead(l); err != nil {
			return nil, err
		}
	}
	return lists, nil
}

// debugChain follows the chain of struct r_debug_extended, one for each
// namespace. It exists if the version of the first one is 2 or more, which
// glibc sets since 2.35 when it makes a second namespace.
func (p *process) debugChain() (lists []*linkList, chained bool, err error) {
	const mapOffset = 8
	at, err := p.nextDebug(p.links.debug)
	for ; at != 0 && err == nil; at, err = p.nextDebug(at) {
		if chained = true; len(lists) == maxNamespaces {
			return nil, false, blockedf("its list of namespaces has no end")
		}
		l := &linkList{debug: at}
		if l.head, err = p.readWord(at + mapOffset); err != nil {
			return nil, false, damaged(err)
		}
		if l.head == 0 { // all that was loaded there was closed again
			l.debug = 0
		} else if l.head, err = p.readDebug(at); err != nil {
			return nil, false, err
		}
		lists = append(lists, l)
	}
	return lists, chained, err
}

// nextDebug is the address of the struct r_debug of the next namespace, 0 if
// there is none.
func (p *process) nextDebug(at uint64) (uint64, error) {
	const nextOffset = 40
	version, err := p.readWord(at)
	if err != nil {
		return 0, damaged(err)
	}
	if uint32(version) < 2 {
		return 0, nil
	}
	if at, err = p.readWord(at + nextOffset); err != nil {
		return 0, damaged(err)
	}
	return at, nil
}

// A namespaceEntry begins one element of the array at the start of glibc's
// _rtld_global: the address of the first link_map, the number of link_maps (32
// bits), and the address of the struct r_scope_elem of the global scope.
type namespaceEntry struct{ head, count, scope uint64 }

// maxRtldGlobal bounds what is read of _rtld_global: 4 KiB in 2.31 to 2.44.
const maxRtldGlobal = 64 << 10

// namespaceEntries reads everything in _rtld_global that may be such an entry,
// the base namespace's first. How long each is depends on the release.
func (p *process) namespaceEntries(l *linkList) ([]namespaceEntry, error) {
	if l.interpreter == nil {
		return nil, nil
	}
	at, size, err := l.interpreter.dataSymbolSize("_rtld_global")
	if err != nil || at == 0 {
		return nil, err
	}
	b := make([]byte, min(size, maxRtldGlobal)&^7)
	if err := p.readAt(b, at); err != nil {
		return nil, damaged(err)
	}
	var entries []namespaceEntry
	le := binary.LittleEndian
	for ; len(b) >= 24; b = b[8:] {
		e := namespaceEntry{head: le.Uint64(b), count: uint64(le.Uint32(b[8:])), scope: le.Uint64(b[16:])}
		if e.head%8 == 0 && e.head != 0 && e.count > 0 && e.count <= maxLinks && e.scope%8 == 0 {
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// namespacesByEntry finds the namespaces of an older glibc: what looks like an
// entry is one if it leads to the first link_map of a list of objects that are
// mapped, and if the list has the length that the entry says.
func (p *process) namespacesByEntry(objs []*object) ([]*linkList, error) {
	entries, err := p.namespaceEntries(p.links)
	if err != nil {
		return nil, err
	}
	var lists []*linkList
	for _, e := range entries {
		if _, ok := findMapping(p.maps, e.head); !ok || e.head == p.links.head {
			continue
		}
		l := &linkList{head: e.head}
		err := p.walk(l, objs, 0)
		switch {
		case errors.Is(err, ErrGone):
			return nil, err
		case err != nil || uint64(len(l.nodes)) != e.count:
			continue // not an entry, or one that is changing
		case len(lists) == maxNamespaces:
			return nil, blockedf("its list of namespaces has no end")
		case !slices.ContainsFunc(lists, func(o *linkList) bool { return o.head == l.head }):
			lists = append(lists, l)
		}
	}
	return lists, nil
}
