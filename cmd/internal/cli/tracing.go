package cli

import (
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

// IgnoreStops spares a program that traces others the signal that the kernel
// sends for every thread of them that stops (SIGCHLD), each of which would
// interrupt it while threads are held. Precondition: it starts no processes; it
// could not wait for them.
func IgnoreStops() { signal.Ignore(syscall.SIGCHLD) }

// CollectRarely lets a program that looks into processes collect garbage less
// often: most runs are over before that pays, and one over a thousand processes
// would do it every few milliseconds. To say so stops the program several times,
// which a run on one process need not wait for.
func CollectRarely() {
	const (
		soon    = 5 * time.Millisecond // by then a run on one process is over, as a rule
		garbage = 800                  // percent of what is in use
		limit   = 256 << 20            // bytes, from where on it is collected as needed
	)
	time.AfterFunc(soon, func() {
		debug.SetGCPercent(garbage)
		debug.SetMemoryLimit(limit)
	})
}
