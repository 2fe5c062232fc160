package elfinfo

import (
	"math"
	"slices"
	"testing"
)

func TestCodeMap(t *testing.T) {
	m := newCodeMap()
	for _, s := range []codeSymbol{
		{name: "zero"},
		{name: "long", start: 0x1ff0, end: 0x4010},
		{name: "alias", start: 0x1ff0, end: 0x4010},
		{name: "empty", start: 0x3000, end: 0x3000},
		{name: "last", start: math.MaxUint64, end: math.MaxUint64},
	} {
		if !m.add(s) {
			t.Errorf("%s is refused", s.name)
		}
	}
	if m.total != 7 {
		t.Errorf("%d pages are indexed, want 7", m.total)
	}
	if m.add(codeSymbol{name: "everything", end: math.MaxUint64}) {
		t.Error("a symbol of 16 EiB is taken")
	}
	for _, tc := range []struct {
		low, high uint64
		want      []string
	}{
		{low: 0, high: 1, want: []string{"zero"}},
		{low: 0x1000, high: 0x4fff, want: []string{"long", "empty"}},
		{low: 0x4020, high: 0x4021, want: []string{"long"}},
		{low: 0x5000, high: 0x6000},
	} {
		var got []string
		m.near(tc.low, tc.high, func(s codeSymbol) bool {
			got = append(got, s.name)
			return true
		})
		if !slices.Equal(got, tc.want) {
			t.Errorf("%#x to %#x: %q, want %q", tc.low, tc.high, got, tc.want)
		}
	}
}
