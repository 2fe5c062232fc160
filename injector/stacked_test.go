package injector

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/lpbuild/lpbuild/livepatch"
)

// A stack is a process with three live patches for overlapping functions, and
// the model of what it must answer.
type stack struct {
	t        *testing.T
	in       *Injector
	tg       *target
	patches  []*livepatch.Container
	replaces [][]string // by each patch
	active   []int      // oldest first
}

func newStack(t *testing.T, entry string) *stack {
	f := newFixture(t, entry)
	s := &stack{t: t, in: New(Options{}), replaces: [][]string{
		{"answer", "second"}, {"second", "branchy"}, {"answer", "branchy"},
	}}
	for i, functions := range s.replaces {
		s.patches = append(s.patches, f.container(t, i+2, functions...))
	}
	s.tg = f.startProgram(t, "testdata/stacked.c")
	return s
}

// want is what the process answers: of every function the newest replacement.
func (s *stack) want() string {
	a := map[string]int{"answer": 1, "second": 1, "branchy": 1}
	for _, i := range s.active {
		for _, name := range s.replaces[i] {
			a[name] = map[string]int{"answer": i + 2, "second": 10 * (i + 2), "branchy": 100 * (i + 2)}[name]
		}
	}
	return fmt.Sprintf("%d,%d,%d", a["answer"], a["second"], a["branchy"])
}

func (s *stack) apply(i int) {
	s.t.Helper()
	word := Already
	if !slices.Contains(s.active, i) {
		word = Applied
		s.active = append(s.active, i)
	}
	rs, err := s.in.Apply(background(), only(s.tg.pid), s.patches[i:i+1])
	s.check(result(s.t, word, rs, err))
}

func (s *stack) revert(i int) {
	s.t.Helper()
	word := NotApplied
	if at := slices.Index(s.active, i); at >= 0 {
		word = Reverted
		s.active = slices.Delete(s.active, at, at+1)
	}
	rs, err := s.in.Revert(background(), only(s.tg.pid), s.patches[i:i+1])
	s.check(result(s.t, word, rs, err))
}

func (s *stack) check(r Result) {
	s.t.Helper()
	var have, want []string
	for _, p := range r.Patches {
		have = append(have, p.ID)
	}
	for _, i := range s.active {
		want = append(want, s.patches[i].ID)
	}
	if !slices.Equal(have, want) {
		s.t.Fatalf("in force: %d patches, want those numbered %v, in this order", len(have), s.active)
	}
	s.tg.does('x', s.want())
}

// TestStackedPatches applies patches for overlapping functions in every order
// and reverts them in every order.
func TestStackedPatches(t *testing.T) {
	orders := [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}
	for _, entry := range []string{"stock", "padded endbr"} {
		t.Run(entry, func(t *testing.T) {
			s := newStack(t, entry)
			s.tg.does('x', s.want())
			for _, applied := range orders {
				for _, reverted := range orders {
					for _, i := range applied {
						s.apply(i)
					}
					for _, i := range reverted {
						s.revert(i)
					}
				}
			}
			s.tg.unharmed()
			s.tg.ends()
		})
	}
}

// TestStackedPatchesAtRandom mixes all of it, with what is there already and
// what is not, and with replacing everything.
func TestStackedPatchesAtRandom(t *testing.T) {
	s := newStack(t, "stock")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range rounds(100, 5000) {
		switch i := random.IntN(3); random.IntN(9) {
		case 0, 1, 2, 3:
			s.apply(i)
		case 4, 5, 6, 7:
			s.revert(i)
		default:
			s.replace(i)
		}
	}
	s.tg.unharmed()
	s.tg.ends()
}

func (s *stack) replace(i int) {
	s.t.Helper()
	word := Applied
	switch kept := slices.Contains(s.active, i); {
	case kept && len(s.active) == 1:
		word = Already
	case kept:
		word = Reverted
	case len(s.active) > 0:
		word = Replaced
	}
	s.active = []int{i}
	rs, err := s.in.Replace(background(), only(s.tg.pid), s.patches[i:i+1])
	s.check(result(s.t, word, rs, err))
}
