package pipeline

import (
	"errors"
	"fmt"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// A Livepatchable says how one function can be redirected.
type Livepatchable struct {
	Function string            `json:"function"`
	Source   string            `json:"source,omitempty"`
	Kind     elfinfo.EntryKind `json:"entry"`
	Address  uint64            `json:"address"`
	Size     uint64            `json:"size"`
	// Reason says why not, for elfinfo.EntryNone.
	Reason string `json:"reason,omitempty"`
}

// FindLivepatchable analyses functions of a library: those named ("name" or
// "name@source.c"), or all that it exports. A name that the library does not
// define, or that is ambiguous, is an error.
func FindLivepatchable(library string, names []string) ([]Livepatchable, error) {
	lib, err := elfinfo.Open(library)
	if err != nil {
		return nil, err
	}
	defer lib.Close()
	wanted := names
	if len(names) == 0 {
		if wanted, err = exportedFunctions(lib); err != nil {
			return nil, err
		}
	}
	build, err := elfinfo.NewBuild(lib, nil, wanted)
	if err != nil {
		return nil, err
	}
	var found []Livepatchable
	for _, name := range wanted {
		f, err := build.Function(name)
		if len(names) == 0 && (errors.Is(err, elfinfo.ErrAmbiguous) || errors.Is(err, elfinfo.ErrMissing)) {
			continue // of no use for a summary
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", library, err)
		}
		found = append(found, Livepatchable{name, f.Source, f.Entry.Kind, f.Address, f.Size, f.Entry.Reason})
	}
	return found, nil
}

func exportedFunctions(lib *elfinfo.File) ([]string, error) {
	symbols, err := lib.DynamicSymbols()
	if err != nil {
		return nil, err
	}
	var names []string
	seen := make(map[string]bool)
	for _, s := range symbols {
		if s.Kind == "func" && !s.Undefined && !seen[s.Name] {
			seen[s.Name] = true
			names = append(names, s.Name)
		}
	}
	return names, nil
}
