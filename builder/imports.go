package builder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// imports says what the link of one build's container needs: equal imports
// and equal objects give equal containers, whatever build they are for.
type imports struct {
	// Libraries maps a soname to the symbols taken from it, sorted by name.
	Libraries map[string][]stubSymbol `json:"libraries"`
	// Renames maps names in the object to names that the build has.
	Renames map[string]string `json:"renames,omitempty"`
	// Wrappers are functions that the container gets a definition of; see the
	// variable of that name.
	Wrappers []string `json:"wrappers,omitempty"`
	// Libgcc says that the compiler's static run-time library is needed.
	Libgcc bool `json:"libgcc,omitempty"`
}

// resolver finds, in the records, the definition that each import of a
// container will have wherever one build of a library runs.
type resolver struct {
	// defined, imported and related are the symbols of the wanted names: those
	// that the build defines, that it imports, and that the libraries it needs
	// define.
	defined, imported, related index
	libgcc                     map[string]bool
}

// provided is a symbol with the library that has it.
type provided struct {
	*elfinfo.Symbol
	soname string
}

// index holds symbols by name.
type index map[string][]provided

// add adds those of symbols whose names are wanted. Symbols that do not say
// which library they are of are reached through soname.
func (x index) add(wanted map[string]bool, symbols []elfinfo.Symbol, soname string) {
	for i := range symbols {
		s := &symbols[i]
		if !wanted[s.Name] {
			continue
		}
		p := provided{s, soname}
		if s.Library != "" {
			p.soname = s.Library
		}
		x[s.Name] = append(x[s.Name], p)
	}
}

func newImports() *imports {
	return &imports{Libraries: map[string][]stubSymbol{}, Renames: map[string]string{}}
}

// wantedNames are the names that the undefined symbols could stand for.
func wantedNames(undefined []undefinedSymbol) map[string]bool {
	wanted := map[string]bool{}
	for _, u := range undefined {
		for _, name := range substitutes(u) {
			wanted[name] = true
		}
		if wrapped, ok := wrappers[u.Name]; ok {
			wanted[wrapped] = true
		}
	}
	return wanted
}

// newResolver looks the names that the undefined symbols could stand for up in
// the record of build b.
func (m *maker) newResolver(b *elfinfo.Build, undefined []undefinedSymbol) *resolver {
	wanted := wantedNames(undefined)
	r := &resolver{libgcc: m.libgcc, defined: index{}, imported: index{}, related: index{}}
	r.defined.add(wanted, b.Symbols, b.Soname)
	// An import without a version can come from any library that the build
	// needs; through the build itself it is always in reach.
	r.imported.add(wanted, b.Imports, b.Soname)
	for _, other := range m.related(b) {
		r.related.add(wanted, other.Symbols, other.Soname)
	}
	return r
}

// resolve finds every symbol that o needs and adds it to im. An error wraps
// ErrImport and names the symbol.
func (r *resolver) resolve(o *object, im *imports) error {
	for _, u := range o.undefined {
		if err := r.resolveOne(u, im); err != nil {
			return err
		}
	}
	return nil
}

func (r *resolver) resolveOne(u undefinedSymbol, im *imports) error {
	for _, name := range substitutes(u) {
		p, ok := r.find(name, u.Version)
		if !ok {
			continue
		}
		if name != u.Name {
			im.Renames[u.String()] = name
		}
		im.add(p, u.Version != "")
		return nil
	}
	if wrapped, ok := wrappers[u.Name]; ok && u.Version == "" {
		if p, ok := r.find(wrapped, ""); ok {
			im.add(p, false)
			im.wrap(u.Name)
			return nil
		}
	}
	switch {
	case u.Version == "" && r.libgcc[u.Name]:
		im.Libgcc = true
		return nil
	case u.Weak:
		return nil
	}
	check := checkImport
	if u.Version != "" {
		check = checkVersion
	}
	return failing(check, fmt.Errorf("%w: %s%s", ErrImport, u, r.why(u)))
}

// find returns the definition of name that this build offers or uses itself.
func (r *resolver) find(name, version string) (provided, bool) {
	for _, p := range r.defined[name] {
		if p.fits(version) {
			return p, true
		}
	}
	for _, p := range r.imported[name] {
		// A weak import may be bound to nothing.
		if p.Binding != "weak" && (version == "" || p.Version == version) {
			return p, true
		}
	}
	for _, p := range r.related[name] {
		if p.fits(version) {
			return p, true
		}
	}
	return provided{}, false
}

// fits reports whether a definition satisfies a reference to version ("": any).
func (p provided) fits(version string) bool {
	if version == "" {
		return p.Default || p.Version == ""
	}
	return p.Version == version
}

// why explains why u has no definition, "" if there is nothing to add.
func (r *resolver) why(u undefinedSymbol) string {
	if u.Version != "" {
		return " is not in this build"
	}
	var old []string
	for _, p := range r.defined[u.Name] {
		old = append(old, p.Version)
	}
	if len(old) > 0 {
		slices.Sort(old)
		return fmt.Sprintf(" is offered only to old programs, as version %s (.symver asks for it)", strings.Join(old, ", "))
	}
	if len(r.imported[u.Name]) > 0 {
		return " is only a weak import of this build"
	}
	return " is neither defined nor imported by this build"
}

// substitutes are the names to try for u, best first. The headers of a newer
// glibc replace standard functions by variants for a newer standard of C that
// an older build does not have: the older variant does what a program compiled
// against that build would do.
func substitutes(u undefinedSymbol) []string {
	names := []string{u.Name}
	if u.Version != "" {
		return names
	}
	if rest, ok := strings.CutPrefix(u.Name, "__isoc23_"); ok {
		if strings.HasSuffix(rest, "scanf") {
			names = append(names, "__isoc99_"+rest)
		}
		names = append(names, rest)
	}
	if u.Name == "fcntl64" { // before glibc 2.28; the same system call on 64-bit machines
		names = append(names, "fcntl")
	}
	return names
}

// add notes that p is imported.
func (im *imports) add(p provided, explicit bool) {
	s := stubSymbol{Name: p.Name, Version: p.Version, Explicit: explicit, Kind: stubKind(p.Kind)}
	list := im.Libraries[p.soname]
	i, found := slices.BinarySearchFunc(list, s, compareStubSymbols)
	if found {
		list[i].Explicit = list[i].Explicit || explicit
		return
	}
	im.Libraries[p.soname] = slices.Insert(list, i, s)
}

// wrap notes that the container gets a definition of name.
func (im *imports) wrap(name string) {
	if i, found := slices.BinarySearch(im.Wrappers, name); !found {
		im.Wrappers = slices.Insert(im.Wrappers, i, name)
	}
}

func compareStubSymbols(a, b stubSymbol) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	return strings.Compare(a.Version, b.Version)
}

// stubKind reduces the kinds of a record to those that matter to a link editor.
func stubKind(kind string) string {
	switch kind {
	case "object", "tls":
		return kind
	}
	return "func"
}
