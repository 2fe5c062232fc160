package livepatch

import (
	"bytes"
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseDescription parses a description or a template of one. file is its
// name, for messages. Whatever libpulp's packer crashes on or silently
// misreads is an error here; errors are *SyntaxError.
func ParseDescription(file string, src []byte) (*Description, error) {
	p := &parser{d: &Description{File: file}, units: make(map[string]Unit), refs: make(map[string]bool)}
	if err := p.split(src); err != nil {
		return nil, err
	}
	for i, line := range p.d.lines {
		p.line, p.text = i+1, line
		if err := p.parseLine(); err != nil {
			return nil, err
		}
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	return p.d, nil
}

// parser holds the state between lines.
type parser struct {
	d    *Description
	line int
	text string
	// dependsLine is the only line where a dependency may stand.
	dependsLine int
	// units is keyed by name, with and without its source; refs by the
	// container's variable.
	units map[string]Unit
	refs  map[string]bool
}

// errorf returns an error in the current line, col counted from 0.
func (p *parser) errorf(col int, format string, args ...any) error {
	return p.d.ErrorAt(Pos{p.line, col + 1}, fmt.Sprintf(format, args...))
}

// split fills p.d.lines. A final LF ends the last line and does not begin another.
func (p *parser) split(src []byte) error {
	src = bytes.TrimSuffix(src, []byte("\n"))
	if len(src)+1 > MaxDescription {
		return p.errorf(0, "larger than %d bytes", MaxDescription)
	}
	for len(src) > 0 {
		line, rest, _ := bytes.Cut(src, []byte("\n"))
		p.line++
		if len(line) > maxLine {
			return p.errorf(maxLine, "line longer than %d bytes", maxLine)
		}
		p.d.lines = append(p.d.lines, string(line))
		if err := p.checkText(string(line)); err != nil {
			return err
		}
		src = rest
	}
	return nil
}

// checkText refuses what an editor does not show.
func (p *parser) checkText(line string) error {
	for i, r := range line {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(line[i:], "\ufffd"):
			return p.errorf(i, "not UTF-8")
		case r == '\ufeff' && i == 0 && p.line == 1:
			return p.errorf(i, "byte order mark; save the file without it")
		case r == '\r':
			return p.errorf(i, "carriage return; save the file with LF line ends")
		case r == '\t' && line[0] == '!':
		case unicode.IsControl(r):
			return p.errorf(i, "control character %#02x", r)
		}
	}
	return nil
}

func (p *parser) parseLine() error {
	line := p.text
	if line == "" {
		return nil
	}
	if line[0] == '!' {
		p.d.Comments = append(p.d.Comments, line[1:])
		return nil
	}
	if line[0] == ' ' {
		return p.errorf(0, "blank at the start of the line")
	}
	if strings.HasSuffix(line, " ") {
		return p.errorf(len(strings.TrimRight(line, " ")), "blank at the end of the line")
	}
	if p.d.Container == "" {
		return p.parseContainer()
	}
	switch line[0] {
	case '*':
		return p.parseDepends()
	case '@':
		return p.parseTarget()
	}
	if p.d.Target == "" {
		return p.errorf(0, "target line (@PATH) expected before functions and references")
	}
	if len(p.d.Units)+len(p.d.References) >= maxItems {
		return p.errorf(0, "more than %d functions and references", maxItems)
	}
	if line[0] == '#' {
		return p.parseReference()
	}
	return p.parseUnit()
}

func (p *parser) parseContainer() error {
	if strings.ContainsRune("*@#", rune(p.text[0])) {
		return p.errorf(0, "the container's file name expected before %q lines", p.text[:1])
	}
	if err := p.checkPath(0); err != nil {
		return err
	}
	// A base name that begins like another kind of line could not be written back.
	if base := path.Base(p.text); strings.ContainsRune("!*@#", rune(base[0])) {
		return p.errorf(len(p.text)-len(base), "the container's file name begins with %q", base[:1])
	}
	p.d.Container, p.d.ContainerPos = p.text, Pos{p.line, 1}
	p.dependsLine = p.line + 1
	return nil
}

func (p *parser) parseDepends() error {
	if p.line != p.dependsLine {
		return p.errorf(0, "dependency not directly after the container's line or another dependency")
	}
	if err := p.checkPath(1); err != nil {
		return err
	}
	if len(p.d.Depends) >= maxItems {
		return p.errorf(0, "more than %d dependencies", maxItems)
	}
	p.d.Depends = append(p.d.Depends, p.text[1:])
	p.dependsLine++
	return nil
}

func (p *parser) parseTarget() error {
	if p.d.Target != "" {
		return p.errorf(0, "second target; a patch has one target, given in line %d", p.d.TargetPos.Line)
	}
	if err := p.checkPath(1); err != nil {
		return err
	}
	p.d.Target, p.d.TargetPos = p.text[1:], Pos{p.line, 2}
	return nil
}

// checkPath checks that the rest of the line, from col, has a base name that
// can stand alone in the same place.
func (p *parser) checkPath(col int) error {
	name := p.text[col:]
	base := name[strings.LastIndexByte(name, '/')+1:]
	switch {
	case name == "":
		return p.errorf(col, "file name missing")
	case base == "" || base == "." || base == "..":
		return p.errorf(len(p.text)-len(base), "%q is not the name of a file", name)
	case base[0] == ' ':
		return p.errorf(len(p.text)-len(base), "file name begins with a blank")
	}
	return nil
}

func (p *parser) parseUnit() error {
	fields := strings.Split(p.text, ":")
	switch {
	case len(fields) == 1:
		return p.errorf(len(p.text), "':' expected: old:new")
	case len(fields) > 3:
		return p.errorf(0, "%d fields; a function has two: old:new", len(fields))
	}
	u := Unit{New: fields[1], Pos: Pos{p.line, 1}}
	var err error
	if u.Old, u.Source, err = p.symbol(0, fields[0], "function to replace"); err != nil {
		return err
	}
	newCol := len(fields[0]) + 1
	if err := p.name(newCol, u.New, "replacement"); err != nil {
		return err
	}
	if len(fields) == 3 {
		w := p.d.ErrorAt(Pos{p.line, newCol + len(u.New) + 2}, "third field has no meaning and is ignored")
		p.d.Warnings = append(p.d.Warnings, *w)
	}
	return p.addUnit(u)
}

// addUnit refuses a second unit for one function. A bare name and the same
// name with a source are one function, or the bare name is ambiguous.
func (p *parser) addUnit(u Unit) error {
	first, twice := p.units[u.Name()]
	if !twice {
		// Whatever stands under the bare name came first among its namesakes.
		first, twice = p.units[u.Old]
		twice = twice && (u.Source == "" || first.Source == "")
	}
	if twice {
		return p.errorf(0, "%s is replaced twice, first in line %d", u.Old, first.Line)
	}
	p.units[u.Name()] = u
	if _, ok := p.units[u.Old]; !ok {
		p.units[u.Old] = u
	}
	p.d.Units = append(p.d.Units, u)
	return nil
}

func (p *parser) parseReference() error {
	r := Reference{Pos: Pos{p.line, 1}}
	col := 1
	if strings.HasPrefix(p.text[col:], "%") {
		r.TLS = true
		col++
	}
	fields := strings.Split(p.text[col:], ":")
	if len(fields) != 2 && len(fields) != 4 {
		return p.errorf(0, "%d fields; a reference has two or four: #target:reference[:targetoffset:patchoffset]", len(fields))
	}
	var err error
	if r.Target, r.Source, err = p.symbol(col, fields[0], "target symbol"); err != nil {
		return err
	}
	col += len(fields[0]) + 1
	r.Reference = fields[1]
	if err := p.name(col, r.Reference, "reference variable"); err != nil {
		return err
	}
	if p.refs[r.Reference] {
		return p.errorf(col, "%s receives two references", r.Reference)
	}
	p.refs[r.Reference] = true
	if len(fields) == 4 {
		col += len(fields[1]) + 1
		r.Explicit = true
		if r.TargetOffset, err = p.hex(col, fields[2]); err != nil {
			return err
		}
		if r.PatchOffset, err = p.hex(col+len(fields[2])+1, fields[3]); err != nil {
			return err
		}
	}
	p.d.References = append(p.d.References, r)
	return nil
}

// symbol parses "name" or "name@source.c".
func (p *parser) symbol(col int, s, what string) (name, source string, err error) {
	name, source, has := strings.Cut(s, "@")
	if err := p.name(col, name, what); err != nil {
		return "", "", err
	}
	if has {
		col += len(name) + 1
		if err := p.name(col, source, "source file after '@'"); err != nil {
			return "", "", err
		}
		if i := strings.IndexByte(source, '/'); i >= 0 {
			return "", "", p.errorf(col+i, "source file with a folder; give its base name")
		}
	}
	return name, source, nil
}

// name checks one symbol or source file name.
func (p *parser) name(col int, s, what string) error {
	if i, problem := checkName(s); problem != "" {
		return p.errorf(col+i, "%s: %s", what, problem)
	}
	return nil
}

// checkName returns the byte index and a description of what is wrong with a
// symbol name, or "". It is as wide as ELF's in what it allows inside a name
// (C++, '.', '$', other scripts), but every name it accepts is parsed back.
func checkName(s string) (int, string) {
	switch {
	case s == "":
		return 0, "name missing"
	case len(s) > maxName:
		return maxName, fmt.Sprintf("name longer than %d bytes", maxName)
	case strings.ContainsRune("!*@#%", rune(s[0])):
		return 0, fmt.Sprintf("name begins with %q", s[:1])
	}
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd"):
			return i, "not UTF-8"
		case r == ' ' || !unicode.IsPrint(r):
			return i, fmt.Sprintf("%q in a name", r)
		case r == ':' || r == '@':
			return i, fmt.Sprintf("%q in a name", r)
		}
	}
	return 0, ""
}

// hex parses an offset as strtol(3) does with base 16, without its leniency.
func (p *parser) hex(col int, s string) (uint64, error) {
	digits := strings.TrimPrefix(s, "0x")
	n, err := strconv.ParseUint(digits, 16, 63)
	if err != nil {
		return 0, p.errorf(col, "bad hexadecimal offset %q", s)
	}
	return n, nil
}

func (p *parser) finish() error {
	p.line, p.text = max(1, len(p.d.lines)), ""
	switch {
	case p.d.Container == "":
		return p.errorf(0, "empty: the container's file name expected")
	case p.d.Target == "":
		return p.errorf(0, "no target line (@PATH)")
	case len(p.d.Units) == 0 && len(p.d.References) == 0:
		return p.errorf(0, "neither a function (old:new) nor a reference (#target:reference)")
	}
	return nil
}
