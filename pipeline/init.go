package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"

	"github.com/lpbuild/lpbuild/examples"
	"github.com/lpbuild/lpbuild/templates"
)

// ErrExists says that a file which would be written is already there.
var ErrExists = errors.New("already there")

// InitOptions say what a new project is for. The zero value is a project named
// after its folder, for glibc, without live patches.
type InitOptions struct {
	// Name is the project's name (default: that of the folder or example).
	Name string
	// Package (default: glibc) ships Libraries (default for glibc: /lib64/libc.so.6).
	Package   string
	Libraries []string
	// License of the live patches (default: the example's, or LGPL-2.1-or-later as glibc's).
	License string
	// Repositories are written to the project file. Their Keys are files
	// anywhere, which are copied to keys/.
	Repositories []Repository
	// Example is the name of an example whose live patches are written too, "" for none.
	Example string
}

// scaffold is what the files of a new project are made from.
type scaffold struct {
	InitOptions
	Settings string // the example's part of lpbuild.yaml
}

// Init writes a new project into dir, which is made if need be, and returns the
// paths of its files relative to dir, sorted. It overwrites nothing: if any of
// the files exists, the error wraps ErrExists and none is written.
func Init(dir string, opts InitOptions) ([]string, error) {
	files := map[string][]byte{}
	example, err := opts.setDefaults(dir)
	if err != nil {
		return nil, err
	}
	if err := opts.takeKeys(files); err != nil {
		return nil, err
	}
	from := scaffold{InitOptions: opts}
	if opts.Example != "" {
		from.Settings = example.Settings()
	}
	if err := addScaffold(files, from); err != nil {
		return nil, err
	}
	if opts.Example != "" {
		if err := addTree(files, example.Files()); err != nil {
			return nil, err
		}
	}
	if _, err := ParseConfig(ConfigFile, files[ConfigFile]); err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(dir, name), ErrExists)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return names, writeProject(dir, names, files)
}

func (o *InitOptions) setDefaults(dir string) (examples.Example, error) {
	example := examples.Example{Package: "glibc", Libraries: []string{"/lib64/libc.so.6"}, License: "LGPL-2.1-or-later"}
	if o.Example != "" {
		var err error
		if example, err = examples.Find(o.Example); err != nil {
			return example, err
		}
	}
	if o.Package == "" {
		o.Package = example.Package
	}
	if len(o.Libraries) == 0 && o.Package == example.Package {
		o.Libraries = example.Libraries
	}
	if o.License == "" {
		o.License = example.License
	}
	if o.Name == "" {
		o.Name = example.Project
	}
	if o.Name == "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return example, err
		}
		o.Name = notInName.ReplaceAllString(filepath.Base(abs), "-")
	}
	return example, nil
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9._+-]+`)

// takeKeys reads the key files and makes the repositories refer to the copies.
func (o *InitOptions) takeKeys(files map[string][]byte) error {
	repositories := slices.Clone(o.Repositories)
	for i, r := range repositories {
		keys := make([]string, len(r.Keys))
		for j, key := range r.Keys {
			data, err := os.ReadFile(key)
			if err != nil {
				return err
			}
			keys[j] = filepath.Join("keys", filepath.Base(key))
			if old, ok := files[keys[j]]; ok && !bytes.Equal(old, data) {
				return fmt.Errorf("%s: another key has the same file name", key)
			}
			files[keys[j]] = data
		}
		repositories[i].Keys = keys
	}
	o.Repositories = repositories
	return nil
}

func addScaffold(files map[string][]byte, from scaffold) error {
	if err := addTree(files, templates.Project()); err != nil {
		return err
	}
	funcs := template.FuncMap{"yaml": yamlScalar}
	return fs.WalkDir(templates.Project(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		t, err := template.New(name).Funcs(funcs).Parse(string(files[name]))
		if err != nil {
			return err
		}
		var out bytes.Buffer
		if err := t.Execute(&out, from); err != nil {
			return err
		}
		files[name] = out.Bytes()
		return nil
	})
}

// yamlScalar quotes a text for YAML where that is needed.
func yamlScalar(text string) (string, error) {
	out, err := yaml.Marshal(text)
	return strings.TrimSuffix(string(out), "\n"), err
}

func addTree(files map[string][]byte, tree fs.FS) error {
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[name], err = fs.ReadFile(tree, name)
		return err
	})
}

// writeProject writes lpbuild.yaml last: a folder has a project file only when
// everything else is there.
func writeProject(dir string, names []string, files map[string][]byte) error {
	for _, sub := range []string{PatchesDir, "keys"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o777); err != nil {
			return err
		}
	}
	for _, name := range slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == ConfigFile }) {
		if err := writeFile(filepath.Join(dir, name), files[name]); err != nil {
			return err
		}
	}
	return writeFile(filepath.Join(dir, ConfigFile), files[ConfigFile])
}
