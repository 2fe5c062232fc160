package elfinfo

import (
	"fmt"
	"slices"
	"time"
)

// Changelog is what a record keeps of the changelog of the package that shipped
// the build: which security fixes it names, and enough to tell whether one
// package was built before or after a change that another one names.
type Changelog struct {
	// Newest and Oldest are the times of the first and the last entry, in UTC.
	Newest time.Time `json:"newest,omitzero"`
	Oldest time.Time `json:"oldest,omitzero"`
	// Entries are marks of ChangelogMark bytes each, one an entry, newest first:
	// the beginning of the SHA-256 of its time, title and text. Entries of two
	// packages are the same if their marks are.
	Entries []byte `json:"entries"`
	// Mentions are the places that name a CVE, in the changelog's order.
	Mentions []Mention `json:"mentions,omitempty"`
}

// Mention is one place of a changelog that names a CVE.
type Mention struct {
	// CVE is CVE-YEAR-NUMBER in capitals.
	CVE string `json:"cve"`
	// Entry counts entries from the newest one, which is 0.
	Entry int `json:"entry"`
	// Time is that of the entry, in UTC; Title its second part: who made it,
	// and mostly for which version.
	Time  time.Time `json:"time"`
	Title string    `json:"title,omitempty"`
	// Text is the paragraph that names it, on one line and perhaps cut.
	Text string `json:"text"`
	// Doubt is the word of the text for which it may say something else than
	// that the CVE is fixed, as "revert"; "" if there is none.
	Doubt string `json:"doubt,omitempty"`
}

// ChangelogMark is the length of the mark of an entry, in bytes.
const ChangelogMark = 6

// Limits on the changelog in a record.
const (
	MaxChangelogEntries  = 4 << 10
	MaxChangelogMentions = 4 << 10
	MaxMentionText       = 400 // bytes
)

// Fixes are the CVEs that the changelog names as fixed, sorted, each once: no
// changelog, none.
func (b *Build) Fixes() []string {
	if b.Changelog == nil {
		return nil
	}
	var fixes []string
	for _, m := range b.Changelog.Mentions {
		if m.Doubt == "" {
			fixes = append(fixes, m.CVE)
		}
	}
	slices.Sort(fixes)
	return slices.Compact(fixes)
}

// check returns what is wrong with a changelog, "" if nothing is.
func (c *Changelog) check() string {
	if c == nil {
		return ""
	}
	if len(c.Entries)%ChangelogMark != 0 || len(c.Entries) > MaxChangelogEntries*ChangelogMark || len(c.Mentions) > MaxChangelogMentions {
		return fmt.Sprintf("changelog of %d bytes of marks, %d mentions", len(c.Entries), len(c.Mentions))
	}
	for _, m := range c.Mentions {
		if m.Entry < 0 || m.Entry >= len(c.Entries)/ChangelogMark {
			return fmt.Sprintf("changelog: %s in entry %d", m.CVE, m.Entry)
		}
		for _, s := range []string{m.CVE, m.Title, m.Text, m.Doubt} {
			if hasControl(s) || len(s) > MaxMentionText {
				return fmt.Sprintf("changelog: text %.40q", s)
			}
		}
	}
	return ""
}
