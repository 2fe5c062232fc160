// Package fnmatch matches the patterns of fnmatch(3), as the command line and
// the environment variables of libpulp have them. Unlike path.Match, a "*"
// matches "/" too, "[!a]" negates, and there are ksh's extended patterns. As in
// the C locale, where libpulp calls it, a character is a byte.
//
// A pattern and a name may come from a hostile process: matching takes time
// linear in both.
package fnmatch

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrPattern means that the pattern is longer than maxPattern, or has ksh's "!(...)",
// which can't be matched in linear time.
var ErrPattern = errors.New("pattern not supported")

// maxPattern bounds a pattern in bytes.
const maxPattern = 4096

// Match says whether a name matches a pattern, as fnmatch(3) with no flags.
func Match(pattern, name string) (bool, error) { return match(pattern, name, false) }

// MatchExtended is Match with FNM_EXTMATCH: "?(a|b)", "*(a|b)", "+(a|b)" and
// "@(a|b)" are alternatives, so many times.
func MatchExtended(pattern, name string) (bool, error) { return match(pattern, name, true) }

func match(pattern, name string, extended bool) (bool, error) {
	if len(pattern) > maxPattern {
		return false, fmt.Errorf("%d bytes: %w", len(pattern), ErrPattern)
	}
	t := translator{rest: pattern, extended: extended}
	if err := t.translate(); err != nil {
		return false, err
	}
	re, err := regexp.Compile(t.out.String())
	if err != nil {
		return false, nil // a range from high to low, say: it matches nothing
	}
	return re.MatchString(latin1(name)), nil
}

// latin1 makes a character of every byte.
func latin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// translator writes a pattern as a regular expression.
type translator struct {
	rest     string
	extended bool
	out      strings.Builder
	// closing are what ends the groups that are open.
	closing []string
}

func (t *translator) translate() error {
	t.out.WriteString(`(?s)\A(?:`)
	for t.rest != "" {
		if err := t.next(); err != nil {
			return err
		}
	}
	if len(t.closing) > 0 {
		return fmt.Errorf("unclosed group: %w", ErrPattern)
	}
	t.out.WriteString(`)\z`)
	return nil
}

// next translates one element.
func (t *translator) next() error {
	c, rest := t.rest[0], t.rest[1:]
	if t.extended && strings.HasPrefix(rest, "(") && strings.IndexByte("?*+@!", c) >= 0 {
		if c == '!' {
			return fmt.Errorf("%q: %w", "!(", ErrPattern)
		}
		t.open(c)
		return nil
	}
	n := len(t.closing)
	switch {
	case c == '*':
		t.out.WriteString(".*")
	case c == '?':
		t.out.WriteString(".")
	case c == '[':
		if t.bracket() {
			return nil
		}
		t.out.WriteString(`\[`)
	case c == '\\' && rest != "":
		t.out.WriteString(regexp.QuoteMeta(latin1(rest[:1])))
		rest = rest[1:]
	case c == '|' && n > 0:
		t.out.WriteString("|")
	case c == ')' && n > 0:
		t.out.WriteString(t.closing[n-1])
		t.closing = t.closing[:n-1]
	default:
		t.literal()
		return nil
	}
	t.rest = rest
	return nil
}

// open begins a group of alternatives.
func (t *translator) open(c byte) {
	closing := ")"
	if c != '@' {
		closing += string(c)
	}
	t.out.WriteString("(?:")
	t.closing = append(t.closing, closing)
	t.rest = t.rest[2:]
}

// literal takes characters that stand for themselves.
func (t *translator) literal() {
	n := strings.IndexAny(t.rest[1:], `*?[\|)+@!`) + 1
	if n == 0 {
		n = len(t.rest)
	}
	t.out.WriteString(regexp.QuoteMeta(latin1(t.rest[:n])))
	t.rest = t.rest[n:]
}

// bracket takes a set of characters; false if the "[" stands for itself.
func (t *translator) bracket() bool {
	body := t.rest[1:]
	negate := ""
	if strings.HasPrefix(body, "!") || strings.HasPrefix(body, "^") {
		negate, body = "^", body[1:]
	}
	var set strings.Builder
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == ']' && i > 0:
			t.out.WriteString("[" + negate + set.String() + "]")
			t.rest = body[i+1:]
			return true
		case c == '[' && strings.HasPrefix(body[i:], "[:"):
			end := strings.Index(body[i:], ":]")
			if end < 0 {
				return false
			}
			set.WriteString(body[i : i+end+2])
			i += end + 1
		case c == '\\' && i+1 < len(body):
			i++
			set.WriteString(quoteInSet(body[i]))
		case c == '-':
			set.WriteByte(c)
		default:
			set.WriteString(quoteInSet(c))
		}
	}
	return false
}

// quoteInSet escapes a character that would mean something in a set.
func quoteInSet(c byte) string {
	if '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' {
		return string(rune(c))
	}
	return fmt.Sprintf(`\x{%02x}`, c)
}
