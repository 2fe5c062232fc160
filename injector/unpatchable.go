package injector

import (
	"debug/elf"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

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

// judge adds to the answer of Status whether a live patch could be applied.
func (j *job) judge() error {
	err := j.unpatchable()
	if err == nil {
		err = j.mayMap()
	}
	if err == nil {
		err = j.mayTrace()
	}
	var why blocked
	if err != nil && !errors.As(err, &why) {
		return err
	}
	patchable := err == nil
	j.result.Patchable, j.result.Reason = &patchable, why.reason
	return nil
}

// mayTrace refuses processes that somebody traces already.
func (j *job) mayTrace() error {
	st, err := j.p.status()
	if err != nil {
		return err
	}
	if st.TracerPid != 0 {
		return blocked{reason: fmt.Sprintf("it is traced by process %d already", leader(j.p.proc, st.TracerPid)), again: true}
	}
	return nil
}

// leader is the process of a thread, as far as that may be known: it is the
// tracing thread that the kernel shows as TracerPid.
func leader(proc string, tid int) int {
	st, err := readStatusFile(filepath.Join(proc, strconv.Itoa(tid), "status"), tid)
	if err != nil || st.TGID == 0 {
		return tid
	}
	return st.TGID
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
