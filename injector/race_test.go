package injector

import (
	"errors"
	"slices"
	"testing"
)

// TestPlaceTakenMeanwhile: a thread of the process has mapped memory of its own
// where the region was to go. That memory must not be mistaken for ours.
func TestPlaceTakenMeanwhile(t *testing.T) {
	f := newFixture(t, "stock")
	tg := f.startHard(t, "plain")
	p, err := openProcess("/proc", tg.pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	j := &job{in: New(Options{}), p: p, result: &Result{}}
	if err := j.look(); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(j.maps, func(m mapping) bool { return m.write && m.path == "" })
	if i < 0 {
		t.Fatal("it has no anonymous memory")
	}
	g := region{size: pageSize}
	withData := region{size: 2 * pageSize, writable: []span{{pageSize, 2 * pageSize}}}
	for _, calls := range [][]remoteCall{g.calls(j.maps[i].start), withData.calls(j.maps[i].start - pageSize)} {
		err = trace(p, func(tr *tracer) error {
			_, err := tr.run(calls, tails(j.objs))
			return err
		})
		var b blocked
		if !errors.As(err, &b) {
			t.Errorf("memory of the process's own is taken for ours: %v", err)
		}
	}
	tg.says(old)
	tg.unharmed()
}
