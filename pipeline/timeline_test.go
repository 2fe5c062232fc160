package pipeline

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/versions"
)

var chartDay = time.Date(2026, 11, 22, 15, 4, 5, 0, time.UTC)

// chartBuilds are n builds of five years, in several products and versions.
func chartBuilds(n int) []Shipped {
	states := []State{Covered, Covered, Covered, Partly, NotBuilt, Untouched}
	var all []Shipped
	for i := range n {
		built := time.Date(2021, 12, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, i*1800/n)
		end := built.AddDate(0, 13, 0)
		stream := i * 5 / n
		b := Shipped{State: states[i%len(states)], Group: groupName(i / 3), Patches: []string{"malloc"}, Locked: versions.Locked{
			NEVRA: fmt.Sprintf("glibc-2.%d-%d.deb11u%d.x86_64", 31+stream, 9+stream, i), Arch: "x86_64", Library: "/lib64/libc.so.6", Soname: "libc.so.6",
			BuildID: "93ac61ec", Products: []string{[]string{"leap-15.5", "leap-15.6"}[stream%2]}, BuildTime: built, EndOfSupport: &end,
		}}
		b.Supported, b.Removed = b.Locked.Supported(chartDay), i%9 == 4
		if i == n-1 {
			b.EndOfSupport, b.Supported = nil, true
		}
		all = append(all, b)
	}
	return all
}

// elements reads an SVG as strictly as encoding/xml does.
func elements(t *testing.T, svg []byte) (names map[string]int, texts string) {
	t.Helper()
	names = make(map[string]int)
	var all strings.Builder
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return names, all.String()
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			names[token.Name.Local]++
		case xml.CharData:
			all.Write(token)
		}
	}
}

func TestTimeline(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 8, 500} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			builds := chartBuilds(n)
			svg := timeline("glibc-livepatches", builds, chartDay)
			names, texts := elements(t, svg)
			if names["svg"] != 1 || names["desc"] != 1 || names["title"] != 1+1+n { // its own, today's, one a bar
				t.Errorf("elements %v", names)
			}
			for _, b := range builds {
				if !strings.Contains(texts, b.NEVRA) {
					t.Errorf("%s is not shown", b.NEVRA)
				}
			}
			if !bytes.Equal(svg, timeline("glibc-livepatches", builds, chartDay.Add(time.Hour))) {
				t.Error("drawn again on the same day, it has other bytes")
			}
			checkOverlap(t, svg)
		})
	}
}

var labelShape = regexp.MustCompile(`<text class="label" x="([0-9.-]+)" y="([0-9.]+)">([^<]*)<`)

// checkOverlap: no label is written over another one, or outside.
func checkOverlap(t *testing.T, svg []byte) {
	t.Helper()
	rows := make(map[string][][2]float64)
	for _, m := range labelShape.FindAllSubmatch(svg, -1) {
		x, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		end := x + float64(len([]rune(string(m[3]))))*letterWidth
		if x < 0 || end > chartWidth {
			t.Errorf("label %q from %.0f to %.0f", m[3], x, end)
		}
		for _, o := range rows[string(m[2])] {
			if x < o[1] && o[0] < end {
				t.Errorf("label %q is over another", m[3])
			}
		}
		rows[string(m[2])] = append(rows[string(m[2])], [2]float64{x, end})
	}
}

// TestTimelineHostile: names are text, and times are what they are.
func TestTimelineHostile(t *testing.T) {
	t.Parallel()
	builds := chartBuilds(3)
	builds[0].Products = []string{`<script>alert("x")</script> & ` + "\x00\x1b\xff"}
	builds[0].Patches = []string{"]]>", "<!--"}
	builds[1].BuildTime = time.Time{}
	far := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	builds[2].EndOfSupport, builds[2].BuildTime = &far, far
	svg := timeline("a <b> & c", builds, chartDay)
	names, texts := elements(t, svg)
	if names["script"] != 0 || names["b"] != 0 || !strings.Contains(texts, `<script>alert("x")</script> & `) {
		t.Errorf("elements %v", names)
	}
	if strings.Contains(texts, "2031") || !strings.Contains(texts, "2027") {
		t.Error("the axis goes to the end of time")
	}
	if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) || len(svg) > 1<<20 {
		t.Errorf("%d bytes: %.2000s", len(svg), svg)
	}
}
