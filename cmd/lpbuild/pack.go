package main

import (
	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/livepatch/packer"
)

func packCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "pack",
		Usage:     "embed the metadata of a description into its container",
		ArgsUsage: "FILE.dsc",
		Description: "Embeds the metadata into the container that the description names, in place. Paths in the description are\n" +
			"relative to the current folder. The target may be the library or what extract wrote for it.",
		Action: func(c *urfave.Context) error {
			if err := cli.NArgs(c, 1, 1); err != nil {
				return err
			}
			container, err := packer.Pack(c.Args().First(), packer.Paths{})
			if err != nil {
				return err
			}
			return print(c, map[string]string{"container": container}, "%s\n", container)
		},
	}
}

func extractCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "extract",
		Usage:     "list the symbols of a library as JSON",
		ArgsUsage: "LIBRARY",
		Description: "Writes the build-id and all symbols of LIBRARY as JSON, in the form of \"ulp extract\": a description may name\n" +
			"that file as its target in place of the library.",
		Flags: []urfave.Flag{
			&urfave.PathFlag{Name: "debug", Aliases: []string{"d"}, Usage: "add the symbols of the debug file `FILE`"},
			&urfave.PathFlag{Name: "output", Aliases: []string{"o"}, Value: "-", Usage: "write to `FILE` instead of standard output"},
		},
		Action: runExtract,
	}
}

func runExtract(c *urfave.Context) error {
	if err := cli.NArgs(c, 1, 1); err != nil {
		return err
	}
	list, err := packer.Extract(c.Args().First(), c.Path("debug"))
	if err != nil {
		return err
	}
	if out := c.Path("output"); out != "-" {
		return list.WriteFile(out)
	}
	_, err = c.App.Writer.Write(list.Encode())
	return err
}
