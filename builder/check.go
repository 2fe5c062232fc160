package builder

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Severity says what a finding of a check means for the container.
type Severity string

// The severities.
const (
	// Refuse: there is no container, unless the project waives the check.
	Refuse Severity = "error"
	// Warn: there is one, and the author should know.
	Warn Severity = "warning"
)

// A Rule is what one check demands of live patches, in every build, before
// their containers ship. The names are part of lpbuild.yaml and of reports:
// they stay.
type Rule struct {
	// Name is in lower case with hyphens.
	Name     string   `json:"check"`
	Severity Severity `json:"severity"`
	// Text is what must be true, in one line.
	Text string `json:"text"`
	// Why says what goes wrong otherwise, and what to do: some lines.
	Why string `json:"why"`
	// Waive says when waiving the check is right; "" means never, and a project
	// that tries is refused.
	Waive string `json:"waive,omitempty"`
}

// Rules is the table of all checks.
func Rules() []Rule { return slices.Clone(rules) }

// FindRule returns the rule of the check of a name.
func FindRule(name string) (Rule, bool) {
	i := slices.IndexFunc(rules, func(r Rule) bool { return r.Name == name })
	if i < 0 {
		return Rule{}, false
	}
	return rules[i], true
}

// A Finding is one place where a check does not hold.
type Finding struct {
	// Check is the name of the check.
	Check    string   `json:"check"`
	Severity Severity `json:"severity"`
	// Text is one line for a person; it does not name the build.
	Text string `json:"text"`
	// Waived is the project's reason to accept it, "" if it has none.
	Waived string `json:"waived,omitempty"`
}

// String is the text, the name of the check, and why it was accepted.
func (f Finding) String() string {
	if f.Waived != "" {
		return fmt.Sprintf("%s [%s, waived: %s]", f.Text, f.Check, f.Waived)
	}
	return fmt.Sprintf("%s [%s]", f.Text, f.Check)
}

// refuses says that the finding stands in the way of a container.
func (f Finding) refuses() bool { return f.Severity == Refuse && f.Waived == "" }

// found makes the findings of one check.
func found(check string, texts ...string) []Finding {
	rule, ok := FindRule(check)
	if !ok {
		rule.Severity = Refuse // a mistake of ours must not let anything pass
	}
	var list []Finding
	for _, text := range texts {
		list = append(list, Finding{Check: check, Severity: rule.Severity, Text: text})
	}
	return list
}

// waive notes the project's reasons.
func waive(findings []Finding, reasons map[string]string) {
	for i, f := range findings {
		findings[i].Waived = reasons[f.Check]
	}
}

// refusedBy is the error for findings that stand in the way, nil if none does.
func refusedBy(findings []Finding) error {
	var refusing []Finding
	for _, f := range findings {
		if f.refuses() {
			refusing = append(refusing, f)
		}
	}
	if len(refusing) == 0 {
		return nil
	}
	text := refusing[0].String()
	if n := len(refusing) - 1; n > 0 {
		text = fmt.Sprintf("%s, and %d more", text, n)
	}
	return &checkError{check: refusing[0].Check, err: refuse(ErrCheck, nil, "%s", text), named: true}
}

// ErrCheck says that a check that the project does not waive has found something.
var ErrCheck = errors.New("check failed")

// checkError is a refusal that is the business of a check.
type checkError struct {
	check string
	err   error
	named bool // err says the name of the check
}

func (e *checkError) Error() string {
	if e.named {
		return e.err.Error()
	}
	return fmt.Sprintf("%v [%s]", e.err, e.check)
}

func (e *checkError) Unwrap() error { return e.err }

// failing says which check an error is the business of; nil stays nil.
func failing(check string, err error) error {
	if err == nil {
		return nil
	}
	return &checkError{check: check, err: err}
}

// CheckOf is the name of the check that refused what err is about, "" if it was
// none: a wrong description, a compiler's error, a name that was never looked up.
func CheckOf(err error) string {
	var e *checkError
	if !errors.As(err, &e) {
		return ""
	}
	return e.check
}

// withRefusal adds to the findings what err says, if it is the business of a
// check and not of one of the findings.
func withRefusal(findings []Finding, err error) []Finding {
	check := CheckOf(err)
	if check == "" || slices.ContainsFunc(findings, Finding.refuses) {
		return findings
	}
	return append(slices.Clone(findings), found(check, strings.TrimSuffix(err.Error(), " ["+check+"]"))...)
}

// CheckWaivers says what is wrong with a project's waivers: a check that does
// not exist or must not be waived, or a reason that is none.
func CheckWaivers(reasons map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(reasons)) {
		rule, ok := FindRule(name)
		switch {
		case !ok:
			return fmt.Errorf("no check is named %q", name)
		case rule.Waive == "":
			return fmt.Errorf("%s cannot be waived: %s", name, rule.Text)
		case strings.TrimSpace(reasons[name]) == "" || strings.ContainsAny(reasons[name], "\n\r"):
			return fmt.Errorf("%s: a waiver needs a reason, one line", name)
		}
	}
	return nil
}
