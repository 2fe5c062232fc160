package rpmfile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// An Extracted is one file that Extract wrote.
type Extracted struct {
	// Path is the path in the package; the file is at root + Path.
	Path string `json:"path"`
	// Link is the target of a symlink as it was written: always relative.
	Link string `json:"link,omitempty"`
	// Size and SHA256 (hexadecimal) are those of a regular file.
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256,omitempty"`
}

// Extract unpacks the regular files and symlinks for which want is true below
// root, with their paths in the package, and returns them in archive order.
// It stops reading once it has them all. Directories are made as needed;
// permissions are 0755 or 0644 and belong to the caller.
//
// What would write or lead outside root is refused with ErrUnsafePath, as are
// a wanted device node, fifo or socket and a wanted set-id file. An absolute
// symlink is rewritten relative to root. After an error, what was written so
// far is still there: extract into a temporary folder.
//
// Precondition: Verify has succeeded; root is an empty folder.
func (p *Package) Extract(ctx context.Context, root *os.Root, want func(*File) bool) ([]Extracted, error) {
	pl, err := p.Payload()
	if err != nil {
		return nil, err
	}
	defer pl.Close()
	x := extractor{root: root, pl: pl, dirs: map[string]bool{"": true}, pending: make(map[uint64][]string)}
	for i := range pl.files {
		if want(&pl.files[i]) && !pl.files[i].Dir() && !pl.files[i].Ghost {
			x.wanted++
		}
	}
	for len(x.done) < x.wanted {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e, err := pl.Next()
		if err == io.EOF {
			return nil, fmt.Errorf("%s: %w: data of hard links is missing", p.name, ErrFormat)
		}
		if err != nil {
			return nil, err
		}
		if err := x.entry(e, want(e.File)); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", p.name, e.Path, err)
		}
	}
	return x.done, nil
}

type extractor struct {
	root    *os.Root
	pl      *Payload
	dirs    map[string]bool     // made by us, hence no symlinks
	pending map[uint64][]string // wanted hard links whose data is yet to come
	wanted  int
	done    []Extracted
}

func (x *extractor) entry(e Entry, want bool) error {
	switch {
	case e.Dir():
		return nil
	case e.Linked:
		if want {
			if err := extractable(e.File); err != nil {
				return err
			}
			x.pending[e.Group] = append(x.pending[e.Group], e.Path)
		}
		return nil
	}
	names := x.pending[e.Group]
	delete(x.pending, e.Group)
	if want {
		names = append([]string{e.Path}, names...)
	}
	if len(names) == 0 {
		return nil
	}
	if err := extractable(e.File); err != nil {
		return err
	}
	if e.Symlink() {
		return x.symlink(e.Path, e.Link)
	}
	return x.regular(e.File, names)
}

// extractable refuses kinds of files that no library needs.
func extractable(f *File) error {
	switch {
	case !f.Regular() && !f.Symlink():
		return fmt.Errorf("%w: neither a regular file nor a symlink (mode %o)", ErrUnsafePath, f.Mode)
	case f.Regular() && f.Mode&modeSetID != 0:
		return fmt.Errorf("%w: set-id file (mode %o)", ErrUnsafePath, f.Mode)
	}
	return nil
}

// regular writes the current entry's data under the first name and links the
// others to it.
func (x *extractor) regular(f *File, names []string) error {
	for _, name := range names {
		if err := x.parent(name); err != nil {
			return err
		}
	}
	perm := fs.FileMode(0o644)
	if f.Mode&0o111 != 0 {
		perm = 0o755
	}
	sum, err := x.write(rel(names[0]), perm)
	if err != nil {
		return err
	}
	for i, name := range names {
		if i > 0 {
			if err := x.root.Link(rel(names[0]), rel(name)); err != nil {
				return err
			}
		}
		x.done = append(x.done, Extracted{Path: name, Size: f.Size, SHA256: sum})
	}
	return nil
}

func (x *extractor) write(name string, perm fs.FileMode) (string, error) {
	f, err := x.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, h), x.pl)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (x *extractor) symlink(name, target string) error {
	link, err := confine(name, target)
	if err != nil {
		return err
	}
	if err := x.parent(name); err != nil {
		return err
	}
	if err := x.root.Symlink(link, rel(name)); err != nil {
		return err
	}
	x.done = append(x.done, Extracted{Path: name, Link: link})
	return nil
}

// confine returns a target that cannot leave the root from where the symlink
// name stands. All of ".." must stand in front: the parents of name are real
// directories (see parent), so each goes up exactly one level, and what comes
// behind them only goes down, or through links that hold to the same rule.
func confine(name, target string) (string, error) {
	if target == "" || strings.ContainsRune(target, 0) {
		return "", fmt.Errorf("%w: symlink to %q", ErrUnsafePath, target)
	}
	depth := strings.Count(path.Dir(name), "/")
	if path.Dir(name) == "/" {
		depth = 0
	}
	if strings.HasPrefix(target, "/") {
		inside, err := safePath(target)
		if err != nil {
			return "", err
		}
		if up := strings.Repeat("../", depth) + rel(inside); up != "" {
			return up, nil
		}
		return ".", nil
	}
	ups, down := 0, false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if ups++; down || ups > depth {
				return "", fmt.Errorf("%w: symlink to %q", ErrUnsafePath, target)
			}
		default:
			down = true
		}
	}
	return target, nil
}

// parent makes the directories above name. One that is there already but was
// not made here is a symlink or a file: nothing is written through it.
func (x *extractor) parent(name string) error {
	dir := rel(path.Dir(name))
	if dir == "." || x.dirs[dir] {
		return nil
	}
	if err := x.parent("/" + dir); err != nil {
		return err
	}
	if err := x.root.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("%w: %s is not a directory: %w", ErrUnsafePath, dir, err)
	}
	x.dirs[dir] = true
	return nil
}

// rel makes a package path relative to the root.
func rel(name string) string { return strings.TrimPrefix(name, "/") }
