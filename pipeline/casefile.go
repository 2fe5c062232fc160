package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// A caseFile is what the builds of a project say of one CVE and the functions
// that one live patch replaces.
//
// Changelogs are compared by their entries: that an entry of one package stands
// in the changelog of another one shows which of the two was made from the
// other, whatever their versions and dates are.
type caseFile struct {
	cve       string
	functions []string
	// said is what the changelogs show of builds; a build of which they show
	// nothing is not in it.
	said map[buildKey]Verdict
	// before and after are the code of the functions in builds that were made
	// before the fix, and in builds that have it and that differ from those.
	before, after map[string]codeEvidence
}

// codeEvidence is a build with that code; for after, other is the build from
// before the fix that has other code.
type codeEvidence struct{ build, other *elfinfo.Build }

// mark is that of one entry of a changelog.
type entryMark [elfinfo.ChangelogMark]byte

func newCaseFile(cve string, patch *Patch, builds []*elfinfo.Build) *caseFile {
	c := &caseFile{cve: cve, said: make(map[buildKey]Verdict), before: make(map[string]codeEvidence), after: make(map[string]codeEvidence)}
	c.readChangelogs(builds)
	if patch == nil {
		return c
	}
	for _, u := range patch.Description.Units {
		c.functions = append(c.functions, u.Name())
	}
	c.compareCode(targets(*patch, builds))
	return c
}

// entryEvidence is an entry that stands above or below the fix in a changelog.
type entryEvidence struct {
	build *elfinfo.Build
	fix   *elfinfo.Mention
}

// readChangelogs fills said: from what names the CVE, then from how the
// changelogs of the others are related to those.
func (c *caseFile) readChangelogs(builds []*elfinfo.Build) {
	above, below := make(map[entryMark]entryEvidence), make(map[entryMark]entryEvidence)
	for _, b := range builds {
		newest, oldest := c.mentions(b)
		if newest == nil {
			continue
		}
		fix := c.shown(b, newest, oldest)
		v := Verdict{Fixed, "changelog, " + fix.Time.Format(time.DateOnly) + ": " + fix.Text}
		if newest.Doubt != "" {
			v = Verdict{Unknown, fmt.Sprintf("changelog, %s, says %q: %s", newest.Time.Format(time.DateOnly), newest.Doubt, newest.Text)}
		}
		c.said[keyOf(b)] = v
		if v.Finding != Fixed {
			continue
		}
		for i, m := range entryMarks(b) {
			if i <= newest.Entry {
				note(above, m, entryEvidence{b, fix})
			} else if i > oldest.Entry {
				note(below, m, entryEvidence{b, fix})
			}
		}
	}
	c.relate(builds, above, below)
}

// relate fills said for builds whose changelogs do not name the CVE, by the
// entries that stand above and below the fix in those that do.
func (c *caseFile) relate(builds []*elfinfo.Build, above, below map[entryMark]entryEvidence) {
	for _, b := range builds {
		marks := entryMarks(b)
		if _, known := c.said[keyOf(b)]; known || len(marks) == 0 {
			continue
		}
		// A changelog that was cut short after the fix no longer names it. An
		// entry that another branch has below its own fix shows nothing.
		oldest := marks[len(marks)-1]
		_, contested := below[oldest]
		if e, ok := above[oldest]; ok && !contested {
			c.said[keyOf(b)] = Verdict{Fixed, fmt.Sprintf("its changelog, cut at %s, goes on from that of %s: %s",
				b.Changelog.Oldest.Format(time.DateOnly), e.build.NEVRA, e.fix.Text)}
		} else if e, ok := below[marks[0]]; ok {
			c.said[keyOf(b)] = Verdict{Affected, fmt.Sprintf("made before the fix: the changelog of %s, %s: %s",
				e.build.NEVRA, e.fix.Time.Format(time.DateOnly), e.fix.Text)}
		}
	}
}

// note keeps the first build that shows something.
func note(known map[entryMark]entryEvidence, m entryMark, e entryEvidence) {
	if _, ok := known[m]; !ok {
		known[m] = e
	}
}

// mentions returns the newest mention of the CVE and the oldest one; where the
// newest entry that names it says several things, one with doubt counts.
func (c *caseFile) mentions(b *elfinfo.Build) (newest, oldest *elfinfo.Mention) {
	if b.Changelog == nil {
		return nil, nil
	}
	for i := range b.Changelog.Mentions {
		m := &b.Changelog.Mentions[i]
		if m.CVE != c.cve {
			continue
		}
		if newest == nil || m.Entry < newest.Entry || m.Entry == newest.Entry && newest.Doubt == "" {
			newest = m
		}
		if oldest == nil || m.Entry > oldest.Entry {
			oldest = m
		}
	}
	return newest, oldest
}

// shown is the mention that a reason quotes: the oldest, which describes the fix
// where later ones say "upstreamed", unless one of them is doubtful.
func (c *caseFile) shown(b *elfinfo.Build, newest, oldest *elfinfo.Mention) *elfinfo.Mention {
	doubtful := func(m elfinfo.Mention) bool { return m.CVE == c.cve && m.Doubt != "" }
	if slices.ContainsFunc(b.Changelog.Mentions, doubtful) {
		return newest
	}
	return oldest
}

// entryMarks are the marks of a build's changelog, newest first.
func entryMarks(b *elfinfo.Build) []entryMark {
	if b.Changelog == nil {
		return nil
	}
	var marks []entryMark
	for m := range slices.Chunk(b.Changelog.Entries, elfinfo.ChangelogMark) {
		marks = append(marks, entryMark(m))
	}
	return marks
}

// compareCode fills before and after. A fixed build counts only where a build
// from before its own fix, of the same version, has other code: otherwise
// nothing shows that it is the fix by which they differ.
func (c *caseFile) compareCode(builds []*elfinfo.Build) {
	made := make(map[entryMark]*elfinfo.Build) // builds from before the fix, by their newest entry
	for _, b := range builds {
		code := c.code(b)
		if code == "" || c.said[keyOf(b)].Finding != Affected {
			continue
		}
		if _, ok := c.before[code]; !ok {
			c.before[code] = codeEvidence{build: b}
		}
		made[entryMarks(b)[0]] = b
	}
	for _, b := range builds {
		code := c.code(b)
		if code == "" || c.said[keyOf(b)].Finding != Fixed {
			continue
		}
		for _, m := range entryMarks(b) {
			earlier := made[m]
			if earlier != nil && version(earlier) == version(b) && c.code(earlier) != code && c.after[code].build == nil {
				c.after[code] = codeEvidence{b, earlier}
			}
		}
	}
}

// version is [EPOCH:]VERSION of the package that shipped the build.
func version(b *elfinfo.Build) string {
	v, _, _ := strings.Cut(strings.TrimPrefix(b.NEVRA, b.Package+"-"), "-")
	return v
}

// code identifies the code of all functions in a build; "" if one of them is
// absent or cannot be compared.
func (c *caseFile) code(b *elfinfo.Build) string {
	all := []string{b.Arch, b.Soname}
	for _, name := range c.functions {
		f, err := b.Function(name)
		if err != nil || f.Code == "" {
			return ""
		}
		all = append(all, f.Code)
	}
	return strings.Join(all, " ")
}

// verdict says what is known of a build.
func (c *caseFile) verdict(b *elfinfo.Build) Verdict {
	said, known := c.said[keyOf(b)]
	code := c.code(b)
	before, sameBefore := c.before[code]
	after, sameAfter := c.after[code]
	functions := strings.Join(c.functions, ", ")
	switch {
	case said.Finding == Fixed && sameBefore:
		return Verdict{Unknown, fmt.Sprintf("%s; but the code of %s is that of %s, made before the fix", said.Reason, functions, before.build.NEVRA)}
	case said.Finding == Fixed:
		return said
	case c.absent(b):
		return Verdict{Absent, "it has no " + functions}
	case said.Finding == Affected:
		return said
	case sameBefore && sameAfter:
		return Verdict{Unknown, fmt.Sprintf("the code of %s is that of %s, made before the fix, and of %s, which is fixed", functions, before.build.NEVRA, after.build.NEVRA)}
	case sameBefore:
		return Verdict{Affected, fmt.Sprintf("the code of %s is that of %s, made before the fix", functions, before.build.NEVRA)}
	case sameAfter:
		return Verdict{Fixed, fmt.Sprintf("the code of %s is that of %s, which is fixed, and not that of %s, made before the fix",
			functions, after.build.NEVRA, after.other.NEVRA)}
	case known:
		return said
	}
	return Verdict{Unknown, c.silence(b)}
}

// absent says that the build is known to have none of the functions.
func (c *caseFile) absent(b *elfinfo.Build) bool {
	for _, name := range c.functions {
		if _, err := b.Function(name); !errors.Is(err, elfinfo.ErrMissing) {
			return false
		}
	}
	return len(c.functions) > 0
}

// silence says what is missing to know more.
func (c *caseFile) silence(b *elfinfo.Build) string {
	for _, name := range c.functions {
		if _, err := b.Function(name); errors.Is(err, elfinfo.ErrNotRecorded) {
			return "the record knows neither " + name + " nor that there is none: run lpbuild download, with debug symbols"
		}
	}
	var text string
	switch {
	case b.Changelog == nil:
		return "the record has no changelog: run lpbuild download"
	case len(b.Changelog.Entries) == 0:
		text = "the package has no changelog"
	default:
		text = "the changelog, back to " + b.Changelog.Oldest.Format(time.DateOnly) + ", does not name it"
	}
	if len(c.functions) > 0 {
		text += ", and no build that is known has the same code"
	}
	return text
}
