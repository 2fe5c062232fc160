package injector

import "github.com/lpbuild/lpbuild/elfinfo"

// baseScope makes the scope for a library with these DT_NEEDED entries in the
// base namespace, which has the objects of order.
func baseScope(p *process, order []*object, needed []string) (*scope, error) {
	l := linkList{}
	if p.links != nil {
		l = *p.links
	}
	l.order = order
	return newScope(p, &l, needed)
}

// lookup finds what a reference to name, with a version or "", is bound to:
// its address in the process (for a TLS symbol its offset in the owner's TLS
// block), the symbol and the object that defines it. errNoSymbol means that
// nothing in scope does: a weak reference is then 0.
func (s *scope) lookup(name, version string) (addr uint64, sym elfinfo.Symbol, owner *object, err error) {
	d, err := s.bind(reference{name: name, version: version})
	if err != nil {
		return 0, elfinfo.Symbol{}, nil, err
	}
	addr, err = s.address(d)
	return addr, d.sym, d.owner, err
}

// close closes the files. Objects that use them must not be used any more.
func (c *fileCache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.files {
		f.close()
	}
	clear(c.files)
}
