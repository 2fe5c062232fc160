package pipeline

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Measures of a timeline, in SVG user units: pixels, as drawn.
const (
	chartWidth  = 1100.0
	chartMargin = 16.0
	titleHeight = 76.0 // title, and below it the legend
	axisHeight  = 24.0
	laneTitle   = 22.0
	rowHeight   = 19.0
	rowGap      = 5.0
	denseRow    = 14.0 // of a chart with many builds
	denseGap    = 2.0
	laneGap     = 8.0
	letterWidth = 6.1 // of the label's font, on average and not less
	labelPad    = 6.0
)

// manyBuilds is from when on a chart is dense and longer than a screen, so that
// each lane has the years written above it.
const manyBuilds = 60

// WriteTimeline writes a picture of the builds and what covers them to an SVG
// file: time from left to right, a lane for each product and version, a bar for
// each build from its build date to the end of its support. The same builds and
// the same day give the same bytes.
func (p *Project) WriteTimeline(file string, builds []Shipped, now time.Time) error {
	return writeFile(file, timeline(p.Name, builds, now))
}

// timeline draws the picture.
func timeline(title string, builds []Shipped, now time.Time) []byte {
	c := &chart{now: now.UTC().Truncate(24 * time.Hour), row: rowHeight, gap: rowGap, long: len(builds) >= manyBuilds}
	if c.long {
		c.row, c.gap = denseRow, denseGap
	}
	c.scale(builds)
	lanes := c.lanes(builds)
	height := titleHeight + 2*axisHeight + chartMargin
	for _, l := range lanes {
		height += c.height(l)
	}
	c.open(title, builds, height)
	c.axis(titleHeight, height-chartMargin)
	y := titleHeight + axisHeight
	for _, l := range lanes {
		c.lane(l, y)
		y += c.height(l)
	}
	c.printf("</svg>\n")
	return c.out.Bytes()
}

// A chart is a timeline that is being drawn.
type chart struct {
	out      bytes.Buffer
	now      time.Time // midnight of the day
	from, to time.Time // what the axis shows
	row, gap float64   // height of a row, and what of it is between bars
	long     bool
}

// A lane is the builds of one product and version.
type lane struct {
	product, version string
	bars             []bar
	rows             int
}

// A bar is one build, with what it takes of its row.
type bar struct {
	build      Shipped
	label      string
	start, end float64 // x of the bar
	open       bool    // it goes on beyond the axis, or has no end
	text       float64 // x of the label
	row        int
}

// height is that of a lane.
func (c *chart) height(l *lane) float64 { return laneTitle + float64(l.rows)*c.row + laneGap }

// maxFuture is how much of the future is shown: an end in a far year would
// leave no room for the past.
const maxFuture = 3 // years

// scale chooses what the axis shows: whole quarters.
func (c *chart) scale(builds []Shipped) {
	c.from, c.to = c.now, c.now.AddDate(0, 3, 0)
	for _, b := range builds {
		if b.BuildTime.Year() > 1970 && b.BuildTime.Before(c.from) {
			c.from = b.BuildTime
		}
		if b.EndOfSupport != nil && b.EndOfSupport.After(c.to) {
			c.to = *b.EndOfSupport
		}
	}
	if limit := c.now.AddDate(maxFuture, 0, 0); c.to.After(limit) {
		c.to = limit
	}
	c.from = quarter(c.from, 0)
	c.to = quarter(c.to, 1)
}

// quarter is the beginning of the quarter of t, and n quarters on.
func quarter(t time.Time, n int) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), (t.Month()-1)/3*3+1+time.Month(3*n), 1, 0, 0, 0, 0, time.UTC)
}

// x is where a time is on the axis.
func (c *chart) x(t time.Time) float64 {
	part := float64(t.Sub(c.from)) / float64(c.to.Sub(c.from))
	return chartMargin + min(max(part, 0), 1)*(chartWidth-2*chartMargin)
}

// lanes sorts builds into lanes, and the bars of each into as few rows as hold
// them with their labels.
func (c *chart) lanes(builds []Shipped) []*lane {
	byName := make(map[[2]string]*lane)
	var all []*lane
	several := slices.ContainsFunc(builds, func(b Shipped) bool { return b.Soname != builds[0].Soname })
	for _, b := range builds {
		products := b.Products
		if len(products) == 0 {
			products = []string{b.Repository}
		}
		version, label := versionRelease(b)
		if several {
			label += " " + b.Soname
		}
		for _, product := range products {
			key := [2]string{product, version}
			if byName[key] == nil {
				byName[key] = &lane{product: product, version: version}
				all = append(all, byName[key])
			}
			l := byName[key]
			l.bars = append(l.bars, c.bar(b, label))
		}
	}
	// The lock is in order of versions, so that lanes of a product are as well.
	slices.SortStableFunc(all, func(a, b *lane) int { return cmp.Compare(a.product, b.product) })
	for _, l := range all {
		l.arrange()
	}
	return all
}

// versionRelease are the parts of a build's NEVRA.
func versionRelease(b Shipped) (version, release string) {
	rest := strings.TrimSuffix(b.NEVRA, "."+b.Arch)
	rest, release = cutLast(rest, "-")
	_, version = cutLast(rest, "-")
	return version, release
}

func cutLast(s, sep string) (before, after string) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", s
	}
	return s[:i], s[i+len(sep):]
}

// bar is the bar of a build, not yet in a row.
func (c *chart) bar(b Shipped, label string) bar {
	if b.Group != "" {
		label += " · " + b.Group
	}
	end, open := c.to, true
	if b.EndOfSupport != nil {
		end, open = *b.EndOfSupport, b.EndOfSupport.After(c.to)
	}
	out := bar{build: b, label: label, start: c.x(b.BuildTime), open: open}
	out.end = max(c.x(end), out.start+3)
	out.text = out.start + labelPad
	width := float64(utf8.RuneCountInString(label)) * letterWidth
	if out.text+width > out.end-labelPad/2 { // beside the bar, on the side that has room
		out.text = out.end + labelPad
		if out.text+width > chartWidth-chartMargin {
			out.text = out.start - labelPad - width
		}
	}
	return out
}

// left and right are the ends of what the bar and its label take.
func (b *bar) left() float64 { return min(b.start, b.text) }

func (b *bar) right() float64 {
	return max(b.end, b.text+float64(utf8.RuneCountInString(b.label))*letterWidth)
}

// arrange puts each bar into the first row that has room, oldest first.
func (l *lane) arrange() {
	slices.SortStableFunc(l.bars, func(a, b bar) int { return a.build.BuildTime.Compare(b.build.BuildTime) })
	var taken [][]int // by row, the bars in it
	for i := range l.bars {
		b := &l.bars[i]
		row := slices.IndexFunc(taken, func(in []int) bool {
			return !slices.ContainsFunc(in, func(j int) bool {
				o := &l.bars[j]
				return b.left() < o.right()+labelPad && o.left() < b.right()+labelPad
			})
		})
		if row < 0 {
			row, taken = len(taken), append(taken, nil)
		}
		taken[row] = append(taken[row], i)
		b.row = row
	}
	l.rows = len(taken)
}

// text is a text as XML: what XML cannot hold is replaced.
func text(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes all
	return b.String()
}

func (c *chart) printf(format string, args ...any) { fmt.Fprintf(&c.out, format, args...) }
