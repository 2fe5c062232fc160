package rpmfile

import (
	"fmt"
	"time"
)

// Tags of the changelog (rpmTag): three arrays, one element an entry.
const (
	tagChangelogTime = 1080
	tagChangelogName = 1081
	tagChangelogText = 1082
)

// A ChangelogEntry is one entry of %changelog.
type ChangelogEntry struct {
	// Time is in UTC. rpmbuild makes it noon of the day.
	Time time.Time
	// Title is what follows the date: a name, an address, mostly a version.
	Title string
	Text  string
}

// Changelog returns the entries of the package's changelog in the header's
// order, which is newest first, and no more than limit of them; none if the
// package has none. The error wraps ErrFormat.
//
// Precondition: the package is verified.
func (p *Package) Changelog(limit int) ([]ChangelogEntry, error) {
	entries, err := p.changelog(limit)
	if err != nil {
		return nil, fmt.Errorf("%s: changelog: %w", p.name, err)
	}
	return entries, nil
}

func (p *Package) changelog(limit int) ([]ChangelogEntry, error) {
	times, err := p.hdr.numbers(tagChangelogTime)
	if err != nil {
		return nil, err
	}
	titles, err := p.hdr.strings(tagChangelogName)
	if err != nil {
		return nil, err
	}
	texts, err := p.hdr.strings(tagChangelogText)
	if err != nil {
		return nil, err
	}
	if len(titles) != len(times) || len(texts) != len(times) {
		return nil, fmt.Errorf("%w: %d times, %d titles, %d texts", ErrFormat, len(times), len(titles), len(texts))
	}
	entries := make([]ChangelogEntry, min(len(times), limit))
	for i := range entries {
		if times[i] > 1<<32-1 {
			return nil, fmt.Errorf("%w: time %d of entry %d", ErrFormat, times[i], i)
		}
		entries[i] = ChangelogEntry{time.Unix(int64(times[i]), 0).UTC(), titles[i], texts[i]}
	}
	return entries, nil
}
