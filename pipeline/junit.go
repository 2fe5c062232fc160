package pipeline

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// The elements and attributes of JUnit's XML that its readers agree on, as the
// schema of Jenkins's xunit plugin has them (junit-10.xsd): another attribute
// would make it refuse the file.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Time      string      `xml:"time,attr"`
		Timestamp string      `xml:"timestamp,attr,omitempty"`
		Cases     []junitCase `xml:"testcase"`

		seconds float64
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure"`
		Skipped *junitMessage `xml:"skipped"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Type    string `xml:"type,attr,omitempty"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the report as JUnit XML to the file: one suite for each
// live patch, one case for each build. The file appears whole or not at all.
func (r *Report) WriteJUnit(file string, about About) error {
	doc := junitSuites{Name: about.Name}
	var seconds float64
	for _, row := range r.Rows {
		n := len(doc.Suites)
		if n == 0 || doc.Suites[n-1].Name != row.Patch {
			doc.Suites = append(doc.Suites, junitSuite{Name: row.Patch, Timestamp: about.timestamp()})
			n++
		}
		doc.Suites[n-1].add(row)
		seconds += row.Seconds
		doc.Tests++
		if row.Result == Failed {
			doc.Failures++
		}
	}
	doc.Time = junitSeconds(seconds)
	out, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(file, append([]byte(xml.Header), append(out, '\n')...))
}

func junitSeconds(s float64) string { return fmt.Sprintf("%.3f", s) }

func (s *junitSuite) add(row Row) {
	c := junitCase{
		Class: row.Patch,
		Name:  fmt.Sprintf("%s %s %s", row.NEVRA, row.Soname, row.BuildID),
		Time:  junitSeconds(row.Seconds),
		Out:   plain(row.Log),
	}
	reason := plain(row.Reason)
	switch row.Result {
	case Failed:
		// What GitLab shows is the text, what Jenkins shows first the attribute.
		text := strings.TrimSuffix(row.Step+": "+reason, ": ")
		c.Failure = &junitMessage{Type: row.Step, Message: reason, Text: strings.TrimPrefix(text, ": ")}
		s.Failures++
	case Skipped, NotConcerned:
		c.Skipped = &junitMessage{Message: strings.TrimSuffix(string(row.Result)+": "+reason, ": ")}
		s.Skipped++
	}
	s.Tests++
	s.seconds += row.Seconds
	s.Time = junitSeconds(s.seconds)
	s.Cases = append(s.Cases, c)
}
