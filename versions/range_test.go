package versions

import (
	"strings"
	"testing"
)

func TestRange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text, nevra string
		want        bool
	}{
		{">= 2.34", "glibc-2.34-1.x86_64", true},
		{">= 2.34", "glibc-2.4-1.x86_64", false}, // numbers, not text
		{"> 2.34", "glibc-2.34-9.x86_64", false}, // a release left out is not compared
		{"> 2.34-8", "glibc-2.34-9.x86_64", true},
		{">=2.31,<2.36", "glibc-2.36-1.x86_64", false},
		{">= 2.31, < 2.36", "glibc-2.35-1.x86_64", true},
		{"< 2.36", "glibc-2.36~rc1-1.x86_64", true},
		{"< 3.0.15", "openssl-1:3.0.7-1.el9.x86_64", true}, // an epoch left out is not compared
		{"< 1:3.0.15", "openssl-1:3.0.7-1.el9.x86_64", true},
		{"< 1:3.0.15", "openssl-2:3.0.7-1.el9.x86_64", false},
		{"= 2.36", "glibc-2.36-9.deb12u7.x86_64", true},
		{"= 2.36-9.deb12u7", "glibc-2.36-9.deb12u14.x86_64", false},
		{"!= 2.36", "glibc-2.36-9.deb12u7.x86_64", false},
		{"<= 2.36", "no nevra", false},
	} {
		r, err := ParseRange(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
		} else if got := r.Contains(tt.nevra); got != tt.want {
			t.Errorf("%q contains %s: %t", tt.text, tt.nevra, got)
		}
	}
	if !(Range{}).Contains("glibc-1-1.x86_64") {
		t.Error("the zero range lacks a version")
	}
}

func TestParseRangeErrors(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "2.34", "=> 2", ">= ", ">= 2.34,", "< x:1", "< -1", "< 1-", "< 2;3", "< 1:2:3",
		"< 4294967296:1", "<" + strings.Repeat("1", maxRange)} {
		if r, err := ParseRange(text); err == nil {
			t.Errorf("%.40q was read as %+v", text, r)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{">= 2.34, < 2.36-9", "= 1:2-3", "!= 2~rc1", "", "<"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRange(s)
		if err == nil && (len(r.terms) == 0 || r.String() != s) {
			t.Errorf("%q was read as %+v", s, r)
		}
		r.Contains("glibc-1:2.36-9.x86_64")
	})
}
