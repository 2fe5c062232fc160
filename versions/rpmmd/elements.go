package rpmmd

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
)

// maxDepth is how deep elements may be nested. Metadata has six levels.
const maxDepth = 64

// eachElement calls f with every child of the root element, which must be
// named root. raw is the child from its start tag to its end tag, valid until f
// returns. Only as much XML is understood here as it takes to find the
// children, for of a million packages few are wanted; decode does the rest.
// Memory is bounded: by maxElement for a child, and by maxDepth, as a parser
// that meets ten million nested tags remembers each. Document types, and with
// them entities of one's own, are refused.
func eachElement(r io.Reader, root string, f func(name string, raw []byte) error) error {
	s := &elementScanner{r: r, buf: make([]byte, 64<<10), keep: -1}
	name, kind, err := s.child()
	switch {
	case errors.Is(err, ErrTruncated) && s.depth == 0:
		return fmt.Errorf("%w: no <%s>", ErrFormat, root)
	case err != nil:
		return err
	case name != root:
		return fmt.Errorf("%w: <%.20s> instead of <%s>", ErrFormat, name, root)
	case kind == emptyTag:
		return nil
	}
	for {
		name, kind, err := s.child()
		if err != nil || kind == endTag {
			return err
		}
		if kind == startTag {
			if err := s.rest(1); err != nil {
				return err
			}
		}
		if err := f(name, s.buf[s.keep:s.pos]); err != nil {
			return err
		}
	}
}

// decode reads one element.
func decode(raw []byte, v any) error {
	err := xml.Unmarshal(raw, v)
	if err == nil || errors.Is(err, ErrFormat) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrFormat, err)
}

type tagKind int

const (
	startTag tagKind = iota
	emptyTag
	endTag
)

// An elementScanner goes from tag to tag. buf[keep:pos] is what it has seen of
// the element that is looked at, if keep is not negative.
type elementScanner struct {
	r              io.Reader
	buf            []byte
	pos, end, keep int
	depth          int
}

// child goes to the next tag and keeps what follows.
func (s *elementScanner) child() (string, tagKind, error) {
	s.keep = -1
	kind, err := s.tag(true)
	if err != nil || kind == endTag {
		return "", kind, err
	}
	tag := bytes.TrimLeft(s.buf[s.keep:s.pos], "<")
	if i := bytes.IndexAny(tag, " \t\r\n/>"); i >= 0 {
		tag = tag[:i]
	}
	if _, local, prefixed := bytes.Cut(tag, []byte(":")); prefixed {
		tag = local
	}
	return string(tag), kind, nil
}

// rest goes to the end of the element that began at that depth.
func (s *elementScanner) rest(depth int) error {
	for s.depth > depth {
		if _, err := s.tag(false); err != nil {
			return err
		}
	}
	return nil
}

// tag goes behind the next tag. keep says that it is to be kept.
func (s *elementScanner) tag(keep bool) (tagKind, error) {
	for {
		if err := s.past('<'); err != nil {
			return 0, err
		}
		if keep {
			s.keep = s.pos - 1
		}
		if err := s.have(1); err != nil {
			return 0, err
		}
		switch s.buf[s.pos] {
		case '?':
			if err := s.pastText("?>"); err != nil {
				return 0, err
			}
		case '!':
			if err := s.declaration(); err != nil {
				return 0, err
			}
		case '/':
			if s.depth--; s.depth < 0 {
				return 0, fmt.Errorf("%w: an end without a beginning", ErrFormat)
			}
			return endTag, s.past('>')
		default:
			return s.start()
		}
		if keep {
			s.keep = -1
		}
	}
}

// start goes behind a start tag. A ">" in quotes does not end it.
func (s *elementScanner) start() (tagKind, error) {
	last := byte(0)
	for {
		i := bytes.IndexAny(s.buf[s.pos:s.end], `"'>`)
		if i < 0 {
			if s.end > s.pos {
				last = s.buf[s.end-1]
			}
			s.pos = s.end
			if err := s.fill(); err != nil {
				return 0, err
			}
			continue
		}
		if i > 0 {
			last = s.buf[s.pos+i-1]
		}
		c := s.buf[s.pos+i]
		s.pos += i + 1
		if c != '>' {
			if err := s.past(c); err != nil {
				return 0, err
			}
			last = c
			continue
		}
		if last == '/' {
			return emptyTag, nil
		}
		if s.depth++; s.depth > maxDepth {
			return 0, fmt.Errorf("%w: elements nested more than %d deep", ErrFormat, maxDepth)
		}
		return startTag, nil
	}
}

// declaration goes behind a comment or a CDATA section.
func (s *elementScanner) declaration() error {
	const comment, cdata = "!--", "![CDATA["
	if err := s.have(len(cdata)); err != nil {
		return err
	}
	switch {
	case bytes.HasPrefix(s.buf[s.pos:s.end], []byte(comment)):
		s.pos += len(comment)
		return s.pastText("-->")
	case bytes.HasPrefix(s.buf[s.pos:s.end], []byte(cdata)):
		s.pos += len(cdata)
		return s.pastText("]]>")
	}
	return fmt.Errorf("%w: a document type", ErrFormat)
}

// past goes behind the next byte c.
func (s *elementScanner) past(c byte) error {
	for {
		if i := bytes.IndexByte(s.buf[s.pos:s.end], c); i >= 0 {
			s.pos += i + 1
			return nil
		}
		s.pos = s.end
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// pastText goes behind the next occurrence of text.
func (s *elementScanner) pastText(text string) error {
	for {
		if i := bytes.Index(s.buf[s.pos:s.end], []byte(text)); i >= 0 {
			s.pos += i + len(text)
			return nil
		}
		s.pos = max(s.pos, s.end-len(text)+1) // its beginning may be there
		if err := s.fill(); err != nil {
			return err
		}
	}
}

// have reads on until n bytes follow.
func (s *elementScanner) have(n int) error {
	for s.end-s.pos < n {
		if err := s.fill(); err != nil {
			return err
		}
	}
	return nil
}

// fill reads more, and forgets what is neither kept nor ahead.
func (s *elementScanner) fill() error {
	from := s.pos
	if s.keep >= 0 {
		from, s.keep = s.keep, 0
	}
	copy(s.buf, s.buf[from:s.end])
	s.pos, s.end = s.pos-from, s.end-from
	if s.end == len(s.buf) {
		if len(s.buf) >= maxElement {
			return fmt.Errorf("%w: an element of more than %d bytes", ErrFormat, maxElement)
		}
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	n, err := io.ReadAtLeast(s.r, s.buf[s.end:], 1)
	s.end += n
	if err == io.EOF {
		return fmt.Errorf("%w: the end is missing", ErrTruncated)
	}
	return err
}
