package demo

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lpbuild/lpbuild/e2e/fixture"
)

//go:embed testdata
var testdata embed.FS

const (
	oldVersion = "0.1"
	newVersion = "0.2"
)

// A project is a live-patch project of the demo.
type project struct {
	name  string // of the live-patch package
	dir   string // below Options.Dir; that of version 0.1 is the name
	patch string // the one live patch in it
	kind  fixture.Kind
	init  []string // arguments of lpbuild init beside repository and key
	// edits make version 0.2 of it.
	edits []edit
	// old, first and second are what a witness answers, unpatched ("" for
	// anything) and with the two versions.
	old, first, second string
}

// An edit replaces a text that must occur in a file.
type edit struct{ file, from, to string }

var projects = []project{
	{
		name: "glibc-livepatches", dir: "glibc-livepatches", patch: "malloc", kind: fixture.Glibc,
		init: []string{"--example", "malloc"},
		edits: []edit{
			{"livepatches/malloc/malloc.c", `"glibc-livepatch"`, `"glibc-livepatch-2"`},
			{"livepatches/malloc/test.c", `"glibc-livepatch"`, `"glibc-livepatch-2"`},
			{"lpbuild.yaml", "after: glibc-livepatch", "after: glibc-livepatch-2"},
		},
		old: "plain", first: "glibc-livepatch", second: "glibc-livepatch-2",
	},
	{
		name: "libgreet-livepatches", dir: "libgreet-livepatches", patch: "greet", kind: fixture.Greet,
		init: []string{
			"--name", "libgreet-livepatches", "--package", "libgreet1", "--library", "/usr/lib64/libgreet.so.1",
		},
		edits: []edit{
			{"livepatches/greet/greet.c", "good day", "good night"},
			{"livepatches/greet/greet.c", "1000", "2000"},
		},
		first: "good day, 1000", second: "good night, 2000",
	},
}

// A row is what lpbuild says of one build with --json.
type row struct {
	NEVRA     string `json:"nevra"`
	BuildID   string `json:"build_id"`
	Soname    string `json:"soname"`
	Entry     string `json:"entry"`
	Container string `json:"container"`
	Result    string `json:"result"`
	Reason    string `json:"reason"`
}

// lpbuild is a call of it on the project.
func (d *demo) lpbuild(p project, args ...string) command {
	argv := append([]string{filepath.Join(d.Bin, "lpbuild"), "-q", "-C", d.path(p.dir)}, args...)
	verb := args[0]
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			verb = a
			break
		}
	}
	return command{step: p.name + " " + verb, argv: argv, env: d.env}
}

// create makes the project and downloads its builds; a second download must
// fetch no package.
func (d *demo) create(ctx context.Context, p project, s *server, repo *fixture.Repository) error {
	args := append([]string{"init", "--repository", s.url, "--key", repo.KeyFile}, p.init...)
	if _, err := d.lpbuild(p, args...).run(ctx); err != nil {
		return err
	}
	if err := d.copyOut("testdata/"+p.patch, filepath.Join(d.path(p.dir), "livepatches", p.patch)); err != nil {
		return err
	}
	want := int64(2 * len(repo.Only(p.kind))) // each with its debug symbols
	for _, want := range []int64{want, 0} {
		before := s.packages.Load()
		c := d.lpbuild(p, "download")
		if _, err := c.run(ctx); err != nil {
			return err
		}
		if n := s.packages.Load() - before; n != want {
			return unexpected(c.step, "%d packages were fetched, expected %d", n, want)
		}
	}
	for _, args := range [][]string{{"--json", "versions"}, {"versions", "--new"}} {
		out, err := d.lpbuild(p, args...).run(ctx)
		if err != nil {
			return err
		}
		if n := strings.Count(out.stdout, "\n"); args[0] == "--json" && n != len(repo.Only(p.kind)) {
			return unexpected(p.name+" versions", "%d builds are listed, expected %d", n, len(repo.Only(p.kind)))
		}
	}
	d.say("%s: init, download: %d builds, %d packages verified; again: nothing fetched", p.name, len(repo.Only(p.kind)), want)
	return nil
}

// prove makes, checks and tests a version of the project, all offline.
func (d *demo) prove(ctx context.Context, p project, version string, builds []fixture.Build) ([]row, error) {
	var rows []row
	for _, stage := range []struct {
		verb string
		want string
	}{{"make", "BUILT"}, {"check", "OK"}, {"test", "PASSED"}} {
		c := d.lpbuild(p, "--offline", "--json", stage.verb)
		out, err := c.run(ctx)
		if err != nil {
			return nil, err
		}
		if rows, err = parseRows(out.stdout); err != nil {
			return nil, c.fail(out, err)
		}
		if err := allOf(rows, builds, stage.want); err != nil {
			return nil, c.fail(out, err)
		}
	}
	d.say("%s %s: make, check, test: %d of %d builds PASSED", p.name, version, len(rows), len(builds))
	return rows, nil
}

func parseRows(text string) ([]row, error) {
	var rows []row
	dec := json.NewDecoder(strings.NewReader(text))
	for dec.More() {
		var r row
		if err := dec.Decode(&r); err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// allOf checks that there is a row with that result for every build of the
// repository.
func allOf(rows []row, builds []fixture.Build, want string) error {
	seen := make(map[string]bool)
	for _, r := range rows {
		if r.Result != want {
			return fmt.Errorf("%s: %s instead of %s: %s", r.NEVRA, r.Result, want, r.Reason)
		}
		seen[r.NEVRA+" "+r.BuildID] = true
	}
	for _, b := range builds {
		if !seen[b.NEVRA+" "+b.BuildID] {
			return fmt.Errorf("%s with build-id %s is missing", b.NEVRA, b.BuildID)
		}
	}
	if len(rows) != len(builds) {
		return fmt.Errorf("%d rows for %d builds", len(rows), len(builds))
	}
	return nil
}

// revise makes version 0.2 of the project, in a folder of its own: the
// containers of 0.1 stay where the report says that they are.
func (d *demo) revise(ctx context.Context, p project) (project, error) {
	next := p
	next.dir = p.dir + "-" + newVersion
	if err := os.CopyFS(d.path(next.dir), os.DirFS(d.path(p.dir))); err != nil {
		return p, err
	}
	if _, err := d.lpbuild(next, "clean").run(ctx); err != nil {
		return p, err
	}
	return next, d.edit(next)
}

// edit makes the edits that are version 0.2.
func (d *demo) edit(p project) error {
	edits := append([]edit{{"lpbuild.yaml", fmt.Sprintf("version: %q", oldVersion), fmt.Sprintf("version: %q", newVersion)}}, p.edits...)
	for _, e := range edits {
		name := filepath.Join(d.path(p.dir), e.file)
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if !strings.Contains(string(text), e.from) {
			return unexpected(p.name+" "+newVersion, "%s does not hold %q", name, e.from)
		}
		if err := os.WriteFile(name, []byte(strings.ReplaceAll(string(text), e.from, e.to)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// copyOut copies a folder of testdata, if there is one, into dir.
func (d *demo) copyOut(from, dir string) error {
	entries, err := fs.ReadDir(testdata, from)
	if err != nil && !os.IsNotExist(err) || len(entries) == 0 {
		return nil // the project's files come from its example
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		text, err := testdata.ReadFile(from + "/" + e.Name())
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, e.Name()), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
