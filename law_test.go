// Package lpbuild_test holds the laws of the repository as a whole: which package may import which, and that the
// documents name what is there.
package lpbuild_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/lpbuild/lpbuild/"

// law lists every package with the packages of this module that it may import. Arrows lead down only. What is below
// e2e and bench may import anything, and nothing imports it.
var law = map[string][]string{
	"bench":            {"*"},
	"builder":          {"elfinfo", "livepatch", "templates"},
	"cmd/internal/cli": {},
	"cmd/internal/ulp": {"cmd/internal/cli", "elfinfo", "injector", "injector/fnmatch", "livepatch", "livepatch/packer",
		"livepatch/trust"},
	"cmd/lpbuild":      {"builder", "cmd/internal/cli", "elfinfo", "examples", "livepatch", "livepatch/packer", "pipeline", "versions"},
	"cmd/lpctl":        {"cmd/internal/cli", "cmd/internal/ulp", "injector", "livepatch", "livepatch/trust"},
	"cmd/rpm-helper":   {"cmd/internal/cli", "rpmhook"},
	"e2e":              {"*"},
	"elfinfo":          {},
	"examples":         {},
	"injector":         {"elfinfo", "injector/fnmatch", "livepatch"},
	"injector/fnmatch": {},
	"livepatch":        {},
	"livepatch/packer": {"elfinfo", "livepatch"},
	"livepatch/trust":  {},
	"pipeline": {"builder", "elfinfo", "examples", "injector", "livepatch", "pipeline/dist", "rpmhook", "templates",
		"templates/report", "versions"},
	"pipeline/dist":    {"livepatch", "rpmhook", "templates/rpm"},
	"rpmhook":          {"injector", "livepatch", "livepatch/trust"},
	"templates":        {},
	"templates/report": {},
	"templates/rpm":    {},
	"versions":         {"elfinfo", "versions/keyring", "versions/rpmfile", "versions/rpmmd"},
	"versions/keyring": {},
	"versions/rpmfile": {"versions/keyring"},
	"versions/rpmmd":   {"versions/keyring", "versions/rpmfile"},
}

// guarded lists who may start programs, talk to the network, read and write packages, and read a command line.
var guarded = map[string][]string{
	"os/exec":                      {"bench", "builder", "e2e", "pipeline", "pipeline/dist"},
	"net":                          {"e2e"},
	"net/http":                     {"e2e", "versions/rpmmd"},
	"github.com/hashicorp":         {"versions/rpmmd"},
	"github.com/ProtonMail":        {"e2e", "versions/keyring"},
	"github.com/google/rpmpack":    {"e2e", "pipeline/dist"},
	"github.com/urfave/cli":        {"cmd/internal/cli", "cmd/internal/ulp", "cmd/lpbuild", "cmd/lpctl"},
	"github.com/vbauerster/mpb":    {"cmd/lpbuild"},
	"github.com/jedib0t/go-pretty": {"cmd/internal/cli", "cmd/lpbuild", "e2e"},
}

// production is the code that runs inside somebody else's host as root. Whatever it links, down to the last package,
// comes from here or from the standard library, the network and other programs excepted.
var (
	production = []string{"elfinfo", "injector", "injector/fnmatch", "livepatch", "livepatch/packer", "livepatch/trust",
		"rpmhook"}
	productionModules = []string{"golang.org/x/arch", "golang.org/x/crypto/md4", "golang.org/x/net/bpf", "golang.org/x/sync",
		"golang.org/x/sys"}
	productionNever = []string{"net", "os/exec", "plugin", "go"} // "go" is the compiler's front end, go/parser and so on
)

// goPackage is what go list says of one package.
type goPackage struct {
	ImportPath                               string
	Imports, Deps, TestImports, XTestImports []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	watch(t)
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json", "./...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.ImportPath+"/" != module { // these tests
			p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		t.Fatal("go list found no packages")
	}
	return all
}

// watch looks at every folder with sources. The cache of go test notices changes only of files that the test itself
// has looked at; what go list reads on its behalf does not count.
func watch(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && slices.Contains([]string{".git", "bin", "build", "dist"}, name) {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// below says whether a package is the named one or below it.
func below(pkg string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return pkg == n || strings.HasPrefix(pkg, n+"/") })
}

func TestImportLaw(t *testing.T) {
	for _, p := range packages(t) {
		entry := p.ImportPath
		for _, free := range []string{"bench", "e2e"} {
			if below(entry, []string{free}) {
				entry = free
			}
		}
		allowed, listed := law[entry]
		if !listed {
			t.Errorf("%s is not in the law: add it to law_test.go and to ARCHITECTURE.md", p.ImportPath)
		}
		for word := range strings.SplitSeq(p.ImportPath, "/") {
			if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "misc"}, word) {
				t.Errorf("%s: %q says nothing about what is in it", p.ImportPath, path.Base(p.ImportPath))
			}
		}
		for _, imported := range p.Imports {
			if own, ok := strings.CutPrefix(imported, module); ok && !slices.Contains(allowed, own) && !slices.Contains(allowed, "*") {
				t.Errorf("%s must not import %s", p.ImportPath, own)
			}
			for what, who := range guarded {
				exact := !strings.Contains(what, ".")
				if (imported == what || !exact && below(imported, []string{what})) && !slices.Contains(who, entry) {
					t.Errorf("%s must not import %s", p.ImportPath, imported)
				}
			}
		}
	}
}

func TestProductionCodeLinksLittle(t *testing.T) {
	found := 0
	for _, p := range packages(t) {
		if !slices.Contains(production, p.ImportPath) {
			continue
		}
		found++
		for _, dep := range p.Deps {
			first, _, _ := strings.Cut(dep, "/")
			foreign := strings.Contains(first, ".") && !strings.HasPrefix(dep, module)
			if foreign && !below(dep, productionModules) || below(dep, productionNever) {
				t.Errorf("%s links %s", p.ImportPath, dep)
			}
		}
	}
	if found != len(production) {
		t.Errorf("found %d of the packages %v", found, production)
	}
}
