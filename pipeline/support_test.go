package pipeline

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions"
)

const supportMapping = `support:
  window: 13 months
  warn: 2 weeks
  until:
    - {versions: "< 2.32", end: 2026-12-31}
    - {product: leap, end: 2025-12-31}
  unsupported: skip
`

func parseSupport(t *testing.T, text string) (*Config, error) {
	t.Helper()
	return ParseConfig("f", []byte("name: a\nversion: 1\npackage: glibc\nlibraries: [/lib64/libc.so.6]\n"+
		"repositories:\n  - {url: rpms, product: leap}\n"+text))
}

func TestSupportMapping(t *testing.T) {
	t.Parallel()
	c, err := parseSupport(t, supportMapping)
	if err != nil {
		t.Fatal(err)
	}
	if c.Support.Warn != (Span{Days: 14}) {
		t.Errorf("warn %+v", c.Support.Warn)
	}
	built := time.Date(2026, 1, 31, 1, 2, 3, 0, time.UTC)
	for nevra, want := range map[string]string{
		"glibc-2.31-1.x86_64": "2026-12-31 23:59:59",
		"glibc-2.36-1.x86_64": "2025-12-31 23:59:59",
	} {
		if got := c.Support.policy().End(nevra, []string{"leap"}, built); got.Format(time.DateTime) != want {
			t.Errorf("%s: %v, want %s", nevra, got, want)
		}
	}
	if got := c.Support.policy().End("glibc-2.36-1.x86_64", nil, built); got.Format(time.DateTime) != "2027-02-28 23:59:59" {
		t.Errorf("by the window: %v", got)
	}
}

func TestSupportErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		from, to string
		line     int
		contains string
	}{
		{"warn: 2", "wran: 2", 9, `unknown key "wran"`},
		{"product: leap", "produkt: leap", 12, `unknown key "produkt"`},
		{"product: leap", "product: sle", 12, `no repository is of the product "sle"`},
		{"2025-12-31", "2025-02-30", 12, "not a date"},
		{"2025-12-31", "soon", 12, "not a date"},
		{"< 2.32", "2.32", 11, "range of versions"},
		{"13 months", "13 moons", 8, "not a span"},
		{"skip", "drop", 8, "neither build nor skip"},
		{"until:\n", "until: 2026-12-31\n#", 10, "support: until"},
	} {
		text := strings.Replace(supportMapping, tt.from, tt.to, 1)
		if tt.line == 10 {
			text = "support:\n  window: 13 months\n  warn: 2 weeks\n  until: [2026-12-31]\n"
		}
		_, err := parseSupport(t, text)
		var mistake *ConfigError
		if !errors.As(err, &mistake) || mistake.Line != tt.line || !strings.Contains(mistake.Text, tt.contains) {
			t.Errorf("%s: %v, want line %d: %s", tt.to, err, tt.line, tt.contains)
		}
	}
}

// TestSupportWarnings: packages that end soon, the next one first and each once;
// not those that have ended.
func TestSupportWarnings(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	lock := new(versions.Lock)
	add := func(nevra string, days int) {
		end := time.Date(2026, 11, 22+days, 23, 59, 59, 0, time.UTC)
		lock.Builds = append(lock.Builds, versions.Locked{NEVRA: nevra, EndOfSupport: &end})
	}
	add("later-1-1.x86_64", 31)
	add("soon-1-1.x86_64", 9)
	add("soon-1-1.x86_64", 9) // another library
	add("today-1-1.x86_64", 0)
	add("ended-1-1.x86_64", -1)
	lock.Builds = append(lock.Builds, versions.Locked{NEVRA: "ever-1-1.x86_64"})
	p := &Project{Config: Config{Support: Support{Warn: defaultWarn}}}
	want := []string{
		"today-1-1.x86_64: support ends 2026-11-22, in 0 days",
		"soon-1-1.x86_64: support ends 2026-12-01, in 9 days",
	}
	if diff := cmp.Diff(want, p.SupportWarnings(lock, now)); diff != "" {
		t.Error(diff)
	}
	for i := range 100 {
		add("many-"+strings.Repeat("1", i+1)+"-1.x86_64", 5)
	}
	if got := p.SupportWarnings(lock, now); len(got) != maxSupportWarnings+1 || got[len(got)-1] != "support of 94 packages more ends before 2026-12-22" {
		t.Errorf("%d lines, the last is %q", len(got), got[len(got)-1])
	}
	p.Support.Warn = Span{}
	if got := p.SupportWarnings(lock, now); len(got) != 0 {
		t.Errorf("warned of although nothing is to be: %v", got)
	}
}

func TestSupportLeftOut(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 11, 22, 23, 59, 59, 0, time.UTC)
	b := &elfinfo.Build{EndOfSupport: &end}
	skip := Support{Unsupported: skipUnsupported}
	got := []string{
		skip.leftOut(b, end), skip.leftOut(b, end.Add(1)), Support{}.leftOut(b, end.Add(1)), skip.leftOut(new(elfinfo.Build), end),
	}
	if want := []string{"", "support ended 2026-11-22", "", ""}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
