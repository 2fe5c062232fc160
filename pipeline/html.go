package pipeline

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html/template"
	"strings"
	"sync"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/templates/report"
)

var htmlTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("page.html").Parse(report.Page))
})

// WriteHTML writes the report as one page to the file: builds down, live
// patches across, the log of each failure. It needs no other file, no network
// and no script, and lets the browser use none. The file appears whole or not
// at all; equal rows give equal bytes.
func (r *Report) WriteHTML(file string, about About) error {
	var page bytes.Buffer
	if err := htmlTemplate().Execute(&page, newHTMLPage(r, about)); err != nil {
		return err
	}
	return writeFile(file, page.Bytes())
}

// htmlPage is the data of templates/report/page.html. All texts are plain: they
// come from packages and programs.
type htmlPage struct {
	About   About
	Date    string
	Policy  string        // Content-Security-Policy
	Style   template.HTML // the style element, to the byte that Policy has the digest of
	Verdict string
	Class   string // of the verdict

	Figures  []htmlFigure
	Columns  []htmlColumn
	Lines    []htmlLine
	Failures []htmlFailure
	Kinds    []htmlKind
}

// htmlKind is the failures of one live patch on the builds of one group: most
// likely they have one cause.
type htmlKind struct {
	Patch, Group string
	Of           int // builds of the group
	Failures     []htmlFailure
}

// Title is "malloc on group B: 1 of 3 builds".
func (k htmlKind) Title() string {
	where := ""
	if k.Group != "" {
		where = " on group " + k.Group
	}
	return fmt.Sprintf("%s%s: %d of %s", k.Patch, where, len(k.Failures), plural(k.Of, "build"))
}

type htmlFigure struct{ Name, Value string }

// htmlColumn is one live patch.
type htmlColumn struct{ Patch, What string }

func (c htmlColumn) String() string { return c.What }

// htmlLine is one build, with a cell for each live patch.
type htmlLine struct {
	NEVRA, Soname, BuildID, Short string
	Failed                        bool
	Cells                         []htmlCell
}

type htmlCell struct {
	Class, Word, Small string
	Failure            string // the ID of a failure
}

type htmlFailure struct {
	ID, Patch, NEVRA, Soname, BuildID, Group, Step, Reason, Log string
}

func newHTMLPage(r *Report, about About) *htmlPage {
	digest := sha256.Sum256([]byte(report.Style))
	page := &htmlPage{
		About: About{Name: plain(about.Name), Version: plain(about.Version), Package: plain(about.Package), Time: about.Time},
		Policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) +
			"'; base-uri 'none'; form-action 'none'",
		Style: template.HTML("<style>" + report.Style + "</style>"), //nolint:gosec // ours
	}
	if !about.Time.IsZero() {
		page.Date = about.Time.UTC().Format(time.DateOnly)
	}
	sums := r.Summary()
	columns := map[string]int{}
	for i, s := range sums {
		columns[s.Patch] = i
		page.Columns = append(page.Columns, htmlColumn{Patch: plain(s.Patch), What: s.What()})
	}
	type key struct {
		nevra, soname string
		id            elfinfo.BuildID
	}
	lines := map[key]int{}
	for _, row := range r.Rows {
		k := key{row.NEVRA, row.Soname, row.BuildID}
		i, known := lines[k]
		if !known {
			i = len(page.Lines)
			lines[k] = i
			page.Lines = append(page.Lines, newHTMLLine(row, len(sums)))
		}
		page.Lines[i].add(columns[row.Patch], page.cell(row))
	}
	page.Kinds = page.kinds(r)
	page.sumUp(r)
	return page
}

// kinds sorts the failures by live patch and group, in the order of the first.
func (p *htmlPage) kinds(r *Report) []htmlKind {
	type key struct{ patch, group string }
	of := map[key]int{}
	for _, row := range r.Rows {
		of[key{plain(row.Patch), plain(row.Group)}]++
	}
	var kinds []htmlKind
	at := map[key]int{}
	for _, f := range p.Failures {
		k := key{f.Patch, f.Group}
		i, known := at[k]
		if !known {
			i = len(kinds)
			at[k] = i
			kinds = append(kinds, htmlKind{Patch: f.Patch, Group: f.Group, Of: of[k]})
		}
		kinds[i].Failures = append(kinds[i].Failures, f)
	}
	return kinds
}

func newHTMLLine(row Row, cells int) htmlLine {
	l := htmlLine{
		NEVRA: plain(row.NEVRA), Soname: plain(row.Soname), BuildID: plain(string(row.BuildID)),
		Cells: make([]htmlCell, cells),
	}
	l.Short = plain(l.BuildID[:min(8, len(l.BuildID))])
	for i := range l.Cells {
		l.Cells[i] = htmlCell{Class: "apart", Word: "–", Small: "another library"}
	}
	return l
}

func (l *htmlLine) add(column int, c htmlCell) {
	l.Cells[column] = c
	l.Failed = l.Failed || c.Failure != ""
}

// cell makes the cell of a row, and its failure if it has failed.
func (p *htmlPage) cell(row Row) htmlCell {
	c := htmlCell{Class: "passed", Word: row.Result.word()}
	var small []string
	switch row.Result {
	case Failed:
		c.Class = "failed"
		small = append(small, plain(row.Step))
		c.Failure = p.fail(row)
	case Skipped:
		c.Class = "skipped"
		small = append(small, plain(row.Reason))
	case NotConcerned:
		c.Class = "apart"
		small = append(small, plain(row.Reason))
	default:
		if row.StoppedMicroseconds > 0 {
			small = append(small, htmlStop(row.StoppedMedianMicroseconds)+" / "+htmlStop(row.StoppedMicroseconds))
		}
		if row.Result == Passed && row.Hammer == nil {
			small = append(small, "not hammered")
		}
	}
	if row.Group != "" {
		small = append(small, "group "+plain(row.Group))
	}
	c.Small = strings.Join(small, " · ")
	return c
}

// fail adds a failure and returns its ID.
func (p *htmlPage) fail(row Row) string {
	id := fmt.Sprintf("failure-%d", len(p.Failures)+1)
	p.Failures = append(p.Failures, htmlFailure{
		ID: id, Patch: plain(row.Patch), NEVRA: plain(row.NEVRA), Soname: plain(row.Soname), BuildID: plain(string(row.BuildID)),
		Group: plain(row.Group), Step: plain(row.Step), Reason: plain(row.Reason), Log: plain(row.Log),
	})
	return id
}

// sumUp makes the verdict and the figures above the table.
func (p *htmlPage) sumUp(r *Report) {
	counts := map[Result]int{}
	var longest int64
	var calls uint64
	interrupted := false
	for _, row := range r.Rows {
		counts[row.Result]++
		longest = max(longest, row.StoppedMicroseconds)
		interrupted = interrupted || row.Result == Skipped && row.Reason == Interrupted
		if h := row.Hammer; h != nil {
			calls += h.Before + h.During + h.Patched + h.After
		}
	}
	tests := len(r.Rows) - counts[NotConcerned]
	p.Class, p.Verdict = "passed", fmt.Sprintf("All %d tests passed", tests)
	switch {
	case counts[Failed] > 0:
		p.Class, p.Verdict = "failed", fmt.Sprintf("%d of %d tests failed", counts[Failed], tests)
	case counts[Passed] == 0:
		p.Class, p.Verdict = "skipped", "Nothing was tested"
	case counts[Skipped] > 0:
		p.Class, p.Verdict = "skipped", fmt.Sprintf("%d of %d tests passed, %d skipped", counts[Passed], tests, counts[Skipped])
	}
	if interrupted {
		p.Verdict += ": the run was interrupted"
	}
	p.Figures = []htmlFigure{
		{"Builds", fmt.Sprint(len(p.Lines))}, {"Live patches", fmt.Sprint(len(p.Columns))},
		{"Passed", fmt.Sprint(counts[Passed])}, {"Failed", fmt.Sprint(counts[Failed])},
		{"Skipped", fmt.Sprint(counts[Skipped])}, {"Not concerned", fmt.Sprint(counts[NotConcerned])},
		{"Longest stop", htmlStop(longest)}, {"Hammering calls", htmlCount(calls)},
	}
}

// htmlStop is a length of time with two or three digits that count.
func htmlStop(us int64) string {
	switch {
	case us < 1000:
		return fmt.Sprintf("%d µs", us)
	case us < 1e6:
		return fmt.Sprintf("%.1f ms", float64(us)/1e3)
	}
	return fmt.Sprintf("%.1f s", float64(us)/1e6)
}

// htmlCount is a number of which nobody needs every digit.
func htmlCount(n uint64) string {
	switch {
	case n < 10_000:
		return fmt.Sprint(n)
	case n < 10_000_000:
		return fmt.Sprintf("%d k", n/1000)
	}
	return fmt.Sprintf("%d M", n/1_000_000)
}
