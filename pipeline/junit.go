package pipeline

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// The elements of JUnit's XML that its common readers agree on.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure"`
		Skipped *junitMessage `xml:"skipped"`
	}
	junitMessage struct {
		Type    string `xml:"type,attr,omitempty"`
		Message string `xml:"message,attr"`
	}
)

// WriteJUnit writes the report as JUnit XML to the file: one suite for each
// live patch, one case for each build.
func (r *Report) WriteJUnit(file string) error {
	var doc junitSuites
	var seconds []float64
	for _, row := range r.Rows {
		n := len(doc.Suites)
		if n == 0 || doc.Suites[n-1].Name != row.Patch {
			doc.Suites = append(doc.Suites, junitSuite{Name: row.Patch})
			seconds = append(seconds, 0)
			n++
		}
		suite := &doc.Suites[n-1]
		c := junitCase{
			Class: row.Patch,
			Name:  fmt.Sprintf("%s %s %s", row.NEVRA, row.Soname, row.BuildID),
			Time:  fmt.Sprintf("%.3f", row.Seconds),
		}
		message := &junitMessage{Type: row.Step, Message: strings.ToValidUTF8(row.Reason, "?")}
		switch row.Result {
		case Failed:
			c.Failure = message
			suite.Failures++
		case Skipped:
			c.Skipped = message
			suite.Skipped++
		}
		suite.Tests++
		seconds[n-1] += row.Seconds
		suite.Time = fmt.Sprintf("%.3f", seconds[n-1])
		suite.Cases = append(suite.Cases, c)
	}
	out, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(file, append([]byte(xml.Header), append(out, '\n')...))
}
