package injector

import (
	"bytes"
	"fmt"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// filler reads the filler before a stock function of which the jump would
// straddle two pages. None is no error: then the function can't be detoured.
func (j *job) filler(m match, e *plannedEntry) error {
	entry := e.function + uint64(e.offset)
	if e.kind != string(elfinfo.EntryStock) || !crossesPage(entry, nearJump) || j.detourFor(e.function) != nil {
		return nil
	}
	vaddr := e.function - m.lib.bias
	n := m.lib.file.FillerBefore(vaddr)
	if n < slotJump {
		return nil
	}
	shipped, err := m.lib.file.ReadAt(vaddr-uint64(n), n)
	if err != nil {
		return err
	}
	e.before = make([]byte, n)
	if err := j.p.readAt(e.before, e.function-uint64(n)); err != nil {
		return err
	}
	if !bytes.Equal(e.before, shipped) {
		return foreignf("somebody else has used the filler before the function at %#x: % x", e.function, e.before)
	}
	return nil
}

// mayMove refuses to move a call in a process with shadow stacks: its return
// address would not be on them.
func (j *job) mayMove(e *plannedEntry) error {
	if !e.movesCall() || j.detourFor(e.function) != nil {
		return nil
	}
	status, err := readProcFile(j.p.path("status"))
	if err != nil {
		return fmt.Errorf("pid %d: status: %w", j.p.pid, procError(err))
	}
	if hasShadowStack(status) {
		return blockedf("the function at %#x begins with a call, and the process has shadow stacks", e.function)
	}
	return nil
}

// hasShadowStack reads the line "x86_Thread_features" of a task's status
// (arch/x86/kernel/proc.c, Linux 6.6), which threads inherit.
func hasShadowStack(status []byte) bool {
	for line := range bytes.Lines(status) {
		if features, ok := bytes.CutPrefix(line, []byte("x86_Thread_features:")); ok {
			return bytes.Contains(features, []byte("shstk"))
		}
	}
	return false
}
