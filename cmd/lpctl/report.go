package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
	"github.com/lpbuild/lpbuild/injector"
)

// finish prints results and turns them into the command's error.
func (s *session) finish(results []injector.Result, err error) error {
	if err := errors.Join(err, s.print(results, resultColumns)); err != nil {
		return err
	}
	return s.failure(results)
}

// finishStatus prints results and answers whether all that can be covered is.
func (s *session) finishStatus(results []injector.Result, err error) error {
	if err := errors.Join(err, s.print(results, statusColumns)); err != nil {
		return err
	}
	if err := s.failure(slices.DeleteFunc(slices.Clone(results), s.hidden)); err != nil {
		return err
	}
	concerned := 0
	for _, r := range results {
		switch r.Word {
		case injector.Applied, injector.Already:
			concerned++
		case injector.NoPatchForBuild:
			return cli.Exit(cli.NotCovered)
		case injector.NotApplied:
			if len(s.set) > 0 {
				return cli.Exit(cli.NotCovered)
			}
		}
	}
	if concerned == 0 {
		return cli.Exit(cli.NothingToApply)
	}
	return nil
}

// hidden says that a process that nobody named can't be looked at. To list it is
// no failure: every machine has such processes, for whoever is not root.
func (s *session) hidden(r injector.Result) bool {
	return errors.Is(r.Err, injector.ErrPermission) && !slices.Contains(s.sel.PIDs, r.PID)
}

func (s *session) failure(results []injector.Result) error {
	if len(s.sel.PIDs) == 1 && len(s.sel.Globs) == 0 && len(results) == 1 {
		return processFailure(results[0])
	}
	return someFailure(results)
}

func (s *session) print(results []injector.Result, columns []column) error {
	if len(results) == 0 && s.selective() {
		cli.Warning(s.c.App.ErrWriter, "nothing that is selected is concerned")
	}
	if s.c.Bool("json") {
		enc := json.NewEncoder(s.c.App.Writer)
		for _, r := range results {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	if len(results) == 0 {
		return nil
	}
	if width, ok := cli.TerminalWidth(s.c.App.Writer); ok {
		return cli.WriteRecords(s.c.App.Writer, records(results), width)
	}
	header, rows := table(results, columns)
	return cli.WriteTable(s.c.App.Writer, header, rows)
}

// A column of the table that programs read; each patch may have a row of its own.
type column struct {
	title string
	cell  func(injector.Result, []injector.Patch) string
}

// identity begins every row.
var identity = []column{
	{"PID", func(r injector.Result, _ []injector.Patch) string { return strconv.Itoa(r.PID) }},
	{"COMMAND", func(r injector.Result, _ []injector.Patch) string { return r.Command }},
	{"LIBRARY", func(r injector.Result, ps []injector.Patch) string { return target(r, ps).Library }},
	{"BUILD-ID", func(r injector.Result, ps []injector.Patch) string { return short(target(r, ps).BuildID) }},
	{"RESULT", func(r injector.Result, _ []injector.Patch) string { return string(r.Word) }},
}

var resultColumns = slices.Concat(identity, []column{
	{"STOPPED", func(r injector.Result, _ []injector.Patch) string { return stopped(r.Stopped) }},
	{"IN FORCE", func(_ injector.Result, ps []injector.Patch) string { return join(ps, described) }},
	{"REASON", func(r injector.Result, _ []injector.Patch) string { return r.Reason }},
})

// statusColumns are for one patch a row.
var statusColumns = slices.Concat(identity, []column{
	{"IN FORCE", func(_ injector.Result, ps []injector.Patch) string { return join(ps, name) }},
	{"SINCE", func(_ injector.Result, ps []injector.Patch) string { return join(ps, since) }},
	{"REFERENCES", func(_ injector.Result, ps []injector.Patch) string { return join(ps, references) }},
	{"PATCHABLE", func(r injector.Result, _ []injector.Patch) string { return patchable(r) }},
	{"REASON", func(r injector.Result, _ []injector.Patch) string { return r.Reason }},
})

// table is one line for a process, or of a status for each of its patches. What
// is empty is "-", so that programs can tell the columns.
func table(results []injector.Result, columns []column) (header []string, rows [][]string) {
	perPatch := slices.ContainsFunc(columns, func(c column) bool { return c.title == "SINCE" })
	for _, c := range columns {
		header = append(header, c.title)
	}
	for _, r := range results {
		groups := [][]injector.Patch{r.Patches}
		if perPatch && len(r.Patches) > 1 {
			groups = slices.Collect(slices.Chunk(r.Patches, 1))
		}
		for _, patches := range groups {
			var row []string
			for _, c := range columns {
				cell := c.cell(r, patches)
				if cell == "" {
					cell = "-"
				}
				row = append(row, cell)
			}
			rows = append(rows, row)
		}
	}
	if len(results) > 0 && results[0].DryRun {
		header[slices.Index(header, "RESULT")] = "WOULD-BE"
	}
	return header, rows
}

// records is a few columns for a process, and lines below for what is long.
func records(results []injector.Result) []cli.Record {
	word := "RESULT"
	if results[0].DryRun {
		word = "WOULD-BE"
	}
	var out []cli.Record
	for _, r := range results {
		t := target(r, nil)
		rec := cli.Record{Fields: []cli.Field{
			{Name: "PID", Value: strconv.Itoa(r.PID)}, {Name: "COMMAND", Value: r.Command}, {Name: word, Value: string(r.Word)},
			{Name: "STOPPED", Value: stopped(r.Stopped)}, {Name: "LIBRARY", Value: t.Library}, {Name: "BUILD-ID", Value: short(t.BuildID)},
		}}
		for _, p := range r.Patches {
			rec.Below = append(rec.Below, strings.TrimRight(name(p)+"  since "+since(p)+"  "+references(p), " "))
		}
		switch {
		case r.Patchable != nil && !*r.Patchable:
			rec.Below = append(rec.Below, "can't be patched: "+r.Reason)
		case r.Reason != "":
			rec.Below = append(rec.Below, r.Reason)
		}
		out = append(out, rec)
	}
	return out
}

// target is what a row is about: the patch's library, or the result's.
func target(r injector.Result, patches []injector.Patch) injector.Patch {
	if len(patches) == 1 && len(r.Patches) > 1 {
		return patches[0]
	}
	return injector.Patch{Library: r.Library, BuildID: r.BuildID}
}

// short is as much of a build-id as a container's file name has.
func short(id string) string { return id[:min(len(id), 8)] }

func stopped(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.Round(time.Microsecond).String()
}

func patchable(r injector.Result) string {
	switch {
	case r.Patchable == nil:
		return ""
	case *r.Patchable:
		return "yes"
	}
	return "no"
}

// join lists patches, oldest first.
func join(patches []injector.Patch, text func(injector.Patch) string) string {
	var out []string
	for _, p := range patches {
		if t := text(p); t != "" {
			out = append(out, t)
		}
	}
	return strings.Join(out, ", ")
}

// name is SET-VERSION/PATCH, or the container's file.
func name(p injector.Patch) string {
	if p.Set == "" {
		return p.Name
	}
	return p.Set + "-" + p.SetVersion + "/" + p.Patch
}

func described(p injector.Patch) string {
	if r := references(p); r != "" {
		return name(p) + " (" + r + ")"
	}
	return name(p)
}

func since(p injector.Patch) string { return p.Time.Local().Format("2006-01-02T15:04:05") }

func references(p injector.Patch) string { return strings.Join(p.References, " ") }
