package main

import (
	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/pipeline"
)

func cleanCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "clean",
		Usage: "remove build/ and dist/",
		Description: "Removes what make, dist and rpm wrote. The lock, the version records and the cache of packages stay.\n" +
			"With --cache, removes the compiled objects that all projects share, and nothing of a project.",
		Flags: []urfave.Flag{
			&urfave.BoolFlag{Name: "cache", Usage: "remove the compiled objects of all projects instead"},
		},
		Action: func(c *urfave.Context) error {
			if err := cli.NArgs(c, 0, 0); err != nil {
				return err
			}
			if !c.Bool("cache") {
				return pipeline.Clean(c.Path("directory"))
			}
			cache := pipeline.Options{Cache: cacheFolder()}
			size, err := pipeline.CleanCache(cache)
			if err != nil || size == 0 {
				return err
			}
			return print(c, map[string]int64{"removed": size}, "%d bytes removed\n", size)
		},
	}
}
