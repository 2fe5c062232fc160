package pipeline

import (
	"fmt"
	"strings"
	"time"
)

// style is for a light page, and for a dark one where the reader prefers that.
// States differ in outline and hatching as well as in colour.
const style = `<style>
svg { font: 11px ui-monospace, "DejaVu Sans Mono", monospace; }
.page { fill: #fff; }
text { fill: #1b1f24; }
.name { font: bold 16px system-ui, "DejaVu Sans", sans-serif; }
.lane { font: bold 12px system-ui, "DejaVu Sans", sans-serif; }
.small { fill: #57606a; font: 11px system-ui, "DejaVu Sans", sans-serif; }
.label { font-size: 10px; }
.year { stroke: #c4cad1; }
.quarter { stroke: #ebeef1; }
.now { stroke: #b3261e; stroke-dasharray: 4 3; }
.rule { stroke: #d8dee4; }
.covered { fill: #9fdcae; stroke: #1a7f37; }
.partly { fill: url(#hatch); stroke: #9a6700; }
.not-built { fill: #fff; stroke: #b3261e; }
.not-concerned { fill: #e7eaee; stroke: #8c959f; }
.removed { stroke-dasharray: 3 2; }
.ended { opacity: .5; }
.hatch { stroke: #d4a72c; }
.hatching { fill: #fff3c4; }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117; }
text { fill: #e6edf3; }
.small { fill: #9198a1; }
.year { stroke: #444c56; }
.quarter { stroke: #21262d; }
.now { stroke: #ff7b72; }
.rule { stroke: #30363d; }
.covered { fill: #1c5a2e; stroke: #56d364; }
.partly { stroke: #e3b341; }
.not-built { fill: #0d1117; stroke: #ff7b72; }
.not-concerned { fill: #2a3038; stroke: #768390; }
.hatch { stroke: #9e6a03; }
.hatching { fill: #3a2d0a; }
}
</style>
<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hatching" width="6" height="6"/><path class="hatch" d="M0 0V6" stroke-width="3"/></pattern></defs>
`

// legend is what the bars can look like, with what it means.
var legend = []struct{ class, text string }{
	{"covered", "covered"}, {"partly", "partly"}, {"not-built", "not built"}, {"not-concerned", "no patch concerns it"},
	{"covered removed", "left the repositories"}, {"covered ended", "support ended"},
}

// class is how a build looks.
func class(b Shipped) string {
	c := strings.ToLower(string(b.State))
	if b.Removed {
		c += " removed"
	}
	if !b.Supported {
		c += " ended"
	}
	return c
}

// open writes everything above the chart.
func (c *chart) open(title string, builds []Shipped, height float64) {
	counts := make(map[State]int)
	for _, b := range builds {
		counts[b.State]++
	}
	summary := fmt.Sprintf("%s on %s: %d covered, %d partly, %d not built, %d not concerned", count(len(builds), "build"),
		c.now.Format(time.DateOnly), counts[Covered], counts[Partly], counts[NotBuilt], counts[Untouched])
	c.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img" aria-labelledby="title desc">`+"\n",
		chartWidth, height, chartWidth, height)
	c.printf("<title id=\"title\">%s: shipped builds and what covers them</title>\n<desc id=\"desc\">%s. "+
		"A lane for each product and version, a bar for each build from its build date to the end of its support.</desc>\n", text(title), text(summary))
	c.printf("%s<rect class=\"page\" width=\"%.0f\" height=\"%.0f\"/>\n", style, chartWidth, height)
	c.printf("<text class=\"name\" x=\"%.0f\" y=\"26\">%s</text>\n<text class=\"small\" x=\"%.0f\" y=\"44\">%s</text>\n",
		chartMargin, text(title), chartMargin, text(summary))
	x := chartMargin
	for _, l := range legend {
		c.printf("<rect class=\"%s\" x=\"%.1f\" y=\"55.5\" width=\"20\" height=\"11\" rx=\"2\"/><text class=\"small\" x=\"%.1f\" y=\"65\">%s</text>\n",
			l.class, x, x+26, l.text)
		x += 26 + float64(len(l.text))*6.2 + 18
	}
}

// axis draws years and quarters from top to bottom, and the day of today.
func (c *chart) axis(top, bottom float64) {
	from, to := top+axisHeight-6, bottom-axisHeight+6
	for t := c.from; !t.After(c.to); t = quarter(t, 1) {
		class := "quarter"
		if t.Month() == time.January {
			class = "year"
		}
		if class == "year" || c.to.Sub(c.from) < 10*366*24*time.Hour {
			c.printf("<path class=\"%s\" d=\"M%.1f %.1fV%.1f\"/>\n", class, c.x(t), from, to)
		}
	}
	c.names(top+axisHeight-9, 0)
	c.names(bottom-4, 0)
	c.printf("<path class=\"now\" d=\"M%.1f %.1fV%.1f\"><title>%s</title></path>\n", c.x(c.now), from, to, c.now.Format(time.DateOnly))
}

// names writes the years, and the quarters if there are few, along the line at y
// from x = left on.
func (c *chart) names(y, left float64) {
	few := c.to.Sub(c.from) < 30*31*24*time.Hour
	for t := c.from; t.Before(c.to); t = quarter(t, 1) {
		name := ""
		if t.Month() == time.January {
			name = t.Format("2006")
		} else if few {
			name = t.Format("Jan")
		}
		if x := c.x(t); name != "" && x > left && x < chartWidth-chartMargin-24 {
			c.printf("<text class=\"small\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", x+2, y, name)
		}
	}
}

// lane draws one lane whose top is at y.
func (c *chart) lane(l *lane, y float64) {
	c.printf("<g>\n<path class=\"rule\" d=\"M%.0f %.1fH%.0f\"/>\n", chartMargin, y, chartWidth-chartMargin)
	c.printf("<text class=\"lane\" x=\"%.0f\" y=\"%.1f\">%s</text>\n", chartMargin, y+15, text(strings.TrimSpace(l.product+" "+l.version)))
	if c.long && y > titleHeight+axisHeight {
		c.names(y+15, chartMargin+float64(len(l.product)+len(l.version)+2)*8)
	}
	for i := range l.bars {
		c.drawBar(&l.bars[i], y+laneTitle)
	}
	c.printf("</g>\n")
}

// drawBar draws one build in the lane whose first row is at y.
func (c *chart) drawBar(b *bar, y float64) {
	y += float64(b.row) * c.row
	barHeight := c.row - c.gap
	shape := fmt.Sprintf("M%.1f %.1fH%.1fV%.1fH%.1fZ", b.start, y, b.end, y+barHeight, b.start)
	if b.open { // a point to the right: it goes on
		shape = fmt.Sprintf("M%.1f %.1fH%.1fL%.1f %.1fL%.1f %.1fH%.1fZ", b.start, y, b.end-5, b.end, y+barHeight/2, b.end-5, y+barHeight, b.start)
	}
	c.printf("<g><title>%s</title><path class=\"%s\" d=\"%s\"/><text class=\"label\" x=\"%.1f\" y=\"%.1f\">%s</text></g>\n",
		text(describe(b.build)), class(b.build), shape, b.text, y+barHeight/2+3.5, text(b.label))
}

// describe is what a pointer at a bar shows.
func describe(b Shipped) string {
	lines := []string{b.NEVRA + ", " + b.Library, "build-id " + string(b.BuildID), "built " + b.BuildTime.Format(time.DateOnly)}
	if b.EndOfSupport != nil {
		lines = append(lines, "supported until "+b.EndOfSupport.Format(time.DateOnly))
	}
	if b.Group != "" {
		lines = append(lines, "group "+b.Group)
	}
	lines = append(lines, b.Words())
	if len(b.Patches) > 0 {
		lines = append(lines, "covered by "+strings.Join(b.Patches, ", "))
	}
	if len(b.Missing) > 0 {
		lines = append(lines, "lacks "+strings.Join(b.Missing, ", "))
	}
	return strings.Join(lines, "\n")
}
