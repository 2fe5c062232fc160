package pipeline

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// maxSource bounds the sources that are searched for types, in bytes.
const maxSource = 8 << 20

// What declares a type in C and C++. It need not be exact: a name that is no
// type is recorded as one that the library does not have.
var (
	comments   = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'`)
	definition = regexp.MustCompile(`\b(struct|class|union|enum)(?:\s+class|\s+struct)?(?:\s+__attribute__\s*\(\([^;{]*\)\))?\s+(\w+)\s*(?:final\s*)?(?:[:][^:;{()][^;{()]*)?\{`)
	typedefs   = regexp.MustCompile(`\btypedef\b[^;{}()]*?\b(\w+)\s*(?:\[[^\]]*\]\s*)*;|\}[^;{}()=]*?\b(\w+)\s*;`)
	sources    = []string{".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp"}
)

// TypeNames are the types that the sources of the live patches declare
// themselves, sorted, as [elfinfo.Wanted] has them: a check holds them against
// those of the builds.
func (p *Project) TypeNames() []string {
	var names []string
	for _, patch := range p.Patches {
		names = append(names, patch.Types...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// findTypes notes which types the sources declare. Headers beside them count,
// the test does not.
func (p *Patch) findTypes() error {
	files, err := os.ReadDir(p.Dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		name := filepath.Join(p.Dir, f.Name())
		if !f.Type().IsRegular() || name == p.Test || !slices.Contains(sources, filepath.Ext(name)) {
			continue
		}
		text, err := readSource(name)
		if err != nil {
			return err
		}
		p.Types = append(p.Types, declaredTypes(text)...)
	}
	slices.Sort(p.Types)
	p.Types = slices.Compact(p.Types)
	return nil
}

func readSource(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err == nil && len(text) > maxSource {
		err = errors.New("too long for a source")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return text, nil
}

// declaredTypes are the names that a source gives to types.
func declaredTypes(text []byte) (names []string) {
	text = comments.ReplaceAll(text, []byte(" "))
	for _, m := range definition.FindAllSubmatch(text, -1) {
		keyword := string(m[1])
		if keyword == "class" {
			keyword = "struct"
		}
		names = append(names, keyword+" "+string(m[2]))
	}
	for _, m := range typedefs.FindAllSubmatch(text, -1) {
		names = append(names, string(m[1])+string(m[2]))
	}
	return names
}
