package versions

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Support says until when builds are supported.
type Support struct {
	// Window is how long after its build date a build is supported, where no
	// row of Until is about it; the zero Span is for ever.
	Window Span
	// Until are ends that are known. The first row that is about a build counts.
	Until []SupportEnd
}

// SupportEnd is one row: the end of support of some builds.
type SupportEnd struct {
	// Versions are the versions that the row is about, Product the product that
	// ships them; the zero Range and "" are any.
	Versions Range
	Product  string
	// End is the last day of support; the time of day does not count.
	End time.Time
}

// End is the last second of support of a build: a day ends at 23:59:59 UTC.
// nil means that there is no end, or none is known.
//
// A build that several products ship is supported as long as one of them
// supports it.
func (s Support) End(nevra string, products []string, built time.Time) *time.Time {
	if len(products) == 0 {
		products = []string{""}
	}
	var latest *time.Time
	for _, product := range products {
		end := s.endIn(nevra, product, built)
		if end == nil {
			return nil
		}
		if latest == nil || end.After(*latest) {
			latest = end
		}
	}
	return latest
}

func (s Support) endIn(nevra, product string, built time.Time) *time.Time {
	for _, row := range s.Until {
		if (row.Product == "" || row.Product == product) && row.Versions.Contains(nevra) {
			return endOfDay(row.End)
		}
	}
	if s.Window == (Span{}) {
		return nil
	}
	return endOfDay(s.Window.After(built))
}

func endOfDay(t time.Time) *time.Time {
	y, m, d := t.UTC().Date()
	end := time.Date(y, m, d, 23, 59, 59, 0, time.UTC)
	return &end
}

// A Span is a length of time in calendar units.
type Span struct{ Months, Days int }

// spanUnits are the units of ParseSpan.
var spanUnits = map[string]Span{"day": {Days: 1}, "week": {Days: 7}, "month": {Months: 1}, "year": {Months: 12}}

const maxSpanDays = 100 * 366

// ParseSpan reads "N day|week|month|year", with or without the plural s, of at
// most a hundred years.
func ParseSpan(s string) (Span, error) {
	number, unit, _ := strings.Cut(s, " ")
	size, known := spanUnits[strings.TrimSuffix(unit, "s")]
	n, err := strconv.ParseUint(number, 10, 16)
	span := Span{Months: int(n) * size.Months, Days: int(n) * size.Days}
	if err != nil || !known || span.Months*31+span.Days > maxSpanDays {
		return Span{}, fmt.Errorf("%q is not a span such as \"13 months\"", s)
	}
	return span, nil
}

// After is the time that lies the span after t, as a person counts: a month
// later is the same day of the next month, or its last one if it has no such
// day.
func (s Span) After(t time.Time) time.Time {
	t = t.UTC()
	y, m, d := t.Date()
	lastDay := time.Date(y, m+time.Month(s.Months)+1, 0, 0, 0, 0, 0, time.UTC).Day()
	hour, minute, second := t.Clock()
	return time.Date(y, m+time.Month(s.Months), min(d, lastDay)+s.Days, hour, minute, second, 0, time.UTC)
}
