package rpmmd

import (
	"cmp"
	"strings"

	"github.com/lpbuild/lpbuild/versions/rpmfile"
)

// Compare orders two packages by epoch, version and release, as rpm does: -1
// if a is older than b, 0 if they are equal, 1 if a is newer. Names and
// architectures are not looked at.
func Compare(a, b rpmfile.NEVRA) int {
	return cmp.Or(
		cmp.Compare(a.Epoch, b.Epoch),
		CompareVersions(a.Version, b.Version),
		CompareVersions(a.Release, b.Release),
	)
}

// CompareVersions orders two version or release strings by the rules of
// rpmvercmp (rpmio/rpmvercmp.cc): runs of digits compare as numbers, runs of
// letters as text, digits are newer than letters, everything else only
// separates; "~" is older than the end of the string, "^" is newer than it but
// older than anything else.
func CompareVersions(a, b string) int {
	for a != "" || b != "" {
		a, b = strings.TrimLeftFunc(a, separates), strings.TrimLeftFunc(b, separates)
		if order, both := special(&a, &b); order != 0 {
			return order
		} else if both {
			continue
		}
		if a == "" || b == "" {
			break
		}
		digits := isDigit(rune(a[0]))
		class := isLetter
		if digits {
			class = isDigit
		}
		x, y := run(&a, class), run(&b, class)
		if y == "" { // different kinds
			if digits {
				return 1
			}
			return -1
		}
		if order := compareRun(x, y, digits); order != 0 {
			return order
		}
	}
	return cmp.Compare(min(len(a), 1), min(len(b), 1))
}

// special compares where a or b is at a tilde or caret; both says that it took
// one from each.
func special(a, b *string) (order int, both bool) {
	for _, mark := range []string{"~", "^"} {
		inA, inB := strings.HasPrefix(*a, mark), strings.HasPrefix(*b, mark)
		switch {
		case inA && inB:
			*a, *b = (*a)[1:], (*b)[1:]
			return 0, true
		case !inA && !inB:
			continue
		}
		// The side with the tilde is older. So is the side with the caret,
		// unless the other has ended.
		older := inA
		if mark == "^" && (inA && *b == "" || inB && *a == "") {
			older = !older
		}
		if older {
			return -1, false
		}
		return 1, false
	}
	return 0, false
}

func compareRun(x, y string, digits bool) int {
	if digits {
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if order := cmp.Compare(len(x), len(y)); order != 0 {
			return order
		}
	}
	return strings.Compare(x, y)
}

// run takes the longest run of a class from the front of s.
func run(s *string, class func(rune) bool) string {
	rest := strings.TrimLeftFunc(*s, class)
	head := (*s)[:len(*s)-len(rest)]
	*s = rest
	return head
}

func isDigit(r rune) bool  { return r >= '0' && r <= '9' }
func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func separates(r rune) bool { return !isDigit(r) && !isLetter(r) && r != '~' && r != '^' }
