// Package templates holds the texts that lpbuild writes out, as files that are
// embedded in the program.
package templates

import (
	"embed"
	"io/fs"
)

//go:embed all:project
var project embed.FS

// Project is the scaffold of a project folder: every file is a text/template
// whose data is pipeline.InitOptions, its path the path in the project.
func Project() fs.FS {
	sub, err := fs.Sub(project, "project")
	if err != nil {
		panic(err) // a constant name: our mistake
	}
	return sub
}
