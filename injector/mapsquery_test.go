package injector

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMappingsInAreThoseOfMaps: what the kernel answers is what it shows in the
// maps file, wherever a range begins and ends.
func TestMappingsInAreThoseOfMaps(t *testing.T) {
	exe := compile(t, "target", subjectSource)
	tg := launch(t, exec.Command(exe))
	p := hold(t, tg.pid)
	maps, err := p.mappings()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.mappingsIn(span{maps[0].start, maps[0].end}); errors.Is(err, errNoQuery) {
		t.Skip("Linux 6.11 brought PROCMAP_QUERY")
	}
	for i, m := range maps {
		if m.start >= 1<<47 {
			continue // the vsyscall page belongs to no process
		}
		from := span{m.start - pageSize, m.start + 1}
		want := []mapping{m}
		if i > 0 && maps[i-1].end == m.start {
			want = []mapping{maps[i-1], m}
		}
		if m.deleted = false; len(m.path) >= len(p.mapName) {
			continue
		}
		got, err := p.mappingsIn(from)
		if errors.Is(err, errNoQuery) {
			continue // the name of the one before is too long
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(mapping{})); diff != "" {
			t.Errorf("%#x-%#x: %s", from.start, from.end, diff)
		}
	}
	free := span{pageSize, maps[0].start}
	if got, err := p.mappingsIn(free); err != nil || len(got) > 0 {
		t.Errorf("mappings in %#x-%#x: %+v, %v", free.start, free.end, got, err)
	}
	tg.say("exec %s", exe)
	tg.expect("ready")
	if _, err := p.mappingsIn(span{0, 1 << 47}); !errors.Is(err, ErrGone) {
		t.Errorf("mappings after exec: %v, want ErrGone", err)
	}
}
