package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// summaryReport is report.json.
type summaryReport struct {
	Builds       []build      `json:"builds"`
	Transactions transactions `json:"transactions"`
	RPMs         rpms         `json:"rpms"`
}

// A build is one shipped build with the live patch of version 0.1 for it.
type build struct {
	NEVRA   string `json:"nevra"`
	BuildID string `json:"build_id"`
	Soname  string `json:"soname"`
	// Entry is "stock" or "padded".
	Entry     string `json:"entry"`
	Container string `json:"container"`
	// Test is lpbuild test's word, "PASSED".
	Test string `json:"test"`
}

type transactions struct {
	Install counts `json:"install"`
	Upgrade counts `json:"upgrade"`
	Erase   counts `json:"erase"`
}

// counts says how many of the demo's processes rpm-helper reported, and what of them.
type counts struct {
	Processes int            `json:"processes"`
	Results   map[string]int `json:"results"`
}

// rpms are the two packages of version 0.1 for the first project.
type rpms struct {
	Rpmbuild string `json:"rpmbuild"`
	Direct   string `json:"direct"`
}

func builds(rows []row) []build {
	out := make([]build, len(rows))
	for i, r := range rows {
		out[i] = build{r.NEVRA, r.BuildID, r.Soname, r.Entry, r.Container, r.Result}
	}
	return out
}

func count(t transaction) counts {
	c := counts{Results: make(map[string]int)}
	for _, word := range t.Words {
		c.Processes++
		c.Results[word]++
	}
	return c
}

// write writes the report as a whole or not at all.
func (r *summaryReport) write(name string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	tmp := name + ".tmp"
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(tmp, name)
	}
	return err
}

// table is the report for a person: a line for each build, then what the
// answers were, then a line for each transaction.
func (r *summaryReport) table(w io.Writer, p *plan, out *outcome) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "\nBUILD\tBUILD-ID\tENTRY\tTEST\tINSTALL\tUPGRADE\tERASE\tTHREADS\tANSWERS: OLD, %s, %s, OLD\n", p.OldVersion, p.NewVersion)
	for i, b := range r.Builds {
		n := out.Answers[i].Lines
		fmt.Fprintf(tw, "%s\t%.8s\t%s\t%s\t%s\t%s\t%s\t%d\t%d, %d, %d, %d\n", b.NEVRA, b.BuildID, b.Entry, b.Test,
			out.Install.Words[i], out.Upgrade.Words[i], out.Erase.Words[i], p.Witnesses[i].Threads, n[0], n[1], n[2], n[3])
	}
	fmt.Fprintf(tw, "\nLIVE PATCHES\tOLD\t%s\t%s\tOLD\n", p.OldVersion, p.NewVersion)
	for _, name := range p.Names {
		i := slices.IndexFunc(p.Witnesses, func(w witness) bool { return w.Package == name })
		a := out.Answers[i].Texts
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", name, a[0], a[1], a[2], a[3])
	}
	fmt.Fprintln(tw, "\nTRANSACTION\tPROCESSES\tLONGEST STOP\tRPM-HELPER SAYS")
	for _, t := range []struct {
		name string
		transaction
	}{{"install " + p.OldVersion, out.Install}, {"upgrade to " + p.NewVersion, out.Upgrade}, {"erase", out.Erase}} {
		t.rows(tw, t.name)
	}
	return tw.Flush()
}

// rows are the lines of one transaction.
func (t transaction) rows(w io.Writer, name string) {
	stop := time.Duration(t.StoppedNS).Round(time.Microsecond)
	for i, line := range t.Lines {
		if i == 0 {
			fmt.Fprintf(w, "%s\t%d\t%v\t%s\n", name, len(t.Words), stop, line)
		} else {
			fmt.Fprintf(w, "\t\t\t%s\n", line)
		}
	}
	if len(t.Others) > 0 {
		fmt.Fprintf(w, "\t\t\t(beside the %d: %s)\n", len(t.Words), strings.Join(t.Others, ", "))
	}
}
