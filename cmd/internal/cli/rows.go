package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"golang.org/x/term"
)

// maxCell is where a cell of a table is cut, in characters.
const maxCell = 200

// WriteTable prints rows in aligned columns, without borders, so that a person
// can read them and awk can split them.
func WriteTable(w io.Writer, header []string, rows [][]string) error {
	t := table.NewWriter()
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft = ""
	style.Box.PaddingRight = "  "
	style.Format.Header = text.FormatDefault
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	t.AppendHeader(tableRow(header))
	for _, row := range rows {
		t.AppendRow(tableRow(row))
	}
	_, err := io.WriteString(w, t.Render()+"\n")
	return err
}

func tableRow(cells []string) table.Row {
	row := make(table.Row, len(cells))
	for i, cell := range cells {
		row[i] = text.Trim(cell, maxCell)
	}
	return row
}

// TerminalWidth is the number of columns of the terminal that w is, and whether
// it is one at all.
func TerminalWidth(w io.Writer) (int, bool) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		return 80, true
	}
	return width, true
}

// A Record is one row for a person: a few short fields, and below them lines
// for what is long.
type Record struct {
	// Fields are the same ones in every record. Those that no record has a value
	// for are left out.
	Fields []Field
	Below  []string
}

// A Field is one column of a Record.
type Field struct{ Name, Value string }

// indent is how far what is below a record stands in.
const indent = 6

// WriteRecords prints records as a table whose lines are no longer than width
// as far as the fields allow, with what is below wrapped at blanks.
func WriteRecords(w io.Writer, records []Record, width int) error {
	header := make([]string, 0)
	var used []int
	for i := range records[0].Fields {
		if slices.ContainsFunc(records, func(r Record) bool { return r.Fields[i].Value != "" }) {
			header, used = append(header, records[0].Fields[i].Name), append(used, i)
		}
	}
	var rows [][]string
	for _, r := range records {
		var row []string
		for _, i := range used {
			row = append(row, r.Fields[i].Value)
		}
		rows = append(rows, row)
	}
	var b strings.Builder
	if err := WriteTable(&b, header, rows); err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	b.Reset()
	for i, line := range lines {
		fmt.Fprintln(&b, line)
		if i == 0 {
			continue // the header
		}
		for _, long := range records[i-1].Below {
			for part := range strings.SplitSeq(text.WrapSoft(long, max(width-indent, indent)), "\n") {
				fmt.Fprintln(&b, strings.Repeat(" ", indent)+strings.TrimSpace(part))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
