package rpmmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	maxNetrc        = 1 << 20 // bytes
	maxNetrcEntries = 10_000
)

// A netrcEntry is one machine of a netrc file; the machine of "default" is "".
type netrcEntry struct{ machine, login, password string }

// A netrc is the file that $NETRC names, or ~/.netrc.
type netrc struct {
	file    string
	open    error // why it must not be used: others can read it
	entries []netrcEntry
}

// readNetrc reads the user's netrc; one that is not there is empty, unless
// $NETRC names it.
func readNetrc() (*netrc, error) {
	name := os.Getenv("NETRC")
	named := name != ""
	if !named {
		home, err := os.UserHomeDir()
		if err != nil {
			return new(netrc), nil // no home, no file
		}
		name = filepath.Join(home, ".netrc")
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return new(netrc), nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxNetrc+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	n := &netrc{file: name, open: openToOthers(f)}
	if n.entries, err = parseNetrc(data); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCredentials, name, err)
	}
	return n, nil
}

// openToOthers says why a file with passwords is not private.
func openToOthers(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to user %d", owner.Uid)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("others have access to it (mode %03o): chmod 600 %s", mode, f.Name())
	}
	return nil
}

// find returns the first entry of a machine, or that of "default" if that may
// be. A file that others can read is an error only where it would be used.
func (n *netrc) find(machine string, orDefault bool) (netrcEntry, bool, error) {
	for _, e := range n.entries {
		if strings.EqualFold(e.machine, machine) || e.machine == "" && orDefault {
			if n.open != nil {
				return netrcEntry{}, false, fmt.Errorf("%w: %s: %w", ErrCredentials, n.file, n.open)
			}
			return e, true, nil
		}
	}
	return netrcEntry{}, false, nil
}

// parseNetrc reads the words of a netrc file: machine NAME or default, then
// login, password and account, each with a value; macdef NAME goes on to an
// empty line. A word may be in double quotes, with \ before ", \, n, r, t. "#"
// begins a comment where a keyword would stand.
func parseNetrc(data []byte) ([]netrcEntry, error) {
	if len(data) > maxNetrc {
		return nil, fmt.Errorf("larger than %d bytes", maxNetrc)
	}
	var entries []netrcEntry
	s := &netrcScanner{data: data, line: 1}
	for {
		key, ok := s.word()
		if s.err != nil {
			return nil, s.err
		}
		if !ok {
			return entries, nil
		}
		if strings.HasPrefix(key, "#") {
			s.skipLine()
			continue
		}
		if key == "default" {
			entries = append(entries, netrcEntry{})
			continue
		}
		line := s.line
		value, ok := s.word()
		if s.err != nil {
			return nil, s.err
		}
		if !ok {
			return nil, fmt.Errorf("line %d: a keyword without a value", line)
		}
		if err := s.set(&entries, key, value); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
}

func (s *netrcScanner) set(entries *[]netrcEntry, key, value string) error {
	if key == "machine" {
		if value == "" || len(*entries) >= maxNetrcEntries {
			return errors.New("a machine without a name, or too many")
		}
		*entries = append(*entries, netrcEntry{machine: value})
		return nil
	}
	if key == "macdef" {
		s.skipMacro()
		return nil
	}
	if len(*entries) == 0 {
		return errors.New("neither machine nor default comes first")
	}
	e := &(*entries)[len(*entries)-1]
	switch key {
	case "login":
		e.login = value
	case "password":
		e.password = value
	case "account":
	default:
		return errors.New("not a keyword of netrc") // which one may be a secret
	}
	return nil
}

type netrcScanner struct {
	data []byte
	line int
	err  error
}

// word returns the next word; ok is false at the end and after an error.
func (s *netrcScanner) word() (word string, ok bool) {
	for len(s.data) > 0 && isSpace(s.data[0]) {
		s.next()
	}
	if len(s.data) == 0 || s.err != nil {
		return "", false
	}
	if s.data[0] == '"' {
		return s.quoted()
	}
	end := bytes.IndexFunc(s.data, func(r rune) bool { return r < 0x80 && isSpace(byte(r)) })
	if end < 0 {
		end = len(s.data)
	}
	word, s.data = string(s.data[:end]), s.data[end:]
	return word, true
}

func (s *netrcScanner) quoted() (string, bool) {
	s.next()
	var b strings.Builder
	for len(s.data) > 0 {
		c := s.next()
		if c == '"' {
			return b.String(), true
		}
		if c == '\\' && len(s.data) > 0 {
			c = s.next()
			if i := strings.IndexByte("nrt", c); i >= 0 {
				c = "\n\r\t"[i]
			}
		}
		b.WriteByte(c)
	}
	s.err = fmt.Errorf("line %d: a quotation without an end", s.line)
	return "", false
}

func (s *netrcScanner) next() byte {
	c := s.data[0]
	if c == '\n' {
		s.line++
	}
	s.data = s.data[1:]
	return c
}

// skipLine goes to the end of the line.
func (s *netrcScanner) skipLine() {
	for len(s.data) > 0 && s.data[0] != '\n' {
		s.next()
	}
}

// skipMacro goes to the next empty line.
func (s *netrcScanner) skipMacro() {
	s.skipLine()
	for len(s.data) > 0 && !bytes.HasPrefix(s.data, []byte("\n\n")) {
		s.next()
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
