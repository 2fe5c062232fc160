package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/livepatch"
)

func dumpCommand() *urfave.Command {
	return &urfave.Command{
		Name:        "dump",
		Usage:       "show what a container holds",
		ArgsUsage:   "CONTAINER...",
		Description: "Shows the metadata of live-patch containers, whether lpbuild or libpulp's packer made them.",
		Action: func(c *urfave.Context) error {
			if err := cli.NArgs(c, 1, -1); err != nil {
				return err
			}
			for _, name := range c.Args().Slice() {
				if err := dump(c, name); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// dumped is the JSON form of a container.
type dumped struct {
	Container  string            `json:"container"`
	ID         string            `json:"id"`
	PatchID    string            `json:"patch_id"`
	Target     string            `json:"target"`
	BuildID    string            `json:"build_id"`
	Units      []dumpedUnit      `json:"units"`
	References []dumpedReference `json:"references,omitempty"`
	Depends    []string          `json:"depends,omitempty"`
	Revert     bool              `json:"revert"`
	Comments   string            `json:"comments,omitempty"`
	Info       *livepatch.Info   `json:"info,omitempty"`
}

type dumpedUnit struct {
	Old     string `json:"old"`
	New     string `json:"new"`
	Address uint64 `json:"address"`
}

type dumpedReference struct {
	Target       string `json:"target"`
	Reference    string `json:"reference"`
	TargetOffset uint64 `json:"target_offset"`
	PatchOffset  uint64 `json:"patch_offset"`
	TLS          bool   `json:"tls"`
}

func dump(c *urfave.Context, name string) error {
	container, err := livepatch.OpenContainer(name)
	if err != nil {
		return err
	}
	m := container.Apply
	d := dumped{
		Container: name,
		ID:        container.ID,
		PatchID:   hex.EncodeToString(m.PatchID[:]),
		Target:    m.Target,
		BuildID:   hex.EncodeToString(m.BuildID),
		Revert:    container.Revert != nil,
		Comments:  container.Comments,
		Info:      container.Info,
	}
	for _, u := range m.Units {
		d.Units = append(d.Units, dumpedUnit{u.Old, u.New, u.Address})
	}
	for _, r := range m.References {
		d.References = append(d.References, dumpedReference{r.Target, r.Reference, r.TargetOffset, r.PatchOffset, r.TLS})
	}
	for _, id := range m.Depends {
		d.Depends = append(d.Depends, hex.EncodeToString(id[:]))
	}
	if c.Bool("json") {
		return json.NewEncoder(c.App.Writer).Encode(d)
	}
	return d.write(c.App.Writer)
}

// write prints the container for a person: one "key: value" line each.
func (d *dumped) write(w io.Writer) error {
	var b strings.Builder
	line := func(key, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", key+":", fmt.Sprintf(format, args...))
	}
	line("container", "%s", d.Container)
	line("id", "%s", d.ID)
	line("patch id", "%s", d.PatchID)
	line("target", "%s", d.Target)
	line("build-id", "%s", d.BuildID)
	for i, u := range d.Units {
		text := fmt.Sprintf("%s at %#x -> %s", u.Old, u.Address, u.New)
		if d.Info != nil && i < len(d.Info.Functions) {
			f := d.Info.Functions[i]
			text += fmt.Sprintf(" (%s entry, %d bytes)", f.Entry, f.Size)
		}
		line("replaces", "%s", text)
	}
	for _, r := range d.References {
		kind := ""
		if r.TLS {
			kind = ", thread-local"
		}
		line("reference", "%s at %#x -> %s at %#x%s", r.Target, r.TargetOffset, r.Reference, r.PatchOffset, kind)
	}
	for _, id := range d.Depends {
		line("depends", "%s", id)
	}
	for comment := range strings.Lines(d.Comments) {
		line("comment", "%q", strings.TrimSpace(comment))
	}
	if i := d.Info; i != nil {
		line("set", "%s", strings.TrimSpace(i.Set+" "+i.SetVersion+" "+i.Patch))
		for _, nevra := range i.NEVRAs {
			line("package", "%s", nevra)
		}
		line("library", "%s", i.Library)
		line("toolchain", "%s", i.Toolchain)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
