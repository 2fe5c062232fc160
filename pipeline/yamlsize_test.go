package pipeline

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAliasesThatGrow: a file of 1 MB cannot stand for gigabytes.
func TestAliasesThatGrow(t *testing.T) {
	t.Parallel()
	const head = "name: a\nversion: 1\npackage: p\nlibraries: [/l/l.so]\n"
	for name, body := range map[string]string{
		"mappings":   "patches:\n- &a\n  name: a\n  defines:\n" + strings.Repeat("  - {set: [A]}\n", 20000) + strings.Repeat("- *a\n", 100000),
		"texts":      "support:\n  until:\n  - &a {end: 2026-12-31, versions: \"" + strings.Repeat("< 2,", 1000) + "< 2\"}\n" + strings.Repeat("  - *a\n", 90000),
		"of aliases": "requires: &a [" + strings.Repeat("a,", 99) + "a]\npatches: &b [" + strings.Repeat("*a,", 99) + "*a]\nexpect: [" + strings.Repeat("*b,", 999) + "*b]\n",
		"of itself":  "requires: &a [*a]\n",
	} {
		start := time.Now()
		_, err := ParseConfig("lpbuild.yaml", []byte(head+body))
		if err == nil || !strings.Contains(err.Error(), "with its aliases (*) written out") {
			t.Errorf("%s: %.200v", name, err)
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%s: %v", name, d)
		}
	}
	few := "support: {until: [&a {end: 2026-12-31}, *a]}\n"
	if _, err := ParseConfig("lpbuild.yaml", []byte(head+few)); err != nil {
		t.Error(err)
	}
	var many strings.Builder
	for i := range 90000 {
		fmt.Fprintf(&many, "- a%d\n", i)
	}
	start := time.Now()
	if _, err := ParseConfig("lpbuild.yaml", []byte(head+"patches:\n"+many.String())); err != nil || time.Since(start) > 10*time.Second {
		t.Errorf("many live patches: %v, %v", err, time.Since(start))
	}
}
