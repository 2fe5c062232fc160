package builder

import (
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// layouts is a record with types: struct chunk, with its second member at an offset.
func layouts(offset uint64) *elfinfo.Build {
	return &elfinfo.Build{
		Types: []elfinfo.Type{
			{Kind: elfinfo.TypeVoid},
			{Kind: elfinfo.TypeBase, Name: "int", Size: 4, Encoding: "signed"},
			{Kind: elfinfo.TypeStruct, Name: "chunk", Size: 16, Members: []elfinfo.Member{{Name: "size", Type: 1}, {Name: "next", Type: 1, Offset: offset}}},
			{Kind: elfinfo.TypePointer, Size: 8, Of: 2},
			{Kind: elfinfo.TypeFunction, Parameters: []elfinfo.TypeID{3}},
		},
		TypeNames: map[string][]elfinfo.TypeID{"struct chunk": {2}},
		Functions: map[string][]elfinfo.Function{"f": {{Type: 4}}},
	}
}

func TestPrototypeDifferences(t *testing.T) {
	build := layouts(4)
	for _, tc := range []struct {
		offset uint64
		want   string
	}{{4, ""}, {8, "parameter 1: struct chunk: member next is at offset 8, not 4"}} {
		v := &variant{types: layouts(tc.offset)}
		if got := strings.Join(v.prototypeDifferences(build, &build.Functions["f"][0], "f").Differences, "; "); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
	v := &variant{}
	if got := v.prototypeDifferences(build, &build.Functions["f"][0], "f"); got.Differences != nil {
		t.Errorf("without debug information: %q", got.Differences)
	}
}

// A declaration must be like one of those that the library has.
func TestLayoutDifferences(t *testing.T) {
	build := layouts(4)
	build.Types = append(build.Types, layouts(8).Types[2])
	build.TypeNames["struct chunk"] = []elfinfo.TypeID{2, 5}
	for offset, want := range map[uint64]int{4: 0, 8: 0, 12: 1} {
		v := &variant{types: layouts(offset)}
		if got := v.layoutDifferences(build); len(got) != want {
			t.Errorf("offset %d: %v", offset, got)
		}
	}
}
