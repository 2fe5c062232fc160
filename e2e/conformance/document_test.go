package conformance

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write docs/conformance.md anew, from the rows and what came of them")

const introduction = `# Conformance

Every row of the test tables of libpulp and of LibCare that concerns live patches in running processes, and lpbuild's own
end-to-end test of it. The tests are in [e2e/conformance](../e2e/conformance); each runs the program ` + "`lpctl`" + ` on real
processes, where it matters with containers as lpbuild makes them and as ` + "`ulp packer`" + ` does.

This file is written by the tests (` + "`go test ./e2e/conformance -update`" + `), and ` + "`TestDocument`" + ` compares it with the rows
that exist and with what came of them in the same run. ` + "`TestNothingPassesVacuously`" + ` runs every row once more with an
engine that does nothing and claims success: each must fail then.
`

// TestDocument compares docs/conformance.md with the rows that exist, and the results in it with those of this run.
func TestDocument(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "conformance.md")
	filtered := flag.Lookup("test.run").Value.String() != "" || flag.Lookup("test.skip").Value.String() != ""
	want := document(t, filtered)
	if *update && !t.Failed() {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the tests are; run go test ./e2e/conformance -update\n%s", file, difference(got, want))
	}
}

// document is what docs/conformance.md must say. Rows that a filter kept from running count as
// if they had passed.
func document(t *testing.T, filtered bool) []byte {
	outcomes.Lock()
	defer outcomes.Unlock()
	var b bytes.Buffer
	b.WriteString(introduction)
	seen := make(map[string]bool)
	for _, p := range peers {
		fmt.Fprintf(&b, "\n## %s\n\n| row | what it checks | our test | result |\n|---|---|---|---|\n", p.name)
		for _, r := range p.rows {
			name := p.name + "/" + r.name
			result, ran := outcomes.of[name]
			if !ran && filtered || result == "skipped" && os.Getenv("CI") != "true" {
				result = "passes" // what this machine lacks, or this run left out, is no reason to change the document
			} else if !ran {
				t.Errorf("%s did not run", name)
			}
			if seen[name] || r.checks == "" || r.test == nil {
				t.Errorf("%s: two rows of this name, or nothing that it checks", name)
			}
			seen[name] = true
			fmt.Fprintf(&b, "| %s | %s | `TestConformance/%s` | %s |\n", r.name, r.checks, name, result)
		}
	}
	return b.Bytes()
}

// difference is the first line that is not the same.
func difference(got, want []byte) string {
	g, w := bytes.Split(got, []byte("\n")), bytes.Split(want, []byte("\n"))
	for i := range max(len(g), len(w)) {
		var a, b []byte
		if i < len(g) {
			a = g[i]
		}
		if i < len(w) {
			b = w[i]
		}
		if !bytes.Equal(a, b) {
			return fmt.Sprintf("line %d is\n%s\nand should be\n%s", i+1, a, b)
		}
	}
	return ""
}
