package main

import (
	"encoding/json"
	"fmt"
	"slices"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/pipeline"
)

func livepatchableCommand() *urfave.Command {
	return &urfave.Command{
		Name:      "livepatchable",
		Usage:     "say how the functions of a library can be redirected",
		ArgsUsage: "LIBRARY [FUNCTION[@SOURCE.c]]...",
		Description: "For each FUNCTION (default: all that the library exports) says\n\n" +
			"  padded   built with -fpatchable-function-entry: 14 bytes of NOP before it, two at its entry\n" +
			"  stock    an ordinary function whose first instructions can be moved\n" +
			"  none     not livepatchable, and why\n\n" +
			"Exit code 11 if a FUNCTION is not livepatchable or, without FUNCTION, if none is.",
		Action: runLivepatchable,
	}
}

func runLivepatchable(c *urfave.Context) error {
	if err := cli.NArgs(c, 1, -1); err != nil {
		return err
	}
	library, names := c.Args().First(), c.Args().Tail()
	found, err := pipeline.FindLivepatchable(library, names)
	if err != nil {
		return err
	}
	counts := make(map[elfinfo.EntryKind]int)
	var rows [][]string
	for _, f := range found {
		counts[f.Kind]++
		rows = append(rows, []string{string(f.Kind), f.Function, fmt.Sprintf("%#x", f.Address), fmt.Sprint(f.Size), f.Reason})
	}
	if c.Bool("json") {
		for _, f := range found {
			if err := json.NewEncoder(c.App.Writer).Encode(f); err != nil {
				return err
			}
		}
	} else if err := cli.WriteTable(c.App.Writer, []string{"ENTRY", "FUNCTION", "ADDRESS", "SIZE", "REASON"}, rows); err != nil {
		return err
	}
	none := counts[elfinfo.EntryNone]
	if none > 0 && len(names) > 0 || none == len(found) {
		return refusedFunctions(library, none, found)
	}
	return nil
}

// refusedFunctions says how many functions are not livepatchable, and which is the first.
func refusedFunctions(library string, none int, found []pipeline.Livepatchable) error {
	first := ""
	if i := slices.IndexFunc(found, func(f pipeline.Livepatchable) bool { return f.Kind == elfinfo.EntryNone }); i >= 0 {
		first = fmt.Sprintf("; the first: %s: %s", found[i].Function, found[i].Reason)
	}
	return fmt.Errorf("%s: %d of %d functions %w%s", library, none, len(found), elfinfo.ErrNotLivepatchable, first)
}
