package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
	"github.com/lpbuild/lpbuild/versions"
)

// A State is the word for how far a shipped build is served.
type State string

// The states of a shipped build.
const (
	Covered   State = "COVERED"       // build/ has a container with every live patch that concerns it
	Partly    State = "PARTLY"        // the container lacks some of them
	NotBuilt  State = "NOT-BUILT"     // build/ has no container for it
	Untouched State = "NOT-CONCERNED" // no live patch concerns it
	New       State = "NEW"           // the repositories have it, the lock has not
	Rebuilt   State = "REBUILT"       // new, and the lock has another package of that name and version
)

// Shipped is one build that shipped, and how far it is served.
type Shipped struct {
	versions.Locked
	State State `json:"state"`
	// Supported says whether it still was when it was asked for.
	Supported bool `json:"supported"`
	// Entry is how the functions that are replaced begin: padded, stock, none,
	// or mixed for several; "" if there are none.
	Entry string `json:"entry,omitempty"`
	// Group is the name of the build's group over all live patches, GroupCode
	// what its code is known by; see Group.
	Group     string `json:"group,omitempty"`
	GroupCode string `json:"group_code,omitempty"`
	// Patches are the live patches in its container, Missing those that concern
	// it and are not in there.
	Patches []string `json:"patches,omitempty"`
	Missing []string `json:"missing,omitempty"`
}

// Words are the state and what else is to be known at a glance, with commas:
// REMOVED from the repositories, support ENDED.
func (s Shipped) Words() string {
	words := string(s.State)
	if s.Removed {
		words += ",REMOVED"
	}
	if !s.Supported {
		words += ",ENDED"
	}
	return words
}

// Shipped lists the builds of the lock in its order, with what build/ has for
// them. The error wraps ErrNoRecords if there is no lock or a record is missing.
func (p *Project) Shipped(now time.Time) ([]Shipped, error) {
	lock, err := p.Lock()
	if err != nil {
		return nil, err
	}
	records, err := p.records()
	if err != nil {
		return nil, err
	}
	built, err := p.containers()
	if err != nil {
		return nil, err
	}
	groups, concern := NewGroups(p.Patches, records), p.NewConcern(records)
	byKey := make(map[buildKey]*elfinfo.Build, len(records))
	for _, b := range records {
		byKey[keyOf(b)] = b
	}
	all := make([]Shipped, len(lock.Builds))
	for i, l := range lock.Builds {
		b := byKey[buildKey{l.BuildID, l.Soname}]
		s := Shipped{Locked: l, Supported: l.Supported(now), Entry: p.entry(b), Patches: built[keyOf(b)]}
		if g := groups.Of(b); g != nil {
			s.Group, s.GroupCode = g.Name, g.Code
		}
		p.serve(&s, b, concern)
		all[i] = s
	}
	return all, nil
}

// serve fills in the state and what is missing.
func (p *Project) serve(s *Shipped, b *elfinfo.Build, concern *Concern) {
	wanted := 0
	for _, patch := range p.Patches {
		if !targetOf(patch, b) || concern.Apart(patch, b) != "" {
			continue
		}
		wanted++
		if !slices.Contains(s.Patches, patch.Name) {
			s.Missing = append(s.Missing, patch.Name)
		}
	}
	switch {
	case wanted == 0:
		s.State = Untouched
	case len(s.Missing) == 0:
		s.State = Covered
	case len(s.Missing) < wanted:
		s.State = Partly
	default:
		s.State = NotBuilt
	}
}

// entry is how the functions of all live patches begin in a build.
func (p *Project) entry(b *elfinfo.Build) string {
	all := ""
	for _, patch := range p.Patches {
		if !targetOf(patch, b) {
			continue
		}
		switch kind := entryKind(patch, b); {
		case all == "":
			all = kind
		case kind != "" && kind != all:
			return "mixed"
		}
	}
	return all
}

// containers are the live patches in each container of build/, by its target.
// What is no container of this project counts for nothing.
func (p *Project) containers() (map[buildKey][]string, error) {
	files, err := filesIn(filepath.Join(p.Dir, BuildDir), "*.so")
	if err != nil {
		return nil, err
	}
	built := make(map[buildKey][]string, len(files))
	for _, name := range files {
		c, err := livepatch.OpenContainer(name)
		if err != nil {
			if noContainer(err) {
				continue
			}
			return nil, err
		}
		if c.Info == nil || c.Info.Set != p.Name || c.Info.SetVersion != p.Version {
			continue
		}
		built[buildKey{elfinfo.BuildID(c.Info.BuildID), c.Info.Soname}] = patchNames(c.Info)
	}
	return built, nil
}

// patchNames are the live patches in a container.
func patchNames(info *livepatch.Info) []string {
	if len(info.Patches) == 0 {
		return strings.Split(info.Patch, ",")
	}
	names := make([]string, len(info.Patches))
	for i, p := range info.Patches {
		names[i] = p.Name
	}
	return names
}

// noContainer says that a file is none that lpctl would apply, or is gone: make
// removes what is not wanted any more.
func noContainer(err error) bool {
	for _, e := range []error{fs.ErrNotExist, livepatch.ErrNoMetadata, livepatch.ErrUnsupported, livepatch.ErrNewerFormat, livepatch.ErrCorrupt} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// NewBuilds are the packages that the repositories have and the lock has not,
// oldest first. Only metadata is fetched, so that nothing is known of their
// libraries yet. It needs every repository: what cannot be asked is an error,
// never an empty answer.
func (p *Project) NewBuilds(ctx context.Context, opts Options) ([]Shipped, error) {
	r, err := p.request()
	if err != nil {
		return nil, err
	}
	fresh, err := versions.NewBuilds(ctx, r, opts.versions())
	if err != nil {
		return nil, err
	}
	known := make(map[string]bool)
	lock, err := p.Lock()
	if err != nil && !errors.Is(err, ErrNoRecords) {
		return nil, err
	}
	if lock != nil {
		for _, b := range lock.Builds {
			known[b.NEVRA] = true
		}
	}
	now := time.Now()
	all := make([]Shipped, len(fresh))
	for i, l := range fresh {
		all[i] = Shipped{Locked: l, State: New, Supported: l.Supported(now)}
		if known[l.NEVRA] {
			all[i].State = Rebuilt
		}
	}
	return all, nil
}
