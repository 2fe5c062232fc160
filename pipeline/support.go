package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/pipeline/dist"
	"github.com/lpbuild/lpbuild/versions"
)

// Support says until when a shipped build gets live patches, and what becomes
// of the others. In lpbuild.yaml it is a span or a mapping.
type Support struct {
	// Window is counted from the build date; the zero Span means for ever.
	Window Span `yaml:"window"`
	// Warn is how long before the end of a build's support there are warnings.
	Warn Span `yaml:"warn"`
	// Until are ends of their own; the first row that is about a build counts.
	Until []SupportEnd `yaml:"until"`
	// Unsupported is what is done with builds whose support has ended: "build",
	// the default, or "skip".
	Unsupported string `yaml:"unsupported"`
}

// What Support.Unsupported can be.
const (
	buildUnsupported = "build"
	skipUnsupported  = "skip"
)

// defaultWarn is the default of Support.Warn.
var defaultWarn = Span{Days: 30}

// UnmarshalYAML reads a span, or a mapping of the keys above.
func (s *Support) UnmarshalYAML(n *yaml.Node) error {
	s.Warn = defaultWarn
	if n.Kind == yaml.ScalarNode {
		return s.Window.UnmarshalYAML(n)
	}
	if err := onlyKeys(n, "support", "window", "warn", "until", "unsupported"); err != nil {
		return err
	}
	type plain Support // without this method
	if err := n.Decode((*plain)(s)); err != nil {
		return err
	}
	if s.Unsupported != "" && s.Unsupported != buildUnsupported && s.Unsupported != skipUnsupported {
		return &ConfigError{Line: n.Line, Text: fmt.Sprintf("support: unsupported: %q is neither build nor skip", s.Unsupported)}
	}
	return nil
}

// onlyKeys refuses a node that is no mapping, or has other keys: what a type
// reads by itself is not held to the fields that it has.
func onlyKeys(n *yaml.Node, what string, keys ...string) error {
	if n.Kind != yaml.MappingNode {
		return &ConfigError{Line: n.Line, Text: what + ": a mapping with some of " + strings.Join(keys, ", ") + " is wanted"}
	}
	for i := 0; i < len(n.Content); i += 2 {
		if key := n.Content[i]; !slices.Contains(keys, key.Value) {
			return &ConfigError{Line: key.Line, Text: fmt.Sprintf("%s: unknown key %q", what, key.Value)}
		}
	}
	return nil
}

// A Span is a length of time in calendar units, as in "13 months".
type Span versions.Span

// UnmarshalYAML reads "N day|week|month|year", with or without the plural s.
func (s *Span) UnmarshalYAML(n *yaml.Node) error {
	span, err := versions.ParseSpan(n.Value)
	if err != nil {
		return &ConfigError{Line: n.Line, Text: "support: " + err.Error()}
	}
	*s = Span(span)
	return nil
}

// SupportEnd is one row of Support.Until.
type SupportEnd versions.SupportEnd

// UnmarshalYAML reads a mapping of versions, product and end.
func (s *SupportEnd) UnmarshalYAML(n *yaml.Node) error {
	if err := onlyKeys(n, "support: until", "versions", "product", "end"); err != nil {
		return err
	}
	var row struct{ Versions, Product, End string }
	if err := n.Decode(&row); err != nil {
		return err
	}
	bad := func(err error) error {
		return &ConfigError{Line: n.Line, Text: "support: until: " + err.Error()}
	}
	*s = SupportEnd{Product: row.Product}
	var err error
	if s.End, err = time.Parse(time.DateOnly, row.End); err != nil {
		return bad(fmt.Errorf("end: %q is not a date such as 2026-12-31", row.End))
	}
	if row.Versions != "" {
		s.Versions, err = versions.ParseRange(row.Versions)
		if err != nil {
			return bad(err)
		}
	}
	return nil
}

// policy is what package versions needs to know of it.
func (s Support) policy() versions.Support {
	p := versions.Support{Window: versions.Span(s.Window)}
	for _, row := range s.Until {
		p.Until = append(p.Until, versions.SupportEnd(row))
	}
	return p
}

// validateSupport refuses rows that can be about no build: a product that is
// misspelt would silently lose its end.
func (c *Config) validateSupport(k *checker) {
	for i, row := range c.Support.Until {
		known := slices.ContainsFunc(c.Repositories, func(r Repository) bool { return r.Product == row.Product })
		if row.Product != "" && !known {
			k.add(fmt.Sprintf("support: until: no repository is of the product %q", row.Product), "support", "until", i)
		}
	}
}

// leftOut says why a build gets no live patches any more; "" if it does.
func (s Support) leftOut(b *elfinfo.Build, now time.Time) string {
	if s.Unsupported != skipUnsupported || b.EndOfSupport == nil || !now.After(*b.EndOfSupport) {
		return ""
	}
	return "support ended " + b.EndOfSupport.Format(time.DateOnly)
}

// buildDate is the time of SOURCE_DATE_EPOCH, as in everything that is built:
// built again from the same sources, the set is the same. Without it, now.
func buildDate() time.Time {
	now, err := dist.SourceDate(time.Now())
	if err != nil {
		return time.Now() // dist and rpm refuse it with the reason
	}
	return now
}

// maxSupportWarnings is how many packages are named one by one.
const maxSupportWarnings = 8

// SupportWarnings are lines about packages whose support ends soon, by the
// project's lock, the next one first. A package that has left support is not
// among them: lpbuild versions marks it.
func (p *Project) SupportWarnings(lock *versions.Lock, now time.Time) []string {
	soon := versions.Span(p.Support.Warn).After(now)
	var ending []versions.Locked
	for _, b := range lock.Builds {
		same := func(o versions.Locked) bool { return o.NEVRA == b.NEVRA }
		if b.Supported(now) && !b.Supported(soon) && !slices.ContainsFunc(ending, same) {
			ending = append(ending, b)
		}
	}
	slices.SortStableFunc(ending, func(a, b versions.Locked) int { return a.EndOfSupport.Compare(*b.EndOfSupport) })
	var lines []string
	for i, b := range ending {
		if i == maxSupportWarnings {
			lines = append(lines, fmt.Sprintf("support of %s more ends before %s", count(len(ending)-i, "package"), soon.Format(time.DateOnly)))
			break
		}
		days := int(b.EndOfSupport.Sub(now).Hours() / 24)
		lines = append(lines, fmt.Sprintf("%s: support ends %s, in %s", b.NEVRA, b.EndOfSupport.Format(time.DateOnly), count(days, "day")))
	}
	return lines
}
