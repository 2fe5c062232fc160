package pipeline

import (
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// junitAttributes are those that the schema of Jenkins's xunit plugin
// (junit-10.xsd) has, and that we may use.
var junitAttributes = map[string]string{
	"testsuites": " name time tests failures errors ",
	"testsuite":  " name tests failures errors skipped time timestamp ",
	"testcase":   " name classname time ",
	"failure":    " type message ",
	"skipped":    " type message ",
	"system-out": " ",
}

func TestWriteJUnit(t *testing.T) {
	t.Parallel()
	failed := failedRow("b", "n-2", &TestError{Step: StepApply, Err: errors.New("BUSY <&\x00\x1b[0m ]]>"), Seen: `"a" ×2`})
	failed.Step, failed.Log = StepApply, "0.1 s build\n0.2 s \x07<b>\n"
	r := Report{Rows: []Row{
		{Patch: "a", NEVRA: "n-1", Soname: "l", BuildID: "11", Result: Passed, Seconds: 0.5},
		{Patch: "a", NEVRA: "n-2", Soname: "l", BuildID: "22", Result: Skipped, Reason: "no test.c"},
		{Patch: "a", NEVRA: "n-3", Soname: "l", BuildID: "33", Result: NotConcerned, Reason: "versions: >= 9"},
		failed,
	}}
	file := filepath.Join(t.TempDir(), "sub", "j.xml")
	if err := r.WriteJUnit(file, About{Name: "livepatches", Time: time.Unix(1e9, 0)}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	knownElements(t, string(data))
	var got junitSuites
	if err := xml.Unmarshal(data, &got); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	got.XMLName = xml.Name{}
	const timestamp = "2001-09-09T01:46:40"
	want := junitSuites{Name: "livepatches", Tests: 4, Failures: 1, Time: "0.500", Suites: []junitSuite{
		{Name: "a", Tests: 3, Skipped: 2, Time: "0.500", Timestamp: timestamp, Cases: []junitCase{
			{Class: "a", Name: "n-1 l 11", Time: "0.500"},
			{Class: "a", Name: "n-2 l 22", Time: "0.000", Skipped: &junitMessage{Message: "SKIPPED: no test.c"}},
			{Class: "a", Name: "n-3 l 33", Time: "0.000", Skipped: &junitMessage{Message: "NOT-CONCERNED: versions: >= 9"}},
		}},
		{Name: "b", Tests: 1, Failures: 1, Time: "0.000", Timestamp: timestamp, Cases: []junitCase{{
			Class: "b", Name: "n-2 libx.so ", Time: "0.000", Out: "0.1 s build\n0.2 s \ufffd<b>\n",
			Failure: &junitMessage{
				Type: "apply", Message: "BUSY <&\ufffd\ufffd[0m ]]>; seen: \"a\" ×2",
				Text: "apply: BUSY <&\ufffd\ufffd[0m ]]>; seen: \"a\" ×2",
			},
		}}},
	}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(junitSuite{})); diff != "" {
		t.Error(diff)
	}
}

// knownElements checks elements and attributes against those that Jenkins takes.
func knownElements(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if err != nil {
			return // Unmarshal tells
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		attributes, known := junitAttributes[e.Name.Local]
		if !known {
			t.Errorf("element %s", e.Name.Local)
		}
		for _, a := range e.Attr {
			if !strings.Contains(attributes, " "+a.Name.Local+" ") {
				t.Errorf("attribute %s of %s", a.Name.Local, e.Name.Local)
			}
		}
	}
}
