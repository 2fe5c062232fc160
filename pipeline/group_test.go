package pipeline

import (
	"slices"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
)

func TestGroups(t *testing.T) {
	t.Parallel()
	build := func(nevra, code string, year int) *elfinfo.Build {
		b := shippedBuild{nevra, "", code}.record()
		b.BuildTime = time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		return b
	}
	builds := []*elfinfo.Build{
		build("zlib-3-1.x86_64", "x", 2024), build("zlib-1-1.x86_64", "y", 2021), build("zlib-2-1.x86_64", "x", 2022),
		build("zlib-4-1.x86_64", "", 2023), build("zlib-5-1.x86_64", "", 2025), build("zlib-6-1.x86_64", "-", 2026), build("zlib-7-1.x86_64", "-", 2027),
	}
	other := build("curl-1-1.x86_64", "x", 2020)
	other.Soname, other.Library = "libcurl.so.4", "/lib64/libcurl.so.4"
	g := NewGroups([]Patch{patchOf()}, append(slices.Clone(builds), other, builds[0]))
	var names []string
	for _, b := range builds {
		names = append(names, g.Name(b))
	}
	// The oldest is A; code that cannot be compared is like none; no function is no code.
	if want := []string{"B", "A", "B", "C", "D", "E", "E"}; !slices.Equal(names, want) {
		t.Errorf("groups %v, want %v", names, want)
	}
	if g.Name(other) != "" || len(g.List()) != 5 || !slices.Equal(g.List()[1].Builds, []*elfinfo.Build{builds[2], builds[0]}) {
		t.Errorf("%q: %+v", g.Name(other), g.List())
	}
	// Newer builds change neither names nor codes.
	before := NewGroups([]Patch{patchOf()}, builds[1:3])
	if before.Name(builds[2]) != "B" || before.Of(builds[2]).Code != g.Of(builds[2]).Code {
		t.Errorf("before the others shipped: %+v", before.List())
	}
}

func TestGroupNames(t *testing.T) {
	t.Parallel()
	for i, want := range map[int]string{0: "A", 25: "Z", 26: "AA", 51: "AZ", 52: "BA", 701: "ZZ", 702: "AAA"} {
		if got := groupName(i); got != want {
			t.Errorf("%d is %s, want %s", i, got, want)
		}
	}
}
