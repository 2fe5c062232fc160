package dist

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/lpbuild/lpbuild/livepatch"
	"github.com/lpbuild/lpbuild/rpmhook"
	"github.com/lpbuild/lpbuild/templates/rpm"
)

var texts = template.Must(template.New("").Funcs(template.FuncMap{
	// macro keeps rpmbuild from expanding what looks like a macro.
	"macro": func(s string) string { return strings.ReplaceAll(s, "%", "%%") },
}).ParseFS(rpm.Files, "*"))

// specData is what the templates see.
type specData struct {
	Package
	SetRoot, Manifest string
	// Date is the change log's, ChangesDate the same as the build service writes it.
	Date, ChangesDate string
	Changes           []string
	Requires          []string
	Scripts           []script
	ScriptRequires    []scriptRequire
	// Flavors are empty if the package is built in one piece.
	Flavors []flavor
}

// A flavor of the package on the build service makes one share of the builds.
type flavor struct {
	// Name is the flavor's, Shard the "i/n" of lpbuild make --shard.
	Name, Shard string
}

type script struct {
	Script rpmhook.Script
	Body   string
}

// A scriptRequire is a requirement of one scriptlet: RPM sees to it that the
// package is there before the scriptlet runs, also when both are erased together.
type scriptRequire struct {
	Script rpmhook.Script
	Name   string
}

func (p Package) specData() (*specData, error) {
	changes, err := p.changes()
	if err != nil {
		return nil, err
	}
	d := &specData{
		Package: p, SetRoot: rpmhook.SetRoot, Manifest: rpmhook.ManifestName, Changes: changes, Requires: p.requires(),
		Date: p.Time.Format("Mon Jan 02 2006"), ChangesDate: p.Time.Format("Mon Jan _2 15:04:05 UTC 2006"),
	}
	for i := range p.Shards {
		d.Flavors = append(d.Flavors, flavor{fmt.Sprintf("shard%d", i+1), fmt.Sprintf("%d/%d", i+1, p.Shards)})
	}
	for _, s := range rpmhook.Scripts {
		d.Scripts = append(d.Scripts, script{s, s.Body(p.Name)})
		d.ScriptRequires = append(d.ScriptRequires, scriptRequire{s, RuntimeName})
	}
	return d, nil
}

// requires are the requirements that no scriptlet is the reason for.
func (p Package) requires() []string {
	return append([]string{RuntimeName}, p.Requires...)
}

// render fills in one of the templates.
func render(name string, d *specData) ([]byte, error) {
	var b bytes.Buffer
	if err := texts.ExecuteTemplate(&b, name, d); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// changes are the lines of the change log: each live patch with the bug and CVE
// numbers in the comments of its description.
func (p Package) changes() ([]string, error) {
	root := os.DirFS(p.ProjectDir)
	descriptions, err := fs.Glob(root, "livepatches/*/*.in")
	if err != nil {
		return nil, err
	}
	slices.Sort(descriptions)
	var lines []string
	for _, file := range descriptions {
		src, err := fs.ReadFile(root, file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a link to nowhere: the archive refuses it with a better message
		}
		if err != nil {
			return nil, err
		}
		var comments []string
		for line := range strings.Lines(string(src)) {
			if text, ok := strings.CutPrefix(strings.TrimSpace(line), "!"); ok {
				comments = append(comments, text)
			}
		}
		line := strings.TrimSuffix(filepath.Base(file), ".in")
		if refs := livepatch.ScanReferences(comments); len(refs) > 0 {
			line = fmt.Sprintf("%s (%s)", line, strings.Join(refs, ", "))
		}
		lines = append(lines, line)
	}
	return lines, nil
}
