package injector

import (
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// unwindable refuses a live patch that refers to something through which somebody
// may have to unwind, and through the live patch's own frames then.
func (s *scope) unwindable(d definition) error {
	if err := s.mayThrow(d); err != nil {
		return err
	}
	return s.mayBeCancelled(d)
}

// mayBeCancelled refuses a live patch that calls a cancellation point, in a
// process with code that cancels threads: unwinding ends at the live patch's
// frames, of which no unwinder knows, so that the clean-up of its callers would
// be left out without a word. Whoever looks pthread_cancel up by its name while
// the process runs is not seen.
func (s *scope) mayBeCancelled(d definition) error {
	if !strings.HasPrefix(d.owner.soname, "libc.so.") && !strings.HasPrefix(d.owner.soname, "libpthread.so.") ||
		!elfinfo.IsCancellationPoint(d.sym.Name) {
		return nil
	}
	for _, o := range s.order {
		facts, err := o.cached.symbols()
		if err != nil {
			return err
		}
		if facts.cancels {
			return blockedf("it refers to %s, in which %s may cancel a thread, and a replacement has no registered unwind information",
				d.sym.Name, o.called())
		}
	}
	return nil
}
