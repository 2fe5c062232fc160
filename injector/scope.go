package injector

import (
	"encoding/binary"
	"fmt"
	"path"
	"slices"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// A scope resolves symbols as ld.so would for a library that is loaded by
// dlopen(RTLD_NOW | RTLD_LOCAL) in a namespace: first in the global scope (the
// program, preloaded libraries, what they need breadth first, what was loaded
// with RTLD_GLOBAL), then in the library itself, then in what it needs, breadth
// first. In a namespace other than the base one the first library that was
// loaded there stands for the program.
type scope struct {
	p *process
	// order are all objects of the namespace, whether in scope or not: slots
	// that ld.so has filled are looked for in all of them.
	order  []*object
	global []*object
	local  []*object
}

// newScope makes the scope for a library with these DT_NEEDED entries in the
// namespace of a list. All of them, and what they need, must be loaded already;
// else it is blocked.
func newScope(p *process, l *linkList, needed []string) (*scope, error) {
	if len(l.order) == 0 {
		return nil, blockedf("it has no loaded objects")
	}
	s := &scope{p: p, order: l.order}
	global, err := p.globalScope(l)
	if err != nil {
		return nil, err
	}
	if global == nil {
		global = startupScope(l.order)
	}
	s.global = global
	s.local, err = closure(l.order, nil, needed)
	return s, err
}

// globalScope reads the list of a namespace's global scope from the dynamic
// linker's memory, nil if it is not where glibc has kept it since 2.4: in the
// namespace's entry (see namespaceEntries) is the address of its main struct
// r_scope_elem, which holds the address and the length (32 bits) of an array of
// pointers to link_map. It is believed only if all of that agrees with the list
// of <link.h>.
func (p *process) globalScope(l *linkList) ([]*object, error) {
	entries, err := p.namespaceEntries(l)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(entries, func(e namespaceEntry) bool {
		return e.head == l.head && e.count == uint64(len(l.nodes)) && e.scope != 0
	})
	if i < 0 {
		return nil, nil
	}
	var b [16]byte
	le := binary.LittleEndian
	if err := p.readAt(b[:], entries[i].scope); err != nil {
		return nil, damaged(err)
	}
	count := uint64(le.Uint32(b[8:]))
	if count == 0 || count > uint64(len(l.nodes)) {
		return nil, nil
	}
	list := make([]byte, 8*count)
	if err := p.readAt(list, le.Uint64(b[:])); err != nil {
		return nil, damaged(err)
	}
	return l.pointed(list), nil
}

// pointed returns the objects of an array of pointers to link_map, nil unless
// it starts with the program and knows no others than the list does.
func (l *linkList) pointed(list []byte) []*object {
	if binary.LittleEndian.Uint64(list) != l.head {
		return nil
	}
	var objs []*object
	for ; len(list) > 0; list = list[8:] {
		o, ok := l.nodes[binary.LittleEndian.Uint64(list)]
		if !ok {
			return nil
		}
		if o != nil {
			objs = append(objs, o)
		}
	}
	return objs
}

// startupScope works the global scope out from the load order: ld.so puts
// preloaded libraries between the program and the first library that it needs.
func startupScope(order []*object) []*object {
	needed := make(map[*object]bool)
	byName := indexByName(order)
	for _, name := range order[0].file.Needed() {
		needed[byName[name]] = true
	}
	start := order[:1]
	for len(needed) > 0 && len(start) < len(order) && !needed[order[len(start)]] {
		start = order[:len(start)+1]
	}
	objs, err := closure(order, start, nil)
	if err != nil {
		return order
	}
	return objs
}

// closure returns start and everything that start and needed need, breadth
// first, each once. What is not loaded blocks.
func closure(order, start []*object, needed []string) ([]*object, error) {
	byName := indexByName(order)
	objs := slices.Clone(start)
	have := make(map[*object]bool)
	for _, o := range start {
		have[o] = true
	}
	for next := 0; ; next++ {
		for _, name := range needed {
			o := byName[name]
			if o == nil {
				return nil, blockedf("it has not loaded library %s, which the live patch needs", name)
			}
			if !have[o] {
				have[o] = true
				objs = append(objs, o)
			}
		}
		if next == len(objs) {
			return objs, nil
		}
		needed = objs[next].file.Needed()
	}
}

// indexByName maps what a DT_NEEDED entry may say to the object that it means:
// the first in load order with this DT_SONAME, or loaded under this name.
func indexByName(order []*object) map[string]*object {
	byName := make(map[string]*object)
	for _, o := range order {
		for _, n := range []string{o.soname, o.name, path.Base(o.name)} {
			if byName[n] == nil {
				byName[n] = o
			}
		}
	}
	delete(byName, "") // the program's name
	delete(byName, ".")
	return byName
}

// definition is what a reference is bound to.
type definition struct {
	owner *object
	sym   elfinfo.Symbol
}

// bind finds the definition of a reference among objs.
func bind(objs []*object, ref reference) (definition, error) {
	for _, o := range objs {
		facts, err := o.cached.symbols()
		if err != nil {
			return definition{}, fmt.Errorf("%s: %w", o.path, err)
		}
		if sym, ok := facts.find(ref); ok {
			return definition{owner: o, sym: sym}, nil
		}
	}
	return definition{}, fmt.Errorf("%s: %w", ref, errNoSymbol)
}

func (r reference) String() string {
	if r.version == "" {
		return r.name
	}
	return r.name + "@" + r.version
}

// bind finds the definition of a reference, wherever in the scope. errNoSymbol
// means that there is none.
func (s *scope) bind(ref reference) (definition, error) {
	d, err := bind(s.global, ref)
	if err == nil {
		return d, s.checkUnique(d)
	}
	if d, err = bind(s.local, ref); err != nil {
		return d, err
	}
	return d, s.checkUnique(d)
}

// checkUnique refuses a STB_GNU_UNIQUE symbol that several objects define:
// which one counts depends on the order in which they were bound.
func (s *scope) checkUnique(d definition) error {
	if d.sym.Binding != "unique" {
		return nil
	}
	for _, o := range s.order {
		facts, err := o.cached.symbols()
		if err != nil {
			return fmt.Errorf("%s: %w", o.path, err)
		}
		if o != d.owner && len(facts.defined[d.sym.Name]) > 0 {
			return blockedf("symbol %s is unique, yet %s and %s both define it", d.sym.Name, d.owner.path, o.path)
		}
	}
	return nil
}

// address is where a definition is in the process.
func (s *scope) address(d definition) (uint64, error) {
	switch {
	case d.sym.Kind == "tls" || d.sym.Absolute:
		return d.sym.Address, nil
	case d.sym.Kind == "ifunc" && !d.sym.Undefined:
		return s.resolved(d)
	}
	return d.owner.addr(d.sym.Address), nil
}
