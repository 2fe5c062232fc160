package e2e

import (
	"encoding/json"
	"encoding/xml"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// reportProgram is a test program for greet, which is hammered.
const reportProgram = `
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
const char *greet(void);
const char *lpbuild_hammer(void) { return strchr(greet(), '!') ? "broken: <&!" : NULL; }
int main(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;

	setvbuf(stdout, NULL, _IOLBF, 0);
	do
		puts(greet());
	while (poll(&in, 1, 5) <= 0 || read(STDIN_FILENO, &byte, 1) > 0);
	return 0;
}
`

// wrongForThreads answers the main thread as it should, and if WRONG, other
// threads otherwise.
const wrongForThreads = `
static inline long call(long number)
{
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(number) : "rcx", "r11", "memory");
	return result;
}
const char *greet_lp(void)
{
	return WRONG && call(186) != call(39) ? "patched!" : "patched"; /* gettid, getpid */
}
`

// TestTestReports: what a release manager gets of a live patch that is wrong
// for other threads only.
func TestTestReports(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	writeFile(t, l.project+"/livepatches/greet/test.c", reportProgram)
	l.must("lpbuild", "download")
	dir := t.TempDir()
	junit, html := filepath.Join(dir, "junit.xml"), filepath.Join(dir, "report.html")

	l.patch(goodTemplate, strings.Replace(wrongForThreads, "WRONG", "0", 1))
	p := l.run("lpbuild", "-q", "test", "--rounds", "2", "--junit", junit, "--html", html)
	if want := `(?s)^RESULT .*(\nPASSED [^\n]*){3}\ngreet: 3 builds, \d groups?: 3 passed\n$`; p.code != 0 ||
		!regexp.MustCompile(want).MatchString(p.stdout.String()) || p.stderr.Len() > 0 {
		t.Errorf("exit code %d\n%s\n%s", p.code, p.stdout.String(), p.stderr.String())
	}
	if page := string(readFile(t, html)); !strings.Contains(page, "All 3 tests passed") || strings.Count(page, `<td class="passed">`) != 3 {
		t.Errorf("page\n%s", page)
	}

	l.patch(goodTemplate, strings.Replace(wrongForThreads, "WRONG", "1", 1))
	p = l.run("lpbuild", "-q", "--json", "test", "--junit", junit, "--html", html)
	if p.code != 3 {
		t.Errorf("exit code %d\n%s", p.code, p.stderr.String())
	}
	failedRows(t, p.stdout.String())
	var suites struct {
		Cases []struct {
			Failure struct {
				Type    string `xml:"type,attr"`
				Message string `xml:"message,attr"`
			} `xml:"failure"`
			Out string `xml:"system-out"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(readFile(t, junit), &suites); err != nil || len(suites.Cases) != 3 {
		t.Fatalf("%+v, %v", suites, err)
	}
	for _, c := range suites.Cases {
		if c.Failure.Type == "" || !strings.Contains(c.Failure.Message, `lpbuild_hammer: "broken: <&!"`) ||
			!strings.Contains(c.Out, "start, round 0: done") {
			t.Errorf("%+v", c)
		}
	}
	page := string(readFile(t, html))
	if !strings.Contains(page, "3 of 3 tests failed") || strings.Contains(page, "<&!") || strings.Count(page, "<pre ") != 3 {
		t.Errorf("page\n%s", page)
	}
}

// failedRows checks the JSON lines of three failed rows.
func failedRows(t *testing.T, lines string) {
	t.Helper()
	if n := strings.Count(lines, "\n"); n != 3 {
		t.Errorf("%d rows", n)
	}
	for line := range strings.Lines(lines) {
		var row struct {
			Result, Step, Reason, Log string
			Hammer                    struct{ Threads, Before int }
			Rounds                    []map[string]int
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if row.Result != "FAILED" || row.Hammer.Threads != 2 || row.Hammer.Before == 0 || len(row.Rounds) == 0 ||
			!strings.Contains(row.Log, row.Reason) {
			t.Errorf("%+v", row)
		}
	}
}
