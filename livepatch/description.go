package livepatch

import (
	"bytes"
	"fmt"
	"path"
)

// Description is a parsed description. docs/description.md is its grammar.
type Description struct {
	// File is the name given to ParseDescription, for messages.
	File string
	// Container and Target are the paths as written: of the container and of
	// the target library.
	Container, Target       string
	ContainerPos, TargetPos Pos
	// Depends are the paths of the metadata files of patches that must be
	// applied before, in file order.
	Depends []string
	// Units and References are in file order.
	Units      []Unit
	References []Reference
	// Comments are all "!" lines in file order, without the "!" and the LF.
	Comments []string
	// Warnings are places that were read but do not say what their author may think.
	Warnings []SyntaxError

	lines []string
}

// Unit is one function to replace: "old:new" or "old@source.c:new".
type Unit struct {
	// Old is the function in the target library. Source, if not "", is the base
	// name of the file that defines it, and picks one of several of that name.
	Old, Source string
	// New is the replacement, a dynamic symbol of the container.
	New string
	Pos
}

// Name returns the function as written: "name" or "name@source.c".
func (u Unit) Name() string { return qualified(u.Old, u.Source) }

// Reference is a variable of the container that receives the address of a
// symbol of the target that the container cannot import: "#target:reference".
type Reference struct {
	// TLS ("#%"): Target is thread-local, and Reference a 16-byte tls_index that
	// receives its module and offset.
	TLS bool
	// Target is the symbol in the target library, Source as in Unit. Reference
	// is the variable in the container.
	Target, Source, Reference string
	// Explicit says that the description gives the offsets. TargetOffset and
	// PatchOffset are offsets from the load addresses of the target library
	// (TLS: into its TLS block) and of the container, in bytes; an explicit 0
	// means that the name is looked up nevertheless.
	Explicit                  bool
	TargetOffset, PatchOffset uint64
	Pos
}

// Name returns the target's symbol as written: "name" or "name@source.c".
func (r Reference) Name() string { return qualified(r.Target, r.Source) }

// needsLookup says that the offset of Target comes from a symbol table.
func (r Reference) needsLookup() bool { return !r.Explicit || r.TargetOffset == 0 }

func qualified(name, source string) string {
	if source == "" {
		return name
	}
	return name + "@" + source
}

// Names returns every symbol of the target library that must be looked up,
// "name" or "name@source.c", once each, in order of appearance: functions
// first, then references without an explicit offset.
func (d *Description) Names() []string {
	var names []string
	seen := make(map[string]bool)
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for _, u := range d.Units {
		add(u.Name())
	}
	for _, r := range d.References {
		if r.needsLookup() {
			add(r.Name())
		}
	}
	return names
}

// Bytes returns the description in its canonical form: comments, container,
// dependencies, target, units, references, with the base names of files, so
// that the text (and the patch id made from it) does not depend on a folder.
// Parsing it gives d again, apart from folders, positions and warnings.
func (d *Description) Bytes() []byte {
	var b bytes.Buffer
	for _, c := range d.Comments {
		fmt.Fprintf(&b, "!%s\n", c)
	}
	fmt.Fprintln(&b, path.Base(d.Container))
	for _, dep := range d.Depends {
		fmt.Fprintf(&b, "*%s\n", path.Base(dep))
	}
	fmt.Fprintf(&b, "@%s\n", path.Base(d.Target))
	for _, u := range d.Units {
		fmt.Fprintf(&b, "%s:%s\n", u.Name(), u.New)
	}
	for _, r := range d.References {
		b.WriteByte('#')
		if r.TLS {
			b.WriteByte('%')
		}
		fmt.Fprintf(&b, "%s:%s", r.Name(), r.Reference)
		if r.Explicit {
			fmt.Fprintf(&b, ":%x:%x", r.TargetOffset, r.PatchOffset)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// ErrorAt returns an error at a place of the description, with its line: what
// a later step has to say about a unit that was well written.
func (d *Description) ErrorAt(p Pos, msg string) *SyntaxError {
	e := &SyntaxError{File: d.File, Line: p.Line, Col: p.Col, Msg: msg}
	if p.Line > 0 && p.Line <= len(d.lines) {
		e.Source = d.lines[p.Line-1]
	}
	return e
}
