package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/livepatch"
)

// The names that a project folder is made of.
const (
	ConfigFile = "lpbuild.yaml"
	PatchesDir = "livepatches"
	BuildDir   = "build"
	DistDir    = "dist"
)

var (
	// ErrNoProject says that a folder has no lpbuild.yaml.
	ErrNoProject = errors.New("no " + ConfigFile)
	// ErrNoPatch says that a live patch is not there or not complete.
	ErrNoPatch = errors.New("no such live patch")
)

// A Project is a project folder as it is now.
type Project struct {
	Config
	// Dir is the folder's absolute path.
	Dir string
	// Patches are the live patches in order of name.
	Patches []Patch

	selected bool // Patches are only some of those that the project has
}

// A Patch is one live patch of a project.
type Patch struct {
	builder.Patch
	// Config is what lpbuild.yaml says of it.
	Config PatchConfig
	// Description is the description as written in NAME.in.
	Description *livepatch.Description
	// Test is the path of test.c, "" if the patch has none.
	Test string
	// Expect is what test.c prints.
	Expect Expect
}

// Load reads lpbuild.yaml and the descriptions of a project. Errors name file
// and line; ErrNoProject and ErrNoPatch are wrapped.
func Load(dir string) (*Project, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, ConfigFile)
	src, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoProject)
	} else if err != nil {
		return nil, err
	}
	config, err := ParseConfig(ConfigFile, src)
	if err != nil {
		return nil, err
	}
	p := &Project{Config: *config, Dir: dir}
	names, err := p.patchNames()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		patch, err := p.loadPatch(name)
		if err != nil {
			return nil, err
		}
		p.Patches = append(p.Patches, patch)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Expect)) {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("%s: expect: %q: %w", ConfigFile, name, ErrNoPatch)
		}
	}
	return p, nil
}

// patchNames is what the project file lists, or every folder below livepatches/.
func (p *Project) patchNames() ([]string, error) {
	if len(p.Config.Patches) > 0 {
		var names []string
		for _, patch := range p.Config.Patches {
			names = append(names, patch.Name)
		}
		slices.Sort(names)
		return names, nil
	}
	entries, err := os.ReadDir(filepath.Join(p.Dir, PatchesDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && nameShape.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (p *Project) loadPatch(name string) (Patch, error) {
	dir := filepath.Join(p.Dir, PatchesDir, name)
	patch := Patch{
		Patch:  builder.Patch{Name: name, Dir: dir, Template: filepath.Join(dir, name+".in")},
		Config: p.patchConfig(name),
		Test:   filepath.Join(dir, "test.c"),
		Expect: p.Expect[name],
	}
	patch.Waive = patch.Config.Waive
	if err := patch.findSources(); err != nil {
		return patch, err
	}
	for _, file := range append(slices.Clone(patch.Sources), patch.Template) {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return patch, fmt.Errorf("%s: no %s: %w", filepath.Join(PatchesDir, name), filepath.Base(file), ErrNoPatch)
		} else if err != nil {
			return patch, err
		}
	}
	if _, err := os.Stat(patch.Test); err != nil {
		patch.Test = ""
	}
	if err := patch.findTypes(); err != nil {
		return patch, err
	}
	src, err := os.ReadFile(patch.Template)
	if err != nil {
		return patch, err
	}
	patch.Description, err = livepatch.ParseDescription(filepath.Join(PatchesDir, name, name+".in"), src)
	return patch, err
}

// findSources finds NAME.c, or NAME with the extension of a C++ file, and adds
// the other sources.
func (p *Patch) findSources() error {
	for _, ext := range sourceExtensions {
		file := filepath.Join(p.Dir, p.Name+ext)
		if _, err := os.Stat(file); err == nil {
			p.Sources = append(p.Sources, file)
		}
	}
	switch len(p.Sources) {
	case 0:
		p.Sources = []string{filepath.Join(p.Dir, p.Name+".c")} // for the message
	case 1:
	default:
		return fmt.Errorf("%s: both %s and %s: %w", filepath.Join(PatchesDir, p.Name),
			filepath.Base(p.Sources[0]), filepath.Base(p.Sources[1]), ErrNoPatch)
	}
	for _, name := range p.Config.Sources {
		if file := filepath.Join(p.Dir, name); !slices.Contains(p.Sources, file) {
			p.Sources = append(p.Sources, file)
		}
	}
	return nil
}

// Select narrows the project to the live patches of those names; no names mean
// all. Their order stays that of the names in the project.
func (p *Project) Select(names []string) error {
	if len(names) == 0 {
		return nil
	}
	for _, name := range names {
		if !slices.ContainsFunc(p.Patches, func(q Patch) bool { return q.Name == name }) {
			return fmt.Errorf("%s: %w", filepath.Join(PatchesDir, name), ErrNoPatch)
		}
	}
	all := len(p.Patches)
	p.Patches = slices.DeleteFunc(slices.Clone(p.Patches), func(q Patch) bool { return !slices.Contains(names, q.Name) })
	p.selected = len(p.Patches) < all
	return nil
}

// SymbolNames are all names of the target that the descriptions mention, sorted.
func (p *Project) SymbolNames() []string {
	var names []string
	for _, patch := range p.Patches {
		names = append(names, patch.Description.Names()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
