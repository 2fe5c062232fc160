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

//go:embed all:malloc
var files embed.FS

// An Example is one live patch together with what it is made for.
type Example struct {
	// Name is the name for the command line.
	Name string
	// Project is the name that a project made from it has by default; Package
	// and Library are what it patches.
	Project, Package, Library string
}

var all = []Example{
	{Name: "malloc", Project: "glibc-livepatches", Package: "glibc", Library: "/lib64/libc.so.6"},
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

// Files is the example's folder.
func (e Example) Files() fs.FS {
	sub, err := fs.Sub(files, e.Name)
	if err != nil {
		panic(err) // the name of an example is not a path: our mistake
	}
	return sub
}
