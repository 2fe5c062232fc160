package fnmatch

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// What glibc 2.36 answers.
func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, name  string
		plain, extends bool
	}{
		{"numserv", "numserv", true, true},
		{"numserv", "numserver", false, false},
		{"num*", "numserv", true, true},
		{"*", "", true, true},
		{"?", "", false, false},
		{"/home/*", "/home/a/b", true, true},
		{"/home/*", "/homes/a", false, false},
		{"n?mserv", "numserv", true, true},
		{"[mn]umserv", "numserv", true, true},
		{"[!mn]umserv", "numserv", false, false},
		{"[^mn]umserv", "xumserv", true, true},
		{"[a-m]umserv", "numserv", false, false},
		{"[]x]y", "]y", true, true},
		{"[[:digit:]]y", "7y", true, true},
		{"[[:digit:]]y", "xy", false, false},
		{"[z-a]", "b", false, false},
		{"[a-]", "-", true, true},
		{`[\]]`, "]", true, true},
		{"[ab", "[ab", true, true},
		{`\*`, "*", true, true},
		{`\*`, "x", false, false},
		{"a.c", "abc", false, false},
		{"a+c", "a+c", true, true},
		{"a|b", "a|b", true, true},
		{"@(bash|zsh)", "zsh", false, true},
		{"@(bash|zsh)", "@(bash|zsh)", true, false},
		{"+(ab)", "abab", false, true},
		{"?(ab)c", "c", false, true},
		{"*(ab|c)d", "abcabd", false, true},
		{"x@(a|b*)y", "xbcdy", false, true},
		{"grün*", "grüner", true, true},
		{"a\nb*", "a\nbc\nd", true, true},
	} {
		if got, err := Match(tt.pattern, tt.name); got != tt.plain || err != nil {
			t.Errorf("Match(%q, %q) = %v, %v", tt.pattern, tt.name, got, err)
		}
		if got, err := MatchExtended(tt.pattern, tt.name); got != tt.extends || err != nil {
			t.Errorf("MatchExtended(%q, %q) = %v, %v", tt.pattern, tt.name, got, err)
		}
	}
}

func TestUnsupported(t *testing.T) {
	for _, pattern := range []string{"!(a)", "@(a", strings.Repeat("a", maxPattern+1)} {
		if _, err := MatchExtended(pattern, "a"); !errors.Is(err, ErrPattern) {
			t.Errorf("%.20q: %v", pattern, err)
		}
	}
}

func FuzzMatch(f *testing.F) {
	for _, pattern := range []string{"num*[a-z]", "*(a|b)", `[\]!-]`, "[[:alpha:]", "((((", `\`} {
		f.Add(pattern, "numserv")
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		start := time.Now()
		for _, match := range []func(string, string) (bool, error){Match, MatchExtended} {
			if _, err := match(pattern, name); err != nil && !errors.Is(err, ErrPattern) {
				t.Error(err)
			}
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%q: %v", pattern, d)
		}
		// A pattern without special characters matches itself alone.
		if !strings.ContainsAny(pattern, `*?[\+@!|)(`) && len(pattern) <= maxPattern {
			if ok, _ := Match(pattern, pattern); !ok {
				t.Errorf("%q does not match itself", pattern)
			}
		}
	})
}
