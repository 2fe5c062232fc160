package pipeline

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// Groups are builds grouped by the code that live patches replace: in all
// builds of a group each replaced function is the same code, but for addresses
// (elfinfo.Function.Code). What is true of one of them, as a review or a
// failure, is most likely true of the others.
type Groups struct {
	list []Group
	of   map[buildKey]int
}

// A Group is the builds with the same code.
type Group struct {
	// Name is A, B, …, Z, AA, AB, …, by the build time of the oldest build: a
	// newer build changes no name.
	Name string
	// Code identifies the code and does not depend on other builds: 12
	// hexadecimal digits.
	Code string
	// Builds are the group's builds, oldest first.
	Builds []*elfinfo.Build
}

// buildKey is what a build is known by: one package may ship one build-id in
// several libraries of a multi-call file.
type buildKey struct {
	id     elfinfo.BuildID
	soname string
}

func keyOf(b *elfinfo.Build) buildKey { return buildKey{b.BuildID, b.Soname} }

// NewGroups groups those builds that a patch targets. For the groups of one
// live patch give only that one; given several, builds are in one group if they
// are in one group of each.
func NewGroups(patches []Patch, builds []*elfinfo.Build) *Groups {
	g := &Groups{of: make(map[buildKey]int)}
	sorted := slices.Clone(builds)
	slices.SortStableFunc(sorted, func(a, b *elfinfo.Build) int {
		return cmp.Or(a.BuildTime.Compare(b.BuildTime), cmp.Compare(a.NEVRA, b.NEVRA), cmp.Compare(a.BuildID, b.BuildID))
	})
	byCode := make(map[string]int)
	for _, b := range sorted {
		code, targeted := replacedCode(patches, b)
		if _, twice := g.of[keyOf(b)]; !targeted || twice {
			continue
		}
		i, known := byCode[code]
		if !known {
			i = len(g.list)
			byCode[code] = i
			g.list = append(g.list, Group{Name: groupName(i), Code: code})
		}
		g.list[i].Builds = append(g.list[i].Builds, b)
		g.of[keyOf(b)] = i
	}
	return g
}

// List is all groups in order of their names.
func (g *Groups) List() []Group { return g.list }

// Of is the group of a build, nil if no patch targets it.
func (g *Groups) Of(b *elfinfo.Build) *Group {
	i, ok := g.of[keyOf(b)]
	if !ok {
		return nil
	}
	return &g.list[i]
}

// Name is the name of a build's group, "" if it is in none.
func (g *Groups) Name(b *elfinfo.Build) string {
	if group := g.Of(b); group != nil {
		return group.Name
	}
	return ""
}

// count is "1 build", "2 builds".
func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// groupName is A for 0, Z for 25, AA for 26, as columns of a spreadsheet.
func groupName(i int) string {
	name := ""
	for i++; i > 0; i = (i - 1) / 26 {
		name = string(rune('A'+(i-1)%26)) + name
	}
	return name
}

// replacedCode identifies the code of everything that the patches replace in a
// build; targeted says whether one of them is for it.
func replacedCode(patches []Patch, b *elfinfo.Build) (code string, targeted bool) {
	var all strings.Builder
	fmt.Fprintln(&all, b.Arch, b.Soname)
	for _, p := range patches {
		if !targetOf(p, b) {
			continue
		}
		targeted = true
		for _, u := range p.Description.Units {
			fmt.Fprintln(&all, p.Name, u.Name(), functionCode(b, u.Name()))
		}
	}
	sum := sha256.Sum256([]byte(all.String()))
	return hex.EncodeToString(sum[:6]), targeted
}

// noFunction is the code of a function that the build does not have.
const noFunction = "absent"

// functionCode identifies the code of one function. One that cannot be compared
// is like none but itself.
func functionCode(b *elfinfo.Build, name string) string {
	f, err := b.Function(name)
	switch {
	case errors.Is(err, elfinfo.ErrMissing):
		return noFunction
	case err != nil || f.Code == "":
		return string(b.BuildID) + " alone"
	}
	return f.Code
}
