package injector

import (
	"debug/elf"
	"slices"

	"github.com/lpbuild/lpbuild/livepatch"
)

// reusable says whether a container that an earlier operation has loaded can be
// put into force again: it must be bound to what is there now. A library that
// was closed and opened again often lies where it lay, but its variables have
// their first values and its TLS module may have another id: what a container
// with data knows of it is of no use any more. Where all jumps are in place, it
// is still the library that they were written into.
func (j *job) reusable(m match, c *recordContainer) bool {
	if c.ID != m.c.ID || c.Bias != m.lib.bias || !j.allMapped(c.Imports) {
		return false
	}
	l, err := j.p.files.layout(m.c)
	if err != nil {
		return false
	}
	if !l.remembers(m.c) {
		return true
	}
	in, err := j.inForce(c)
	return err == nil && in
}

// remembers says whether a container can know more of its library than where it lies.
func (l *layout) remembers(c *livepatch.Container) bool {
	if l.writable < l.size || c.Apply != nil && slices.ContainsFunc(c.Apply.References, isTLS) {
		return true
	}
	for _, r := range l.relocations {
		switch r.Type {
		case elf.R_X86_64_TPOFF64, elf.R_X86_64_DTPMOD64, elf.R_X86_64_DTPOFF64:
			return true
		}
	}
	return false
}

func isTLS(r livepatch.MetadataReference) bool { return r.TLS }
