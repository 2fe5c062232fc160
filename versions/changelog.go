package versions

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions/rpmfile"
)

// maxEntryText bounds what is read of one entry, in bytes.
const maxEntryText = 64 << 10

// changelog is what a record keeps of a verified package's changelog. A package
// without one has an empty one: nothing can be read from that, but it was read.
func changelog(p *rpmfile.Package) (*elfinfo.Changelog, error) {
	entries, err := p.Changelog(elfinfo.MaxChangelogEntries)
	if err != nil {
		return nil, err
	}
	c := new(elfinfo.Changelog)
	for i, e := range entries {
		c.Entries = append(c.Entries, mark(e)...)
		if len(c.Mentions) == elfinfo.MaxChangelogMentions {
			continue
		}
		for _, m := range mentions(whole(e.Text, maxEntryText)) {
			m.Entry, m.Time, m.Title = i, e.Time, cut(printable(e.Title))
			c.Mentions = append(c.Mentions, m)
		}
		c.Mentions = c.Mentions[:min(len(c.Mentions), elfinfo.MaxChangelogMentions)]
	}
	if len(entries) > 0 {
		c.Newest, c.Oldest = entries[0].Time, entries[len(entries)-1].Time
	}
	return c, nil
}

// whole is a text of at most limit bytes that ends with a whole line: half a
// name would be that of another CVE, half a sentence could say the opposite.
func whole(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return text[:strings.LastIndexByte(text[:limit], '\n')+1]
}

// mark tells entries apart. Blanks do not count: tools that carry changelogs
// from package to package wrap lines.
func mark(e rpmfile.ChangelogEntry) []byte {
	text := strings.Join(strings.Fields(e.Title+" "+e.Text), " ")
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s", e.Time.Unix(), text))
	return sum[:elfinfo.ChangelogMark]
}

// mentions are the places of one entry that name a CVE, each CVE once a paragraph.
func mentions(text string) []elfinfo.Mention {
	var found []elfinfo.Mention
	for _, p := range paragraphs(text) {
		if !strings.Contains(strings.ToUpper(p.own.String()), "CVE-") {
			continue
		}
		whole := p.text()
		seen := make(map[string]bool)
		for _, cve := range cveNames(p.own.String()) {
			if !seen[cve] {
				seen[cve] = true
				found = append(found, elfinfo.Mention{CVE: cve, Text: excerpt(whole, cve), Doubt: doubt(whole)})
			}
		}
	}
	return found
}

// A paragraph is one bullet of an entry with the lines that continue it, or
// lines that stand below none.
type paragraph struct {
	indent int        // of the bullet; -1 without one
	depth  int        // bullets that it stands below
	parent *paragraph // the nearest of these, nil without one
	own    strings.Builder
}

// text is the paragraph and, before it, those that it stands below: what
// "Remove patches:" says is said of every patch listed there.
func (p *paragraph) text() string {
	above := p.parent
	if above == nil || above.indent < 0 && !strings.HasSuffix(above.own.String(), ":") {
		return p.own.String() // Debian's "[ Jane Doe ]" is no heading
	}
	return above.text() + p.own.String()
}

// maxNesting bounds bullets below bullets: no person writes more.
const maxNesting = 8

// paragraphs takes an entry apart. Bullets are "-", "*" and "+", as SUSE, Fedora
// and Debian use them, one below another where they stand further in.
func paragraphs(text string) []*paragraph {
	last := &paragraph{indent: -1}
	all := []*paragraph{last}
	blank := false
	for line := range strings.Lines(text) {
		body := strings.TrimLeft(line, " \t")
		indent := len(line) - len(body)
		body = strings.TrimSpace(body)
		if body == "" {
			blank = true
			continue
		}
		for last.indent >= indent && last.parent != nil {
			last = last.parent
		}
		switch {
		case bullet(body) && last.depth < maxNesting:
			last = &paragraph{indent: indent, depth: last.depth + 1, parent: last}
			all = append(all, last)
			body = strings.TrimSpace(body[1:])
		case blank && last.parent == nil:
			last = &paragraph{indent: -1}
			all = append(all, last)
		}
		blank = false
		last.own.WriteString(" " + body)
	}
	return all
}

func bullet(line string) bool {
	return len(line) > 1 && strings.IndexByte("-*+", line[0]) >= 0 && (line[1] == ' ' || line[1] == '\t')
}

var cvePattern = regexp.MustCompile(`(?i)CVE-[0-9]{4}-[0-9]+`)

// cveNames are the CVEs that a text names, in capitals. A number is as long as
// it stands there, 4 to 19 digits (CVE Record Format, cveId).
func cveNames(text string) []string {
	var names []string
	for _, at := range cvePattern.FindAllStringIndex(text, -1) {
		digits := at[1] - at[0] - len("CVE-2000-")
		if digits < 4 || digits > 19 || at[0] > 0 && alphanumeric(text[at[0]-1]) {
			continue
		}
		names = append(names, strings.ToUpper(text[at[0]:at[1]]))
	}
	return names
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// What a paragraph may say other than that something is fixed. Words that mostly
// describe the fault ("not checked", "ignored") are left out.
var (
	retraction = regexp.MustCompile(`(?i)\b(?:drop(?:s|ped|ping)?|remov(?:e|es|ed|ing)|delet(?:e|es|ed|ing))\b`)
	// takenOver: the patch is dropped because the sources have the fix by now.
	takenOver = regexp.MustCompile(`(?i)\bupstreamed\b|` +
		`\b(?:fixed|merged|included|applied|contained|integrated|incorporated|already) ` +
		`(?:in |by |into )?(?:the )?(?:new |latest |this )?(?:upstream|release|version|update)\b`)
	denial = regexp.MustCompile(`(?i)\b(?:revert(?:s|ed|ing)?|back(?:s|ed|ing)? out|roll(?:s|ed|ing)? back|undo(?:es|ne|ing)?|` +
		`withdr(?:aw|ew)[a-z]*|reintroduc(?:e|es|ed|ing)|comment(?:s|ed|ing)? (?:it )?out|disabl(?:e|es|ed|ing)|` +
		`un(?:affected|fixed|reproducible|resolved|patched|appl(?:y|ied))|still|incomplete(?:ly)?|partial(?:ly)?|mitigat(?:e|es|ed|ing|ion|ions)|` +
		`workarounds?|reject(?:s|ed)?|wontfix|postpon(?:e|es|ed|ing)|todo|(?:known|open) issues?|lack(?:s|ed|ing)? (?:the |a )?(?:fix|patch)|` +
		`(?:fix|patch) (?:is |still )?pending|pending (?:a |the )?(?:fix|patch)|will follow|(?:will|to) be (?:fixed|addressed)|` +
		`no (?:[a-z]+ ){0,2}(?:fix|patch)|prepar(?:e|es|ed|ing|ation|ations) for|` +
		`not (?:be |been |yet |an? |really )*(?:affected|vulnerable|applicable|exploitable|fixed|applied|present|relevant|issue|needed|required|` +
		`addressed|resolved|patched|backported|solved)|` +
		`(?:do|does|did|is|was|are|were|has|have)(?: not|n't) (?:yet |been |be )*(?:affect|apply|appli|fix|contain|include|present|vulnerable)[a-z]*|` +
		`(?:not|[a-z]+n't|cannot|never) (?:[a-z]+ ){0,2}(?:fix|address|resolve|backport|patch|solve|apply)(?: [a-z]+){0,3} CVE|` +
		`(?:skip|exclud|vulnerable)[a-z]* (?:[a-z]+ ){0,3}CVE)\b`)
)

// doubt returns the words for which a paragraph that names a CVE may not say
// that it is fixed, "" if there are none.
func doubt(text string) string {
	text = strings.ReplaceAll(text, "\u2019", "'") // as word processors write it
	if word := denial.FindString(text); word != "" {
		return strings.ToLower(word)
	}
	if word := retraction.FindString(text); word != "" && !takenOver.MatchString(text) {
		return strings.ToLower(word)
	}
	return ""
}

// excerpt is the part of a text around a name, on one line and no longer than a
// record allows.
func excerpt(text, name string) string {
	text = printable(text)
	if len(text) <= elfinfo.MaxMentionText {
		return text
	}
	at := max(strings.Index(strings.ToUpper(text), name)-elfinfo.MaxMentionText/2, 0)
	at = min(at, len(text)-elfinfo.MaxMentionText)
	for !utf8.RuneStart(text[at]) {
		at++
	}
	return cut(text[at:])
}

// printable makes one line of a text: it comes from a package and goes to terminals.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	return strings.Join(strings.Fields(text), " ")
}

// cut shortens a text to what a record allows, at a whole character.
func cut(text string) string {
	if len(text) > elfinfo.MaxMentionText {
		text = text[:elfinfo.MaxMentionText]
	}
	return strings.ToValidUTF8(text, "")
}
