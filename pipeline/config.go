package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/lpbuild/lpbuild/versions"
)

// Config is the content of lpbuild.yaml.
type Config struct {
	// Name is the name of the live-patch package, Version its version.
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	// Summary, Description, License and URL go into the RPM as they are.
	Summary     string `yaml:"summary"`
	Description string `yaml:"description"`
	License     string `yaml:"license"`
	URL         string `yaml:"url"`
	// Package ships the libraries: one package, or several where the name has
	// changed or each library has its own. DebugPackage (default: Package-debuginfo
	// of each) are those of their debug symbols.
	Package      Names `yaml:"package"`
	DebugPackage Names `yaml:"debug_package"`
	// Debuginfod are URLs of debuginfod servers, for debug symbols that no
	// package has; versions.DebuginfodURLs stands for those of the environment.
	Debuginfod []string `yaml:"debuginfod"`
	// Libraries are the absolute paths of the target libraries in the package;
	// path.Match patterns are allowed.
	Libraries []string `yaml:"libraries"`
	// Arches are RPM's names of architectures (default: x86_64).
	Arches []string `yaml:"arches"`
	// Repositories are where the shipped builds are.
	Repositories []Repository `yaml:"repositories"`
	// Support says until when a build gets live patches (default: for ever).
	Support Support `yaml:"support"`
	// Patches are folders below livepatches/ (default: all of them), with what
	// they are for.
	Patches []PatchConfig `yaml:"patches"`
	// Requires are further requirements of the RPM, in RPM's own syntax.
	Requires []string `yaml:"requires"`
	// Expect holds, by live patch, what its test program prints.
	Expect map[string]Expect `yaml:"expect"`
}

// Expect is what a test program prints. An empty field stands for anything.
type Expect struct {
	Before string `yaml:"before"`
	After  string `yaml:"after"`
}

// ConfigError is one mistake in lpbuild.yaml.
type ConfigError struct {
	File string
	// Line counts from 1; 0 means that something is missing altogether.
	Line int
	Text string
}

// Error is "file:line: text".
func (e *ConfigError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Text
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
}

// maxConfig bounds lpbuild.yaml, in bytes.
const maxConfig = 1 << 20

// ParseConfig reads the content of lpbuild.yaml. A key that it does not know, a
// key given twice or a value that cannot be right is a *ConfigError that begins
// with file and line; several are joined.
func ParseConfig(file string, src []byte) (*Config, error) {
	if len(src) > maxConfig {
		return nil, &ConfigError{File: file, Text: fmt.Sprintf("larger than %d bytes", maxConfig)}
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return nil, configErrors(file, err)
	}
	if expandedSize(&doc, make(map[*yaml.Node]int)) > maxExpanded {
		return nil, &ConfigError{File: file, Text: fmt.Sprintf("larger than %d bytes with its aliases (*) written out", maxExpanded)}
	}
	var c Config
	dec := yaml.NewDecoder(bytes.NewReader(src))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return nil, configErrors(file, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, &ConfigError{File: file, Text: "more than one YAML document"}
	}
	c.setDefaults()
	return &c, c.validate(checker{file: file, doc: &doc})
}

func (c *Config) setDefaults() {
	if len(c.DebugPackage) == 0 {
		for _, name := range c.Package {
			c.DebugPackage = append(c.DebugPackage, name+"-debuginfo")
		}
	}
	if len(c.Arches) == 0 {
		c.Arches = []string{"x86_64"}
	}
	if c.Summary == "" {
		c.Summary = "Live patches for " + c.Package.String()
	}
	for i := range c.Repositories {
		c.Repositories[i].setDefaults()
	}
}

// The shapes that RPM allows. A version without "-", as RPM splits NEVRAs there.
var (
	nameShape    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)
	versionShape = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._+~^]*$`)
)

// supportedArches are the architectures that the injector has code for.
var supportedArches = []string{"x86_64"}

func (c *Config) validate(k checker) error {
	k.match(nameShape, c.Name, "name")
	k.match(versionShape, c.Version, "version")
	k.names(c.Package, "package")
	if len(c.Package) > 0 { // its default comes from there
		k.names(c.DebugPackage, "debug_package")
	}
	for i, server := range c.Debuginfod {
		if !isServer(server) {
			k.add("debuginfod: not the https URL of a server without a user (http only on this machine: nothing signs what it says), nor "+versions.DebuginfodURLs, "debuginfod", i)
		}
	}
	if len(c.Libraries) == 0 {
		k.add("no target library", "libraries")
	}
	for i, lib := range c.Libraries {
		if _, err := path.Match(lib, ""); err != nil || !path.IsAbs(lib) || path.Clean(lib) != lib || lib == "/" {
			k.add(fmt.Sprintf("libraries: %q is not the absolute path of a file", lib), "libraries", i)
		}
	}
	for i, arch := range c.Arches {
		if !slices.Contains(supportedArches, arch) {
			k.add(fmt.Sprintf("arches: %q is not supported; supported: %s", arch, strings.Join(supportedArches, ", ")), "arches", i)
		}
	}
	c.validateRepositories(&k)
	c.validateSupport(&k)
	c.validatePatches(&k)
	for _, text := range []struct{ key, value string }{{"summary", c.Summary}, {"license", c.License}, {"url", c.URL}} {
		if strings.ContainsAny(text.value, "\n\r") {
			k.add(text.key+": more than one line", text.key)
		}
	}
	for i, r := range c.Requires {
		if r == "" || strings.ContainsAny(r, "\n\r") {
			k.add(fmt.Sprintf("requires: %q is not a requirement", r), "requires", i)
		}
	}
	return errors.Join(k.errs...)
}
