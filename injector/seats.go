package injector

import "time"

// seats are how many processes are worked on at once.
type seats chan struct{}

func (s seats) take() { s <- struct{}{} }
func (s seats) give() { <-s }

// A seat is what work on one process takes. Work that takes long, because the
// process keeps those waiting who look at it, gives its seat to the next and
// goes on as a stray; but of strays there are not many either.
type seat struct{ of, strays seats }

const (
	// long is how long work on a process takes that becomes a stray.
	long = time.Second
	// maxStrays bounds the threads of this program that wait for such processes.
	maxStrays = 64
)

// giveUp lets work on the next process begin, if there are not too many strays.
func (s *seat) giveUp() {
	select {
	case s.strays <- struct{}{}:
		s.of.give()
		s.of = s.strays
	default:
	}
}

func (s *seat) leave() { s.of.give() }
