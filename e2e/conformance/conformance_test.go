package conformance

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// A row is one line of a peer's test table, done by us.
type row struct {
	// name is the peer's name for it.
	name string
	// checks says in a phrase what must be true.
	checks string
	test   func(testing.TB, engine)
	// alone keeps the row from running beside others.
	alone bool
}

// A peer is another live patcher with its table.
type peer struct {
	name string
	rows []row
}

var peers = []peer{
	{"libpulp", libpulpRows},
	{"LibCare", libcareRows},
}

// outcomes are what came of the rows that ran, by "peer/row".
var outcomes = struct {
	sync.Mutex
	of map[string]string
}{of: make(map[string]string)}

func TestConformance(t *testing.T) {
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			for _, r := range p.rows {
				t.Run(r.name, func(t *testing.T) {
					if !r.alone {
						t.Parallel()
					}
					defer note(t, p.name+"/"+r.name)
					r.test(t, realEngine())
				})
			}
		})
	}
}

// note remembers what came of a row.
func note(t *testing.T, name string) {
	result := "passes"
	switch {
	case t.Failed():
		result = "fails"
	case t.Skipped():
		result = "skipped"
	}
	outcomes.Lock()
	defer outcomes.Unlock()
	outcomes.of[name] = result
}

// TestNothingPassesVacuously runs every row with an engine that does nothing, and wants each to notice it.
func TestNothingPassesVacuously(t *testing.T) {
	const atOnce = 6
	slots := make(chan struct{}, atOnce)
	var group sync.WaitGroup
	for _, p := range peers {
		for _, r := range p.rows {
			slots <- struct{}{}
			group.Go(func() {
				defer func() { <-slots }()
				if problem := vacuous(t, r); problem != "" {
					t.Errorf("%s/%s: %s", p.name, r.name, problem)
				}
			})
		}
	}
	group.Wait()
}

// vacuous says what is wrong with a row's run with the engine that does nothing; "" if it fails as it must.
func vacuous(t *testing.T, r row) string {
	e := idleEngine()
	tb := record(t, r, e)
	first, _, _ := strings.Cut(strings.Join(tb.failures, "\n"), "\n")
	switch {
	case tb.skipped:
		t.Logf("%s is skipped", r.name)
	case tb.panicked != nil:
		return fmt.Sprintf("panics: %v", tb.panicked)
	case !tb.failed:
		return "passes although nothing is ever applied or reverted"
	case !tb.acted:
		return "fails before anything is applied or reverted: " + first
	default:
		t.Logf("%s: %s", r.name, first)
	}
	return ""
}

// A recorder is a testing.TB of its own, whose failure is not the test's.
type recorder struct {
	testing.TB // for what is not overridden, and for the method that only package testing can write
	name       string
	mu         sync.Mutex
	engine     engine
	failed     bool
	acted      bool // something was applied or reverted before it failed
	skipped    bool
	panicked   any
	failures   []string
	cleanups   []func()
}

// record runs a row to its end, with all that it left to do then.
func record(t testing.TB, r row, e engine) *recorder {
	tb := &recorder{TB: t, name: r.name, engine: e}
	tb.run(func() { r.test(tb, e) })
	for len(tb.cleanups) > 0 {
		last := tb.cleanups[len(tb.cleanups)-1]
		tb.cleanups = tb.cleanups[:len(tb.cleanups)-1]
		tb.run(last)
	}
	return tb
}

// run calls a function that may end its goroutine, as FailNow does.
func (r *recorder) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				r.panicked = p
			}
		}()
		f()
	}()
	<-done
}

func (r *recorder) fail(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.failed {
		r.acted = r.engine.calls.Load() > 0
	}
	r.failed = true
	r.failures = append(r.failures, strings.TrimSuffix(text, "\n"))
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) Skipped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.skipped
}

func (r *recorder) SkipNow() {
	r.mu.Lock()
	r.skipped = true
	r.mu.Unlock()
	runtime.Goexit()
}

func (r *recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *recorder) TempDir() string {
	return temporaryFolder(r)
}

func (r *recorder) Name() string                 { return r.name }
func (r *recorder) Helper()                      {}
func (r *recorder) Log(...any)                   {}
func (r *recorder) Logf(string, ...any)          {}
func (r *recorder) Fail()                        { r.fail("failed") }
func (r *recorder) FailNow()                     { r.Fail(); runtime.Goexit() }
func (r *recorder) Error(args ...any)            { r.fail(fmt.Sprintln(args...)) }
func (r *recorder) Errorf(f string, args ...any) { r.fail(fmt.Sprintf(f, args...)) }
func (r *recorder) Fatal(args ...any)            { r.Error(args...); runtime.Goexit() }
func (r *recorder) Fatalf(f string, args ...any) { r.Errorf(f, args...); runtime.Goexit() }
func (r *recorder) Skip(...any)                  { r.SkipNow() }
func (r *recorder) Skipf(string, ...any)         { r.SkipNow() }
