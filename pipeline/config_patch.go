package pipeline

import (
	"fmt"
	"path/filepath"
	"regexp"

	"go.yaml.in/yaml/v3"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/versions"
)

// PatchConfig is what lpbuild.yaml says of one live patch: its name alone, or
// a mapping.
type PatchConfig struct {
	// Name is the folder below livepatches/.
	Name string
	// Versions are the package versions that the patch is for (default: all).
	Versions versions.Range
	// UnlessFixed leaves out the builds that have the fix already; see Evidence.
	UnlessFixed bool
	// Sources are further source files in the folder, besides NAME.c.
	Sources []string
	// Defines are macros for some of the builds.
	Defines []Define
	// Devel is the package with the headers that the sources are compiled with:
	// for each build, the one of that very version.
	Devel string
	// Waive says, by the name of a check, why what it finds is accepted.
	Waive map[string]string
}

// Define sets macros for the builds of some versions.
type Define struct {
	// Versions are the package versions (default: all).
	Versions versions.Range
	// Set are NAME or NAME=VALUE.
	Set []string
}

// UnmarshalYAML reads a name, or a mapping of the keys of a live patch.
func (c *PatchConfig) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&c.Name)
	}
	if err := onlyKeys(n, "patches", "name", "versions", "unless_fixed", "sources", "defines", "devel", "waive"); err != nil {
		return err
	}
	var row struct {
		Name        string
		Versions    string
		UnlessFixed bool `yaml:"unless_fixed"`
		Sources     []string
		Defines     []Define
		Devel       string
		Waive       map[string]string
	}
	if err := n.Decode(&row); err != nil {
		return err
	}
	*c = PatchConfig{
		Name: row.Name, UnlessFixed: row.UnlessFixed, Sources: row.Sources,
		Defines: row.Defines, Devel: row.Devel, Waive: row.Waive,
	}
	return parseRange(n, "patches", row.Versions, &c.Versions)
}

// UnmarshalYAML reads a mapping of versions and set.
func (d *Define) UnmarshalYAML(n *yaml.Node) error {
	if err := onlyKeys(n, "defines", "versions", "set"); err != nil {
		return err
	}
	var row struct {
		Versions string
		Set      []string
	}
	if err := n.Decode(&row); err != nil {
		return err
	}
	d.Set = row.Set
	return parseRange(n, "defines", row.Versions, &d.Versions)
}

// parseRange reads the range of the mapping n; "" leaves the one of all versions.
func parseRange(n *yaml.Node, what, text string, r *versions.Range) (err error) {
	if text == "" {
		return nil
	}
	if *r, err = versions.ParseRange(text); err != nil {
		return &ConfigError{Line: n.Line, Text: what + ": " + err.Error()}
	}
	return nil
}

var (
	defineShape = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(=[^\n\r\x00]*)?$`)
	sourceShape = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._+-]*\.(c|cc|cpp|cxx)$`)
)

// sourceExtensions are the languages that a live patch can be written in.
var sourceExtensions = []string{".c", ".cc", ".cpp", ".cxx"}

func (c *Config) validatePatches(k *checker) {
	known := make(map[string]bool, len(c.Patches))
	for i, p := range c.Patches {
		k.match(nameShape, p.Name, "patches", i)
		if known[p.Name] {
			k.add(fmt.Sprintf("patches: %s stands there twice", p.Name), "patches", i)
		}
		known[p.Name] = true
		for j, s := range p.Sources {
			if !sourceShape.MatchString(s) || filepath.Base(s) != s {
				k.add(fmt.Sprintf("sources: %q is not the name of a C or C++ file in the folder", s), "patches", i, "sources", j)
			}
		}
		for j, d := range p.Defines {
			if len(d.Set) == 0 {
				k.add("defines: set is missing", "patches", i, "defines", j)
			}
			for l, macro := range d.Set {
				if !defineShape.MatchString(macro) {
					k.add(fmt.Sprintf("defines: %q is not NAME or NAME=VALUE", macro), "patches", i, "defines", j, "set", l)
				}
			}
		}
		if err := builder.CheckWaivers(p.Waive); err != nil {
			k.add("waive: "+err.Error(), "patches", i, "waive")
		}
		if p.Devel != "" && !nameShape.MatchString(p.Devel) {
			k.add(fmt.Sprintf("devel: %q is not the name of a package", p.Devel), "patches", i, "devel")
		}
	}
}

// patchConfig is what the project file says of a live patch that is there.
func (c *Config) patchConfig(name string) PatchConfig {
	for _, p := range c.Patches {
		if p.Name == name {
			return p
		}
	}
	return PatchConfig{Name: name}
}
