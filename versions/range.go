package versions

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/lpbuild/lpbuild/versions/rpmfile"
	"github.com/lpbuild/lpbuild/versions/rpmmd"
)

// A Range is a set of package versions, as ">= 2.34, < 2.36-9". The zero Range
// holds every version.
type Range struct {
	text  string
	terms []term
}

// term is one comparison. What the text leaves out is not compared.
type term struct {
	operator         string
	epoch            uint32
	version, release string
	hasEpoch         bool
}

// accepted says which results of a comparison (-1, 0, 1) an operator accepts.
var accepted = map[string]func(int) bool{
	"<":  func(o int) bool { return o < 0 },
	"<=": func(o int) bool { return o <= 0 },
	"=":  func(o int) bool { return o == 0 },
	"!=": func(o int) bool { return o != 0 },
	">=": func(o int) bool { return o >= 0 },
	">":  func(o int) bool { return o > 0 },
}

const (
	maxRange = 1 << 12 // bytes of a range
	versionC = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._+~^"
)

// ParseRange reads comparisons joined by ",", which all must hold. Each is one
// of < <= = != >= > and then [EPOCH:]VERSION[-RELEASE], compared as rpm does.
// A release that is left out is not compared, as in rpm's own requirements.
// Neither is an epoch, which rpm would take for 0: "rpm -q" does not show
// epochs, so whoever writes a range rarely knows that there is one.
func ParseRange(s string) (Range, error) {
	if len(s) > maxRange {
		return Range{}, fmt.Errorf("range of versions: more than %d bytes", maxRange)
	}
	r := Range{text: s}
	for part := range strings.SplitSeq(s, ",") {
		t, err := parseTerm(strings.TrimSpace(part))
		if err != nil {
			return Range{}, fmt.Errorf("range of versions %q: %w", s, err)
		}
		r.terms = append(r.terms, t)
	}
	return r, nil
}

func parseTerm(s string) (term, error) {
	text := strings.TrimLeft(s, "<>=!")
	t := term{operator: s[:len(s)-len(text)]}
	if accepted[t.operator] == nil {
		return t, fmt.Errorf("%q does not begin with one of < <= = != >= >", s)
	}
	text = strings.TrimSpace(text)
	if epoch, rest, found := strings.Cut(text, ":"); found {
		e, err := strconv.ParseUint(epoch, 10, 32)
		if err != nil {
			return t, fmt.Errorf("epoch %q: %w", epoch, err)
		}
		t.epoch, t.hasEpoch, text = uint32(e), true, rest
	}
	var dash bool
	t.version, t.release, dash = strings.Cut(text, "-")
	if t.version == "" || dash && t.release == "" || strings.Trim(t.version+t.release, versionC) != "" {
		return t, fmt.Errorf("%q is not [EPOCH:]VERSION[-RELEASE]", strings.TrimLeft(s, "<>=! "))
	}
	return t, nil
}

// String is the text that ParseRange read.
func (r Range) String() string { return r.text }

// Contains says whether the package of that NEVRA is in the range. A text that
// is no NEVRA is in none but the zero Range.
func (r Range) Contains(nevra string) bool {
	if len(r.terms) == 0 {
		return true
	}
	n, err := rpmfile.ParseNEVRA(nevra)
	if err != nil {
		return false
	}
	for _, t := range r.terms {
		if !accepted[t.operator](t.compare(n)) {
			return false
		}
	}
	return true
}

// compare orders a package by the version of the term.
func (t term) compare(n rpmfile.NEVRA) int {
	epoch, release := 0, 0
	if t.hasEpoch {
		epoch = cmp.Compare(n.Epoch, t.epoch)
	}
	if t.release != "" {
		release = rpmmd.CompareVersions(n.Release, t.release)
	}
	return cmp.Or(epoch, rpmmd.CompareVersions(n.Version, t.version), release)
}
