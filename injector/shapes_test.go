package injector

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/cpu"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// shape builds a library with one of the functions of testdata/shapes.S.
func shape(t *testing.T, name string, flags ...string) *fixture {
	t.Helper()
	return fixtureFrom(t, "testdata/shapes.S", append([]string{"-nostdlib", "-DSHAPE_" + name}, flags...), "answer")
}

// opens starts a program made by laterProgram, which opens the library.
func (f *fixture) opens(t *testing.T, program string) *target {
	t.Helper()
	tg := startTarget(t, exec.Command(program, f.library))
	tg.tells("o1", "0")
	tg.tells("a1", "1,0")
	return tg
}

// TestShapesThatWork: functions of unusual shapes are replaced and restored.
func TestShapesThatWork(t *testing.T) {
	program := laterProgram(t)
	for _, tt := range []struct {
		name  string
		flags []string
	}{
		{name: "straddle_nops"},
		{name: "straddle_pushes"},
		{name: "straddle_int3"},
		{name: "straddle_endbr"},
		{name: "straddle_endbr_far"},
		{name: "last"},
		{name: "first", flags: []string{"-Wl,--section-start=.first=0x100000"}},
		{name: "first_padded", flags: []string{"-Wl,--section-start=.first=0x100000"}},
		{name: "exactly_five"},
		{name: "cold"},
		{name: "avx"},
		{name: "avx_between"},
		{name: "jump"},
		{name: "jump_through"},
		{name: "call_next"},
		{name: "calls_first"},
		{name: "calls_second"},
		{name: "calls_slot"},
		{name: "calls_relaxed"},
		{name: "lock"},
		{name: "lock_first"},
		{name: "rep_first"},
		{name: "hotpatch"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if strings.HasPrefix(tt.name, "avx") {
				needAVX(t)
			}
			f := shape(t, tt.name, tt.flags...)
			set := []*livepatch.Container{f.container(t, 2, "answer")}
			tg := f.opens(t, program)
			in := New(Options{})
			for range 3 {
				rs, err := in.Apply(background(), only(tg.pid), set)
				result(t, Applied, rs, err)
				tg.tells("a1", "2,0")
				rs, err = in.Revert(background(), only(tg.pid), nil)
				result(t, Reverted, rs, err)
				tg.tells("a1", "1,0")
			}
			tg.unharmed()
			tg.ends()
		})
	}
}

func needAVX(t *testing.T) {
	t.Helper()
	if !cpu.X86.HasAVX {
		t.Skip("this processor has no AVX")
	}
}

// TestShapesAtTheEdge: the shapes of above are where they are meant to be.
func TestShapesAtTheEdge(t *testing.T) {
	for name, offset := range map[string]uint64{
		"straddle_nops": 4092, "straddle_pushes": 4093, "straddle_int3": 4094, "straddle_endbr": 4088,
		"straddle_two": 4095, "last": 4086, "first": 0,
	} {
		var flags []string
		if name == "first" {
			flags = []string{"-Wl,--section-start=.first=0x100000"}
		}
		f := shape(t, name, flags...)
		fn, err := f.build.Function("answer")
		if err != nil {
			t.Fatal(err)
		}
		if fn.Address%pageSize != offset {
			t.Errorf("%s: at %#x, want the offset %d in its page", name, fn.Address, offset)
		}
		if end := (fn.Address + fn.Size) % pageSize; name == "last" && end != 0 {
			t.Errorf("%s: ends at %d of its page", name, end)
		}
	}
}

// TestShapesThatAreRefused: where no safe detour is known, it is said why, and
// nothing changes.
func TestShapesThatAreRefused(t *testing.T) {
	program := laterProgram(t)
	for _, tt := range []struct {
		name string
		// recorded is why the record says so; "" if the function alone does not tell.
		recorded string
		// reason is what an apply answers, of a container that was made in spite of it.
		reason string
	}{
		{"straddle_no_filler", "", "straddles two pages"},
		{"straddle_fallen_into", "", "straddles two pages"},
		{"straddle_code_before", "", "straddles two pages"},
		{"straddle_named", "", "straddles two pages"},
		{"straddle_two", "", "straddles two pages"},
		{"straddle_padded", "", "straddles two pages"},
		{"branch_into", "inside the bytes", "inside the bytes"},
		{"neighbour_branches_into", "a branch in function neighbour lands", ""},
		{"short", "a detour needs 5", "its checksum differs"},
		{"endbr_short", "a detour needs 9", "a detour needs 9"},
		{"cold_to_start", "lands at +0x0", ""},
		{"cold_into", "inside the bytes", ""},
		{"jrcxz", "loop or jrcxz", "loop or jrcxz"},
		{"loop", "loop or jrcxz", "loop or jrcxz"},
		{"jump_short", "short jump", "short jump"},
		{"returns", "after an unconditional jump or return", "after an unconditional jump or return"},
		{"calls_pointer", "has a call through a pointer", "which may throw"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := shape(t, tt.name)
			fn, err := f.build.Function("answer")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(fn.Entry.Reason, tt.recorded) || (fn.Entry.Kind == elfinfo.EntryNone) != (tt.recorded != "") {
				t.Errorf("recorded as %+v, want %q", fn.Entry, tt.recorded)
			}
			if tt.reason != "" {
				f.refuses(t, program, tt.reason)
			}
		})
	}
}

// refuses has a container that claims to know better applied.
func (f *fixture) refuses(t *testing.T, program, reason string) {
	t.Helper()
	fn := &f.build.Functions["answer"][0]
	if fn.Entry.Kind == elfinfo.EntryNone {
		fn.Entry = elfinfo.Entry{Kind: elfinfo.EntryStock, Length: nearJump}
		f.build.Functions["answer"][0].Size = max(fn.Size, nearJump)
	}
	set := []*livepatch.Container{f.container(t, 2, "answer")}
	tg := f.opens(t, program)
	p, at := f.locate(t, tg, "answer")
	defer p.close()
	page := make([]byte, 3*pageSize)
	if err := p.readAt(page, at&^(pageSize-1)-pageSize); err != nil {
		t.Fatal(err)
	}
	rs, err := New(Options{}).Apply(background(), only(tg.pid), set)
	if r := result(t, Blocked, rs, err); !strings.Contains(r.Reason, reason) {
		t.Errorf("reason %q, want %q", r.Reason, reason)
	}
	now := make([]byte, len(page))
	if err := p.readAt(now, at&^(pageSize-1)-pageSize); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(page, now) {
		t.Error("the code has changed")
	}
	tg.tells("a1", "1,0")
	tg.unharmed()
	tg.ends()
}
