package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/examples"
	"github.com/lpbuild/lpbuild/pipeline"
)

func initCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "init",
		Usage:     "write a new project",
		ArgsUsage: "[DIR]",
		Description: "Writes a project into DIR (default: the folder of -C), which is made if need be. Nothing is overwritten.\n\n" +
			"Examples: " + strings.Join(examples.Names(), ", ") + ".",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "example", Usage: "write the live patch of the example `NAME` too"},
			&urfave.StringFlag{Name: "name", Usage: "`NAME` of the live-patch package"},
			&urfave.StringFlag{Name: "package", Usage: "`PACKAGE` that ships the library (default: glibc)"},
			&urfave.StringSliceFlag{Name: "library", Usage: "absolute `PATH` of the library in the package; may be repeated"},
			&urfave.StringSliceFlag{Name: "repository", Usage: "`URL` of a repository of the shipped builds; may be repeated"},
			&urfave.PathFlag{Name: "key", Usage: "`FILE` with the OpenPGP key that signs the repositories; copied to keys/"},
		},
		Action: runInit,
	}
}

func runInit(c *urfave.Context) error {
	if err := cli.NArgs(c, 0, 1); err != nil {
		return err
	}
	dir := c.Path("directory")
	if c.NArg() == 1 {
		dir = filepath.Join(dir, c.Args().First())
		if filepath.IsAbs(c.Args().First()) {
			dir = c.Args().First()
		}
	}
	opts := pipeline.InitOptions{
		Name:      c.String("name"),
		Package:   c.String("package"),
		Libraries: c.StringSlice("library"),
		Example:   c.String("example"),
	}
	if opts.Package != "" && opts.Package != "glibc" && len(opts.Libraries) == 0 {
		return cli.Usagef("init: --package %s needs --library PATH", opts.Package)
	}
	for i, url := range c.StringSlice("repository") {
		r := pipeline.Repository{Name: fmt.Sprintf("repository%d", i+1), URL: url}
		if key := c.Path("key"); key != "" {
			r.Keys = []string{key}
		}
		opts.Repositories = append(opts.Repositories, r)
	}
	files, err := pipeline.Init(dir, opts)
	if err != nil {
		return err
	}
	for _, name := range files {
		if err := printFile(c, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func printFile(c *urfave.Context, name string) error {
	if c.Bool("json") {
		return json.NewEncoder(c.App.Writer).Encode(map[string]string{"file": name})
	}
	_, err := fmt.Fprintln(c.App.Writer, name)
	return err
}
