package versions

import (
	"testing"
	"time"
)

func day(t *testing.T, s string) time.Time {
	t.Helper()
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestSpanAfter: months are those of the calendar.
func TestSpanAfter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ from, span, want string }{
		{"2026-05-27", "13 months", "2027-06-27"},
		{"2026-01-31", "1 month", "2026-02-28"},
		{"2024-01-31", "1 months", "2024-02-29"},
		{"2024-02-29", "1 year", "2025-02-28"},
		{"2025-12-31", "2 months", "2026-02-28"},
		{"2025-10-31", "13 months", "2026-11-30"},
		{"2026-02-20", "2 weeks", "2026-03-06"},
		{"2026-02-27", "2 days", "2026-03-01"},
	} {
		span, err := ParseSpan(tt.span)
		if err != nil {
			t.Fatal(err)
		}
		if got := span.After(day(t, tt.from)).Format(time.DateOnly); got != tt.want {
			t.Errorf("%s after %s is %s, want %s", tt.span, tt.from, got, tt.want)
		}
	}
	for _, bad := range []string{"", "13", "months", "-1 days", "1  day", "9999 years", "1 dayss", "1.5 years", "40000 days"} {
		if span, err := ParseSpan(bad); err == nil {
			t.Errorf("%q was read as %+v", bad, span)
		}
	}
}

func TestSupportEnd(t *testing.T) {
	t.Parallel()
	old, err := ParseRange("< 2.32")
	if err != nil {
		t.Fatal(err)
	}
	s := Support{
		Window: Span{Months: 13},
		Until: []SupportEnd{
			{Product: "lts", Versions: old, End: day(t, "2030-01-01")},
			{Versions: old, End: day(t, "2026-12-31")},
			{Product: "short", End: day(t, "2026-01-01")},
		},
	}
	built := time.Date(2026, 3, 31, 17, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		nevra    string
		products []string
		want     string
	}{
		{"glibc-2.31-1.x86_64", nil, "2026-12-31"},
		{"glibc-2.31-1.x86_64", []string{"short"}, "2026-12-31"}, // the first row counts
		{"glibc-2.31-1.x86_64", []string{"lts"}, "2030-01-01"},
		{"glibc-2.31-1.x86_64", []string{"short", "lts"}, "2030-01-01"}, // the product that lasts longest
		{"glibc-2.36-1.x86_64", []string{"short"}, "2026-01-01"},
		{"glibc-2.36-1.x86_64", []string{"lts"}, "2027-04-30"},
	} {
		got := s.End(tt.nevra, tt.products, built)
		if got == nil || got.Format(time.DateTime) != tt.want+" 23:59:59" || got.Location() != time.UTC {
			t.Errorf("%s of %v: %v, want %s", tt.nevra, tt.products, got, tt.want)
		}
	}
	s.Window = Span{}
	if got := s.End("glibc-2.36-1.x86_64", []string{"short", "lts"}, built); got != nil {
		t.Errorf("one product supports it for ever, the build ends %v", got)
	}
}
