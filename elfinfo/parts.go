package elfinfo

import (
	"slices"
	"strings"
)

// Parts finds what the compiler has moved away from a function under a name of
// its own: NAME.cold, NAME.part.0 and the like (gcc's -freorder-blocks-and-partition,
// -fpartial-inlining). Only .symtab names them: of a stripped file the answer is
// empty. Several functions of one name are not told apart.
func (f *File) Parts(name string) ([]Symbol, error) {
	var out []Symbol
	err := f.staticSymbols(func(d definition) {
		rest, ok := strings.CutPrefix(d.Name, name+".")
		kind, _, _ := strings.Cut(rest, ".")
		if ok && d.Size > 0 && slices.Contains([]string{"cold", "part"}, kind) {
			out = append(out, d.Symbol)
		}
	})
	return out, err
}
