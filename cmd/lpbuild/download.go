package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/versions"
)

func downloadCommand() *urfave.Command {
	return &urfave.Command{
		Name:  "download",
		Usage: "find every shipped build and record what the live patches need of it",
		Description: "Reads the repositories in lpbuild.yaml, verifies signatures and checksums, fetches every version of the package and\n" +
			"of its debug symbols that is not in the cache yet, and writes versions.lock and versions/. From then on everything\n" +
			"works without network. Run it again when a description names a new function, and when new builds have shipped.\n\n" +
			"versions.lock pins the fingerprints of each repository's keys and how new its metadata was. Other keys, and metadata\n" +
			"that is older or signed by another key, are errors until they are accepted. With -v each build is followed by what\n" +
			"proved it, layer by layer; --json always has that.",
		Flags: []urfave.Flag{
			&urfave.StringSliceFlag{Name: "accept-keys", Usage: "trust the key with `FINGERPRINT`, new in the key files or new as the signer of a repository, from now on"},
			&urfave.StringFlag{Name: "rate", Usage: "fetch at most `BYTES` a second in all, as 500K or 5M"},
			&urfave.IntFlag{Name: "connections", DefaultText: "4", Usage: "make at most `N` requests to one server at a time"},
			&urfave.StringSliceFlag{Name: "accept-older", Usage: "let `REPOSITORY` show metadata that is older than what the lock has seen, or no longer signed"},
		},
		Action: func(c *urfave.Context) error {
			if err := cli.NArgs(c, 0, 0); err != nil {
				return err
			}
			return withProject(c, nil, runDownload)
		},
	}
}

func runDownload(s *session) error {
	var err error
	if s.options.Limits, err = limits(s.Context); err != nil {
		return err
	}
	s.options.AcceptKeys = s.StringSlice("accept-keys")
	s.options.AcceptOlder = s.StringSlice("accept-older")
	var lock *versions.Lock
	lock, err = s.project.Download(s.Context.Context, s.options)
	if lock == nil {
		return err
	}
	if s.Bool("json") {
		return errors.Join(s.printProven(lock.Builds), err)
	}
	err = errors.Join(s.printLocked(lock.Builds), s.warnSupport(), err)
	if s.Bool("verbose") {
		err = errors.Join(s.printLayers(lock.Builds), err)
	}
	return err
}

// printProven prints builds as JSON with what proved them in this run.
func (s *session) printProven(builds []versions.Locked) error {
	s.progress.wait()
	enc := json.NewEncoder(s.App.Writer)
	for _, b := range builds {
		row := struct {
			versions.Locked
			Layers []versions.Layer `json:"layers,omitempty"`
		}{b, b.Layers}
		if err := enc.Encode(row); err != nil {
			return err
		}
	}
	return nil
}

// printLayers prints what proved each build in this run. A build whose package
// is not at hand has nothing: its record stands for it.
func (s *session) printLayers(builds []versions.Locked) error {
	var rows [][]string
	for _, b := range builds {
		name := b.NEVRA + " " + short(b.BuildID)
		for _, l := range b.Layers {
			key := l.Key
			if l.Subkey != "" {
				key += " subkey " + l.Subkey
			}
			rows = append(rows, []string{name, l.Of, l.Proof, key})
		}
		if len(b.Layers) == 0 {
			rows = append(rows, []string{name, "record", "from an earlier run", b.SignedBy})
		}
	}
	fmt.Fprintln(s.App.Writer)
	return cli.WriteTable(s.App.Writer, []string{"BUILD", "LAYER", "PROOF", "KEY"}, rows)
}

// printLocked prints rows of the lock.
func (s *session) printLocked(builds []versions.Locked) error {
	s.progress.wait()
	rows := make([][]string, len(builds))
	for i, b := range builds {
		support := ""
		if b.EndOfSupport != nil {
			support = b.EndOfSupport.Format(time.DateOnly)
		}
		if b.Removed {
			support = strings.TrimSpace(support + " (left the repositories)")
		}
		rows[i] = []string{b.NEVRA, b.Library, short(b.BuildID), b.BuildTime.Format(time.DateOnly), support}
	}
	return cli.WriteTable(s.App.Writer, []string{"BUILD", "LIBRARY", "BUILD-ID", "BUILT", "SUPPORTED UNTIL"}, rows)
}
