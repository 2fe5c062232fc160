package pipeline

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const wholeConfig = `name: glibc-livepatches
version: "1.2"
summary: Live patches
description: |
  Two
  lines.
license: LGPL-2.1-or-later
url: https://example.org/
package: glibc
debug_package: glibc-dbg
libraries: [/lib64/libc.so.6, /lib64/libpthread-*.so]
arches: [x86_64]
repositories:
  - name: updates
    url: https://example.org/updates/
    keys: [keys/a.asc]
    product: leap
  - url: rpms
    priority: 7
support: 13 months
patches: [malloc]
requires: [bash >= 4]
expect:
  malloc: {before: plain, after: patched}
`

func TestParseConfig(t *testing.T) {
	t.Parallel()
	got, err := ParseConfig("lpbuild.yaml", []byte(wholeConfig))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Name: "glibc-livepatches", Version: "1.2", Summary: "Live patches", Description: "Two\nlines.\n",
		License: "LGPL-2.1-or-later", URL: "https://example.org/",
		Package: Names{"glibc"}, DebugPackage: Names{"glibc-dbg"},
		Libraries: []string{"/lib64/libc.so.6", "/lib64/libpthread-*.so"}, Arches: []string{"x86_64"},
		Repositories: []Repository{
			{Name: "updates", Product: "leap", URL: "https://example.org/updates/", Priority: 99, Keys: []string{"keys/a.asc"}},
			{Name: "rpms", Product: "rpms", URL: "rpms", Priority: 7},
		},
		Support:  Support{Window: Span{Months: 13}, Warn: Span{Days: 30}},
		Patches:  []PatchConfig{{Name: "malloc"}},
		Requires: []string{"bash >= 4"},
		Expect:   map[string]Expect{"malloc": {Before: "plain", After: "patched"}},
	}
	if diff := cmp.Diff(want, got, sameRange); diff != "" {
		t.Error(diff)
	}
}

func TestParseConfigDefaults(t *testing.T) {
	t.Parallel()
	got, err := ParseConfig("f", []byte("name: a\nversion: 1\npackage: zlib\nlibraries: [/lib64/libz.so.1]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got.DebugPackage.String() != "zlib-debuginfo" || got.Summary != "Live patches for zlib" || got.Support.Window != (Span{}) {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]string{"x86_64"}, got.Arches); diff != "" {
		t.Error(diff)
	}
}

func TestParseConfigErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		from, to   string // one change to wholeConfig
		line       int
		contains   string
		everything string // instead of wholeConfig
	}{
		{name: "unknown key", from: "url: https", to: "uri: https", line: 8, contains: `unknown key "uri"`},
		{name: "unknown key in a repository", from: "keys: [", to: "key: [", line: 16, contains: `unknown key "key"`},
		{name: "unknown key in expect", from: "after:", to: "then:", line: 24, contains: `unknown key "then"`},
		{name: "name for a path", from: "name: glibc", to: "name: ../glibc", line: 1, contains: "name"},
		{name: "version with a dash", from: `"1.2"`, to: `"1-2"`, line: 2, contains: "version"},
		{name: "relative library", from: "[/lib64/libc", to: "[lib64/libc", line: 11, contains: "absolute path"},
		{name: "library with ..", from: "[/lib64/libc", to: "[/lib64/../libc", line: 11, contains: "absolute path"},
		{name: "bad pattern", from: "/lib64/libpthread-*.so", to: `"/lib64/libpthread-["`, line: 11, contains: "absolute path"},
		{name: "foreign architecture", from: "[x86_64]", to: "[s390x]", line: 12, contains: "s390x"},
		{name: "repository without url", from: "- url: rpms", to: "- name: rpms", line: 18, contains: "without url"},
		{name: "span without unit", from: "13 months", to: "13", line: 20, contains: "support"},
		{name: "span of ages", from: "13 months", to: "9999 years", line: 20, contains: "support"},
		{name: "negative span", from: "13 months", to: "-1 days", line: 20, contains: "support"},
		{name: "patch outside", from: "[malloc]", to: "[../malloc]", line: 21, contains: "patches"},
		{name: "newline in requires", from: "bash >= 4", to: `"a\nb"`, line: 22, contains: "requires"},
		{name: "newline in summary", from: "summary: Live patches", to: `summary: "a\n%post"`, line: 3, contains: "summary"},
		{name: "two documents", everything: wholeConfig + "---\nname: b\n", contains: "more than one"},
		{name: "a list", everything: "- a\n", line: 1},
		{name: "too large", everything: "#" + strings.Repeat("x", maxConfig), contains: "larger than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			src := tt.everything
			if src == "" {
				src = strings.Replace(wholeConfig, tt.from, tt.to, 1)
				if src == wholeConfig {
					t.Fatalf("%q is not in the configuration", tt.from)
				}
			}
			_, err := ParseConfig("f", []byte(src))
			var mistake *ConfigError
			if !errors.As(err, &mistake) {
				t.Fatalf("error %v, want a ConfigError", err)
			}
			if mistake.File != "f" || mistake.Line != tt.line || !strings.Contains(mistake.Text, tt.contains) {
				t.Errorf("%v, want line %d: %s", err, tt.line, tt.contains)
			}
		})
	}
}

func FuzzParseConfig(f *testing.F) {
	seeds := []string{wholeConfig, "", "name: [", "a: &a [*a]", "support: 1 day\n", "- x", "\xff\xfe"}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := ParseConfig("f", src)
		if err != nil {
			if strings.ContainsRune(strings.TrimPrefix(err.Error(), "f"), 0) {
				t.Errorf("NUL in %q", err)
			}
			return
		}
		if c.Name == "" || c.Version == "" || len(c.Package) == 0 || len(c.Libraries) == 0 || len(c.Arches) == 0 {
			t.Errorf("accepted without what every project needs: %+v", c)
		}
	})
}
