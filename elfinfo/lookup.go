package elfinfo

import (
	"fmt"
	"slices"
	"strings"
)

// Function finds the function that a description means by "name" or
// "name@source.c". Errors: [ErrNotRecorded], [ErrMissing], [ErrAmbiguous]; the
// message names the build and says what to do.
func (b *Build) Function(name string) (*Function, error) {
	bare, source, _ := strings.Cut(name, "@")
	all := b.Functions[bare]
	i, err := b.choose(name, "function", len(all), func(i int) (string, bool) {
		return all[i].Source, source == "" || all[i].Source == source
	})
	if err != nil {
		return nil, err
	}
	return &all[i], nil
}

// Variable finds a variable as [Build.Function] finds a function.
func (b *Build) Variable(name string) (*Variable, error) {
	bare, source, _ := strings.Cut(name, "@")
	all := b.Variables[bare]
	i, err := b.choose(name, "variable", len(all), func(i int) (string, bool) {
		return all[i].Source, source == "" || all[i].Source == source
	})
	if err != nil {
		return nil, err
	}
	return &all[i], nil
}

// choose finds the only one of n definitions that matches; at tells the source
// of a definition and whether it does.
func (b *Build) choose(name, kind string, n int, at func(int) (source string, match bool)) (int, error) {
	if n == 0 {
		return 0, b.missing(name, kind)
	}
	bare, _, qualified := strings.Cut(name, "@")
	var matches []int
	var candidates, all []string
	for i := range n {
		source, match := at(i)
		text := bare
		if source != "" {
			text += "@" + source
		}
		all = append(all, text)
		if match {
			matches, candidates = append(matches, i), append(candidates, text)
		}
	}
	switch {
	case len(matches) == 1:
		return matches[0], nil
	case len(matches) == 0:
		return 0, fmt.Errorf("%s: %s %q: %w: there is %s", displayName(b), kind, name, ErrMissing, list(all))
	case qualified:
		return 0, fmt.Errorf("%s: %s %q: %w: the file defines %d; use another name of the one that is meant",
			displayName(b), kind, name, ErrAmbiguous, len(matches))
	}
	return 0, fmt.Errorf("%s: %s %q: %w: write one of %s", displayName(b), kind, name, ErrAmbiguous, list(candidates))
}

// missing says why there is no function or variable of a name.
func (b *Build) missing(name, kind string) error {
	bare, _, _ := strings.Cut(name, "@")
	switch {
	case b.Functions[bare] != nil:
		return fmt.Errorf("%s: %s %q: %w: it is a function", displayName(b), kind, name, ErrMissing)
	case b.Variables[bare] != nil:
		return fmt.Errorf("%s: %s %q: %w: it is a variable", displayName(b), kind, name, ErrMissing)
	case slices.Contains(b.Absent, bare):
		return fmt.Errorf("%s: %s %q: %w", displayName(b), kind, name, ErrMissing)
	}
	return fmt.Errorf("%s: %s %q: %w: run \"lpbuild download\" to record it", displayName(b), kind, name, ErrNotRecorded)
}

// list writes names sorted, each once.
func list(names []string) string {
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}

// Err is nil if the function can be detoured, else an error that wraps
// [ErrNotLivepatchable] with the reason.
func (e Entry) Err() error {
	if e.Kind == EntryPadded || e.Kind == EntryStock {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrNotLivepatchable, e.Reason)
}
