// Package examples holds the live patches that "lpbuild init --example NAME"
// writes out. Each folder NAME holds what is special to one example, laid out
// as in a project; the files that every project has come from package templates.
package examples

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed all:malloc all:openssl all:zlib *.yaml
var files embed.FS

// An Example is the live patches for one library.
type Example struct {
	// Name is the name for the command line.
	Name string
	// Project is the name that a project made from it has by default; Package
	// ships Libraries, which it patches. License is that of its live patches.
	Project, Package string
	Libraries        []string
	License          string
}

var all = []Example{
	{
		Name: "malloc", Project: "glibc-livepatches", License: "LGPL-2.1-or-later",
		Package: "glibc", Libraries: []string{"/lib64/libc.so.6"},
	},
	{
		Name: "openssl", Project: "openssl-livepatches", License: "Apache-2.0",
		Package: "openssl-libs", Libraries: []string{"/usr/lib64/libcrypto.so.*"},
	},
	{
		Name: "zlib", Project: "zlib-livepatches", License: "Zlib",
		Package: "libz1", Libraries: []string{"/usr/lib64/libz.so.1"},
	},
}

// Names lists the examples.
func Names() []string {
	names := make([]string, len(all))
	for i, e := range all {
		names[i] = e.Name
	}
	return names
}

// Find returns the example of that name.
func Find(name string) (Example, error) {
	for _, e := range all {
		if e.Name == name {
			return e, nil
		}
	}
	return Example{}, fmt.Errorf("no example %q; there is: %s", name, strings.Join(Names(), ", "))
}

// Settings is what the example adds to lpbuild.yaml, without a line end.
func (e Example) Settings() string {
	text, err := files.ReadFile(e.Name + ".yaml")
	if err != nil {
		panic(err) // every example has one: our mistake
	}
	return strings.TrimSuffix(string(text), "\n")
}

// Files is the example's folder.
func (e Example) Files() fs.FS {
	sub, err := fs.Sub(files, e.Name)
	if err != nil {
		panic(err) // the name of an example is not a path: our mistake
	}
	return sub
}
