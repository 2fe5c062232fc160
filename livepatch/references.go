package livepatch

import (
	"regexp"
	"sync"
)

// referencePattern is made when it is first needed: lpctl never needs it.
var referencePattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\b(?:bsc#[0-9]+|jsc#[A-Z]+-[0-9]+|CVE-[0-9]{4}-[0-9]{4,})\b`)
})

// ScanReferences returns the bug and CVE numbers in the comments of a
// description: bsc#NUMBER, jsc#PROJECT-NUMBER, CVE-YEAR-NUMBER; each once, in
// order of appearance.
func ScanReferences(comments []string) []string {
	var refs []string
	seen := make(map[string]bool)
	for _, c := range comments {
		for _, ref := range referencePattern().FindAllString(c, -1) {
			if !seen[ref] {
				seen[ref] = true
				refs = append(refs, ref)
			}
		}
	}
	return refs
}
