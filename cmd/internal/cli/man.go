package cli

import (
	"bytes"
	"fmt"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// A ManPage is what a manual page has beside the program's own help.
type ManPage struct {
	// Section is the section of the manual, as "1".
	Section string
	// Description stands in place of the program's Description if not "".
	Description string
	// Sections follow the commands.
	Sections []ManSection
	// Codes stand in place of the exit-code table if not nil.
	Codes []Code
	// SeeAlso are other pages, as "lpctl(1)".
	SeeAlso []string
}

// A ManSection is one section: paragraphs with empty lines between them, of
// which those that are indented are printed as they are.
type ManSection struct{ Title, Text string }

// Man returns the program's manual page, in man(7) markup, with the exit-code table.
func Man(app *urfave.App, page ManPage) []byte {
	m := &man{}
	m.line(".\\\" Written by the program itself; see CONTRIBUTING.md.")
	m.line(".TH %s %s \"\" \"%s\" \"User Commands\"", strings.ToUpper(app.Name), page.Section, app.Name)
	m.section("NAME", app.Name+" - "+app.Usage)
	m.section("SYNOPSIS", app.UsageText)
	description := page.Description
	if description == "" {
		description = app.Description
	}
	m.section("DESCRIPTION", description)
	m.line(".SH OPTIONS")
	m.flags(app.Flags)
	m.line(".SH COMMANDS")
	for _, cmd := range app.Commands {
		m.command(app.Name, cmd)
	}
	for _, s := range page.Sections {
		m.section(s.Title, s.Text)
	}
	m.line(".SH EXIT STATUS")
	codes := page.Codes
	if codes == nil {
		codes = Codes
	}
	for _, c := range codes {
		m.line(".TP")
		m.line(".B %d", c.Code)
		m.text(c.Meaning)
	}
	if len(page.SeeAlso) > 0 {
		m.section("SEE ALSO", strings.Join(page.SeeAlso, ", "))
	}
	return m.Bytes()
}

type man struct{ bytes.Buffer }

func (m *man) line(format string, args ...any) { fmt.Fprintf(m, format+"\n", args...) }

func (m *man) section(title, text string) {
	m.line(".SH %s", title)
	m.paragraphs(text)
}

func (m *man) command(program string, cmd *urfave.Command) {
	words := []string{program, cmd.Name}
	if len(cmd.Flags) > 0 {
		words = append(words, "[OPTION]...")
	}
	if cmd.ArgsUsage != "" {
		words = append(words, cmd.ArgsUsage)
	}
	m.line(".SS %s", escape(strings.Join(words, " ")))
	m.text(strings.ToUpper(cmd.Usage[:1]) + cmd.Usage[1:] + ".")
	if cmd.Description != "" {
		m.line(".PP")
		m.paragraphs(cmd.Description)
	}
	m.flags(cmd.Flags)
}

func (m *man) flags(flags []urfave.Flag) {
	for _, f := range flags {
		doc, ok := f.(urfave.DocGenerationFlag)
		if !ok {
			continue
		}
		before, rest, _ := strings.Cut(doc.GetUsage(), "`")
		value, after, found := strings.Cut(rest, "`")
		var names []string
		for _, name := range f.Names() {
			dashes := "--"
			if len(name) == 1 {
				dashes = "-"
			}
			text := "\\fB" + escape(dashes+name) + "\\fR"
			if found {
				text += " \\fI" + escape(value) + "\\fR"
			}
			names = append(names, text)
		}
		m.line(".TP")
		m.line("%s", strings.Join(names, ", "))
		m.text(before + value + after)
	}
}

// paragraphs writes text; an indented paragraph is kept line by line.
func (m *man) paragraphs(text string) {
	for i, p := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		if i > 0 {
			m.line(".PP")
		}
		if !strings.HasPrefix(p, " ") {
			m.text(p)
			continue
		}
		m.line(".nf")
		m.text(p)
		m.line(".fi")
	}
}

func (m *man) text(text string) { m.line("%s", escape(text)) }

// escape makes text mean itself: see groff_char(7) for the hyphen.
func escape(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "’", `\(cq`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
