package elfinfo

import (
	"debug/dwarf"
	"errors"
)

// subprogram is one DW_TAG_subprogram.
type subprogram struct {
	name     string
	origin   dwarf.Offset // DW_AT_abstract_origin, else DW_AT_specification; 0 for none
	abstract bool         // origin is an abstract instance, not a declaration
	external bool
	unit     int    // index of debugInfo.units
	code     uint64 // where its code starts, 0 if it has none
}

// inlinedCall is one DW_TAG_inlined_subroutine: origin was inlined into the
// concrete function at.
type inlinedCall struct{ origin, at dwarf.Offset }

// debugInfo is what one walk over all entries collects. References between
// entries are resolved afterwards, as they may lead forwards.
type debugInfo struct {
	data        *dwarfData
	units       []string // base name of each unit's source; the first is for entries outside units
	subprograms map[dwarf.Offset]subprogram
	entries     map[uint64][]dwarf.Offset // concrete subprograms by the start of each of their ranges
	ranges      []unitRange               // code of the units, for functions without a subprogram (assembly)
	inlined     []inlinedCall             // emptied by index

	holders   map[dwarf.Offset][]dwarf.Offset // abstract instance: functions that it was inlined into
	externals map[string][]dwarf.Offset       // name: external abstract instances that were inlined
	clones    map[dwarf.Offset][]uint64       // abstract instance: starts of its concrete copies

	want      debugWanted
	types     map[string][]dwarf.Offset // the types wanted: definitions and declarations
	variables map[place]dwarf.Offset    // the variables wanted
	scopes    map[dwarf.Offset]string   // C++: what is before the name of a type, as std::
	cpp       map[int]bool              // units in C++, which has no unprototyped functions
}

// debugWanted is what the walk is to note besides functions.
type debugWanted struct {
	types     map[string]bool // "struct NAME" and so on, as [Wanted.Types]
	variables map[place]bool
}

// place is where a variable is: an address, or an offset in the TLS block.
type place struct {
	address uint64
	tls     bool
}

type unitRange struct {
	low, high uint64
	unit      int
}

// readDebugInfo walks the debug information of a file once; nil if there is none.
func (f *File) readDebugInfo(want debugWanted) (info *debugInfo, err error) {
	data, err := f.readDWARF()
	if err != nil || data == nil {
		return nil, err
	}
	defer f.recoverTo(&err, "debug information")
	if info, err = walkDebugInfo(data, want); err != nil {
		return nil, f.bad("debug information: %v", err)
	}
	return info, nil
}

// walkDebugInfo is readDebugInfo once the sections are read. It may panic, as debug/dwarf may.
func walkDebugInfo(data *dwarfData, want debugWanted) (*debugInfo, error) {
	w := dwarfWalk{
		info: &debugInfo{
			data:        data,
			units:       []string{""},
			subprograms: make(map[dwarf.Offset]subprogram),
			entries:     make(map[uint64][]dwarf.Offset),
			want:        want,
			types:       make(map[string][]dwarf.Offset),
			variables:   make(map[place]dwarf.Offset),
			scopes:      make(map[dwarf.Offset]string),
			cpp:         make(map[int]bool),
		},
		reader: data.Reader(),
	}
	for _, start := range data.starts() {
		w.reader.Seek(start)
		if err := w.walk(); err != nil {
			return nil, err
		}
	}
	w.info.index()
	return w.info, nil
}

// dwarfWalk is the state of the walk. The tree is followed without recursion:
// its depth is the file's choice.
type dwarfWalk struct {
	info   *debugInfo
	reader *dwarfReader
	depth  int
	spare  int         // list ends seen where no list was open
	within []enclosing // subprograms around the current entry, innermost last
	scopes []scope     // C++ namespaces and classes around it
}

// maxSpare bounds the padding between units. At a number that the end of a
// unit cuts off, dwarf.Reader yields list ends for ever.
const maxSpare = 1 << 16

type enclosing struct {
	at    dwarf.Offset
	depth int
}

func (w *dwarfWalk) walk() error {
	for {
		e, err := w.reader.Next()
		if err != nil || e == nil {
			return err
		}
		if e.Tag == 0 {
			if w.leave(); w.spare > maxSpare {
				return errors.New("a unit does not end")
			}
			continue
		}
		descend, err := w.visit(e)
		switch {
		case err != nil:
			return err
		case !e.Children:
		case descend:
			w.depth++
		default:
			if err := skipChildren(w.reader, e); err != nil {
				return err
			}
		}
	}
}

// leave ends a list of children.
func (w *dwarfWalk) leave() {
	if w.depth == 0 {
		w.spare++
		return
	}
	w.depth--
	if n := len(w.within); n > 0 && w.within[n-1].depth == w.depth {
		w.within = w.within[:n-1]
	}
	if n := len(w.scopes); n > 0 && w.scopes[n-1].depth == w.depth {
		w.scopes = w.scopes[:n-1]
	}
}

// visit notes an entry and says whether its children matter.
func (w *dwarfWalk) visit(e *dwarf.Entry) (descend bool, err error) {
	switch e.Tag {
	case dwarf.TagCompileUnit, dwarf.TagPartialUnit, dwarf.TagTypeUnit, dwarf.TagSkeletonUnit:
		w.depth, w.within, w.scopes = 0, nil, nil // whatever the unit before left open
		return true, w.unit(e)
	case dwarf.TagSubprogram:
		if e.Children {
			w.within = append(w.within, enclosing{e.Offset, w.depth})
		}
		return true, w.subprogram(e)
	case dwarf.TagInlinedSubroutine:
		origin, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset)
		if n := len(w.within); ok && n > 0 {
			w.info.inlined = append(w.info.inlined, inlinedCall{origin, w.within[n-1].at})
		}
		return true, nil
	case dwarf.TagVariable:
		w.variable(e)
		return false, nil
	case dwarf.TagStructType, dwarf.TagClassType, dwarf.TagUnionType, dwarf.TagEnumerationType, dwarf.TagTypedef:
		return w.typeName(e), nil
	case dwarf.TagNamespace:
		w.enter(e)
		return true, nil
	case dwarf.TagModule, dwarf.TagLexDwarfBlock, dwarf.TagTryDwarfBlock, dwarf.TagCatchDwarfBlock:
		return true, nil
	}
	return false, nil
}

// unit notes the source and the code of a compilation unit.
func (w *dwarfWalk) unit(e *dwarf.Entry) error {
	name, _ := e.Val(dwarf.AttrName).(string)
	w.info.units = append(w.info.units, baseName(name))
	if language, ok := e.Val(dwarf.AttrLanguage).(int64); ok && isCPP(language) {
		w.info.cpp[len(w.info.units)-1] = true
	}
	if e.Tag != dwarf.TagCompileUnit {
		return nil
	}
	ranges, err := w.info.data.Ranges(e)
	for _, r := range ranges {
		w.info.ranges = append(w.info.ranges, unitRange{r[0], r[1], len(w.info.units) - 1})
	}
	return err
}

// subprogram notes a function, and if it has code, where.
func (w *dwarfWalk) subprogram(e *dwarf.Entry) error {
	s := subprogram{unit: len(w.info.units) - 1}
	s.name, _ = e.Val(dwarf.AttrName).(string)
	s.external, _ = e.Val(dwarf.AttrExternal).(bool)
	if s.origin, s.abstract = e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset); !s.abstract {
		s.origin, _ = e.Val(dwarf.AttrSpecification).(dwarf.Offset)
	}
	w.info.subprograms[e.Offset] = s
	if e.AttrField(dwarf.AttrLowpc) == nil && e.AttrField(dwarf.AttrRanges) == nil {
		return nil
	}
	ranges, err := w.info.data.Ranges(e)
	if len(ranges) > 0 {
		s.code = ranges[0][0]
		w.info.subprograms[e.Offset] = s
	}
	for _, r := range ranges {
		w.info.entries[r[0]] = append(w.info.entries[r[0]], e.Offset)
	}
	return err
}

// skipChildren moves the reader behind the children of e. Unlike
// Reader.SkipChildren it does not recurse, and only ever moves forwards.
func skipChildren(r *dwarfReader, e *dwarf.Entry) error {
	if next, ok := e.Val(dwarf.AttrSibling).(dwarf.Offset); ok && next > e.Offset {
		r.Seek(next)
		return nil
	}
	for depth := 1; depth > 0; {
		child, err := r.Next()
		if err != nil || child == nil {
			return err
		}
		switch {
		case child.Tag == 0:
			depth--
		case child.Children:
			depth++
		}
	}
	return nil
}
