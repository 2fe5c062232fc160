package pipeline

import (
	"fmt"
	"slices"
	"strings"
)

// A Sum is what became of one live patch in all builds.
type Sum struct {
	Patch string
	// Builds are those with a row, Groups of how many kinds they are; 0 if that
	// is not known.
	Builds, Groups int

	results map[Result]int
}

// Summary is one Sum for each live patch, in the order of the rows.
func (r *Report) Summary() []Sum {
	var sums []Sum
	groups := map[string]bool{}
	for _, row := range r.Rows {
		i := slices.IndexFunc(sums, func(s Sum) bool { return s.Patch == row.Patch })
		if i < 0 {
			i = len(sums)
			sums = append(sums, Sum{Patch: row.Patch, results: map[Result]int{}})
		}
		sums[i].Builds++
		sums[i].results[row.Result]++
		if key := row.Patch + "\x00" + row.Group; row.Group != "" && !groups[key] {
			groups[key] = true
			sums[i].Groups++
		}
	}
	return sums
}

// Count is the number of builds with that result.
func (s Sum) Count(result Result) int { return s.results[result] }

// String is the sum as a person reads it, as "malloc: 8 builds, 3 groups: 7 passed, 1 failed".
func (s Sum) String() string {
	return s.Patch + ": " + s.What()
}

// What is String without the name of the patch.
func (s Sum) What() string {
	text := plural(s.Builds, "build")
	if s.Groups > 0 {
		text += ", " + plural(s.Groups, "group")
	}
	return text + ": " + counted(s.results)
}

// counted is "7 passed, 1 failed", in the order of the stages' results.
func counted(results map[Result]int) string {
	var parts []string
	for _, result := range []Result{Built, Cached, OK, Passed, NotConcerned, Skipped, Failed} {
		if n := results[result]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, result.word()))
		}
	}
	return strings.Join(parts, ", ")
}

// word is the result in running text.
func (r Result) word() string {
	return strings.ToLower(strings.ReplaceAll(string(r), "-", " "))
}

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}
