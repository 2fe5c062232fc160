package injector

import (
	"debug/elf"
	"errors"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// unpatchable says why no container at all can be for a process; nil if one
// can. Precondition: it maps none of the target libraries. Where every process
// is selected that is normal; somebody who names this one is told more than
// that.
func (j *job) unpatchable() error {
	switch len(j.objs) {
	case 0:
		return j.foreignMachine()
	case 1:
		// A program that is run by naming ld.so has no PT_INTERP in its first
		// object either, but maps others beside it.
		if _, dynamic := j.objs[0].segment(elf.PT_INTERP); !dynamic {
			return blockedf("it is statically linked: it has no library that could be patched")
		}
	}
	return nil
}

// foreignMachine refuses programs that consist of files for another machine.
func (j *job) foreignMachine() error {
	for _, group := range groupByFile(j.maps) {
		f, err := j.in.files.mapped(j.p, group)
		if err != nil {
			return err
		}
		if f != nil && errors.Is(f.err, elfinfo.ErrMachine) {
			return blockedf("it is no x86-64 program: %v", f.err)
		}
	}
	return nil
}
