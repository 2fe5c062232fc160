package elfinfo

import (
	"debug/dwarf"
	"errors"
)

// errEntries says that too many entries would have to be read, or that one is not there.
var errEntries = errors.New("debug information: entries are missing, or too many")

// dwarfTree reads entries by their offset, a bounded number of them.
type dwarfTree struct {
	data   *dwarfData
	budget int // entries that may still be read
}

// entry reads the entry at an offset; the reader goes on behind it.
func (t *dwarfTree) entry(at dwarf.Offset) (*dwarfReader, *dwarf.Entry, error) {
	r := t.data.Reader()
	r.Seek(at)
	e, err := t.next(r)
	return r, e, err
}

func (t *dwarfTree) next(r *dwarfReader) (*dwarf.Entry, error) {
	if t.budget--; t.budget < 0 {
		return nil, errEntries
	}
	e, err := r.Next()
	if e == nil && err == nil {
		err = errEntries
	}
	return e, err
}

// children visits the direct children of e, which the reader has just read.
func (t *dwarfTree) children(r *dwarfReader, e *dwarf.Entry, visit func(*dwarf.Entry) error) error {
	if !e.Children {
		return nil
	}
	for depth := 1; ; {
		child, err := t.next(r)
		if err != nil {
			return err
		}
		if child.Tag == 0 {
			if depth--; depth == 0 {
				return nil
			}
			continue
		}
		if depth == 1 {
			if err := visit(child); err != nil {
				return err
			}
		}
		if child.Children {
			if next, ok := child.Val(dwarf.AttrSibling).(dwarf.Offset); ok && next > child.Offset {
				r.Seek(next)
				continue
			}
			depth++
		}
	}
}
