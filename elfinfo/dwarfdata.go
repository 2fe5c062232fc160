package elfinfo

import (
	"debug/dwarf"
	"errors"
	"fmt"
	"math"
)

// inAlternate marks the offset of an entry of the supplementary file. What is read of one file has less than
// maxDebugLen bytes, so that the bit is free.
const inAlternate dwarf.Offset = 1 << 31

// dwarfData is the debug information of a file together with that of its supplementary file, in one space of offsets:
// an offset of an entry says by inAlternate which file it is in. References and strings that lead from one file to
// the other come out of a [dwarfReader] like any other, and so nobody but it needs to know of two files.
type dwarfData struct {
	main      *dwarf.Data
	alternate *dwarf.Data // nil without a supplementary file
	strings   []byte      // .debug_str of the supplementary file
	ranges    int         // read so far
	text      uint64      // bytes of the strings of all entries read
}

// Every entry may have the same long name, which debug/dwarf copies each time:
// an entry has textPerByte bytes of names for each byte of entries before it,
// with what is free for all.
const (
	freeText    = 256 << 20
	textPerByte = 16
)

// maxRanges bounds the ranges that are read of one file: any number of entries
// may share a list of them.
const maxRanges = 1 << 22

// Reader returns a reader at the first entry of the file itself.
func (d *dwarfData) Reader() *dwarfReader {
	return &dwarfReader{data: d, Reader: d.main.Reader()}
}

// Ranges returns the code that an entry of the file itself covers, [low, high) pairs; a supplementary file has no code.
func (d *dwarfData) Ranges(e *dwarf.Entry) ([][2]uint64, error) {
	if e.Offset&inAlternate != 0 {
		return nil, nil
	}
	ranges, err := d.main.Ranges(e)
	if d.ranges += len(ranges); d.ranges > maxRanges {
		return nil, fmt.Errorf("more than %d ranges of code", maxRanges)
	}
	return ranges, err
}

// starts are where the entries of each file begin.
func (d *dwarfData) starts() []dwarf.Offset {
	if d.alternate == nil {
		return []dwarf.Offset{0}
	}
	return []dwarf.Offset{0, inAlternate}
}

// dwarfReader is dwarf.Reader over both files. Reading does not go on from one file to the other.
type dwarfReader struct {
	*dwarf.Reader
	data  *dwarfData
	inAlt bool
}

// Seek goes to the entry at an offset. An offset that is in neither file makes the next Next fail.
func (r *dwarfReader) Seek(at dwarf.Offset) {
	if alt := at&inAlternate != 0; alt != r.inAlt {
		r.inAlt, r.Reader = alt, r.data.main.Reader()
		if alt && r.data.alternate != nil {
			r.Reader = r.data.alternate.Reader()
		}
	}
	if r.inAlt && r.data.alternate == nil {
		at = math.MaxUint32 // in no unit
	}
	r.Reader.Seek(at &^ inAlternate)
}

// Next returns the next entry of the file that the reader is in, nil at its end.
func (r *dwarfReader) Next() (*dwarf.Entry, error) {
	e, err := r.Reader.Next()
	if err != nil || e == nil {
		return nil, err
	}
	for i := range e.Field {
		r.resolve(&e.Field[i])
		if s, ok := e.Field[i].Val.(string); ok {
			r.data.text += uint64(len(s))
		}
	}
	if r.data.text > freeText+textPerByte*uint64(e.Offset) {
		return nil, errors.New("names of too many bytes")
	}
	if r.inAlt {
		e.Offset |= inAlternate
	}
	return e, nil
}

// resolve makes an offset or a string of a value that leads to the supplementary file, or to another entry of it. dwz
// writes DW_FORM_GNU_ref_alt and DW_FORM_GNU_strp_alt, with --dwarf-5 DW_FORM_ref_sup4, _sup8 and DW_FORM_strp_sup.
// debug/dwarf returns the latter as unsigned integers of the usual classes. A value that leads nowhere stays a number,
// which is no reference and no name for anybody. A supplementary file has none itself (WithAlternate).
func (r *dwarfReader) resolve(f *dwarf.Field) {
	if at, ok := f.Val.(dwarf.Offset); ok {
		if r.inAlt {
			f.Val = at | inAlternate
		}
		return
	}
	if r.inAlt || r.data.alternate == nil {
		return
	}
	at, ok := unsigned(f.Val)
	if !ok || at >= uint64(inAlternate) {
		return
	}
	switch f.Class {
	case dwarf.ClassReference, dwarf.ClassReferenceAlt:
		f.Val, f.Class = dwarf.Offset(at)|inAlternate, dwarf.ClassReference
	case dwarf.ClassString, dwarf.ClassStringAlt:
		f.Val, f.Class = stringAt(r.data.strings, at), dwarf.ClassString
	}
}

// unsigned is an integer as debug/dwarf returns it.
func unsigned(v any) (uint64, bool) {
	switch v := v.(type) {
	case int64:
		return uint64(v), v >= 0
	case uint32:
		return uint64(v), true
	case uint64:
		return v, true
	}
	return 0, false
}
