package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	twinTemplate = "twin.so\n@/usr/lib64/libtwin.so.1\ntwin:twin_lp\n#hidden:hidden\n"
	twinSource   = "static int (*volatile hidden)(int);\nint twin_lp(int x) { return hidden(x) + 100; }\n"
	twinProject  = `name: twin-livepatches
version: "1"
license: MIT
package: libtwin1
debug_package: libtwin1-debuginfo
libraries: [/usr/lib64/libtwin.so.1]
repositories:
  - {name: ga, url: ../ga, keys: [keys/key.asc]}
  - {name: update, url: ../update, keys: [keys/key.asc]}
`
)

// A twin is one build of testdata/twin.
type twin struct {
	version     string
	content, id string
	// debugContent and debugID are "" if the debug symbols are those of the build.
	debugContent, debugID string
	more                  bool // the debug symbols are of a larger library
}

// Two build-ids, as the linker takes them.
var (
	idA = strings.Repeat("a1", 20)
	idB = strings.Repeat("b2", 20)
)

// A vendor is somebody who ships builds: with rpmbuild, rpmsign, createrepo_c and gpg.
type vendor struct {
	t   *testing.T
	dir string // packages are below it, key.asc and GnuPG's folder are in it
}

// newVendor makes a project on the repositories ga and update of a vendor.
func newVendor(t *testing.T) (*lab, *vendor) {
	t.Helper()
	needs(t, "gcc", "objcopy", "strip", "rpmbuild", "rpmsign", "createrepo_c", "modifyrepo_c", "prlimit", "gpg", "gpgconf")
	dir := publicFolder(t)
	l := &lab{t: t, dir: dir, project: dir + "/project", cache: dir + "/cache", tmp: dir + "/tmp"}
	v := &vendor{t: t, dir: dir}
	home := dir + "/gpg"
	if err := errors.Join(os.Mkdir(home, 0o700), os.Mkdir(l.tmp, 0o777)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { v.tool("gpgconf", "--homedir", home, "--kill", "all") })
	v.tool("gpg", "--homedir", home, "--batch", "--passphrase", "", "--quick-gen-key", "twin@example.org", "rsa2048", "sign", "never")
	v.tool("gpg", "--homedir", home, "--batch", "--armor", "--output", dir+"/key.asc", "--export")
	for name, text := range map[string]string{
		"lpbuild.yaml": twinProject, "livepatches/twin/twin.in": twinTemplate, "livepatches/twin/twin.c": twinSource,
		"keys/key.asc": string(readFile(t, dir+"/key.asc")),
	} {
		writeFile(t, l.project+"/"+name, text)
	}
	return l, v
}

func (v *vendor) tool(name string, args ...string) {
	v.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "GNUPGHOME="+v.dir+"/gpg")
	if out, err := cmd.CombinedOutput(); err != nil {
		v.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// ship builds and signs the packages of a build, in a repository.
func (v *vendor) ship(repository string, b twin) {
	v.t.Helper()
	if b.debugID == "" {
		b.debugContent, b.debugID = b.content, b.id
	}
	top, err := os.MkdirTemp(v.dir, "rpmbuild-")
	if err != nil {
		v.t.Fatal(err)
	}
	args := []string{"-bb"}
	for _, define := range []string{"_topdir " + top, "_rpmdir " + v.dir + "/" + repository, "v " + b.version, "content " + b.content,
		"id " + b.id, "debugcontent " + b.debugContent, "debugid " + b.debugID} {
		args = append(args, "--define", define)
	}
	if b.more {
		args = append(args, "--define", "code -DMORE")
	}
	v.tool("rpmbuild", append(args, "testdata/twin/twin.spec")...)
	packages, err := filepath.Glob(fmt.Sprintf("%s/%s/x86_64/*-%s-1.x86_64.rpm", v.dir, repository, b.version))
	if err != nil || len(packages) != 2 {
		v.t.Fatalf("%v, %v", packages, err)
	}
	gpg, err := exec.LookPath("gpg")
	if err != nil {
		v.t.Fatal(err)
	}
	v.tool("rpmsign", append([]string{"--define", "_gpg_name twin@example.org", "--define", "__gpg " + gpg, "--addsign"}, packages...)...)
}

// publish writes the metadata of a repository with that time, and signs it.
func (v *vendor) publish(repository string, revision int) {
	v.t.Helper()
	dir := filepath.Join(v.dir, repository)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		v.t.Fatal(err)
	}
	v.tool("createrepo_c", "--quiet", "--no-database", "--set-timestamp-to-revision", "--revision", fmt.Sprint(revision), dir)
	v.sign(repository)
}

func (v *vendor) sign(repository string) {
	v.t.Helper()
	v.tool("gpg", "--batch", "--yes", "--armor", "--detach-sign", filepath.Join(v.dir, repository, "repodata", "repomd.xml"))
}

// TestOneNEVRATwoContents: both builds have shipped, so both get their container.
func TestOneNEVRATwoContents(t *testing.T) {
	t.Parallel()
	l, v := newVendor(t)
	v.ship("ga", twin{version: "1.0", content: "1", id: idA})
	v.ship("update", twin{version: "1.0", content: "2", id: idB})
	v.publish("ga", 1000)
	v.publish("update", 1000)
	p := l.run("lpbuild", "-q", "download")
	if text := p.stderr.String(); p.code != 0 || !regexp.MustCompile(`(?m)^warning: two packages of one name have different builds; both are kept: package libtwin1-1\.0-1\.x86_64, .*(\(ga\).*\(update\)|\(update\).*\(ga\))`).MatchString(text) {
		t.Fatalf("exit code %d\n%s", p.code, text)
	}
	l.must("lpbuild", "make")
	for _, id := range []string{idA, idB} {
		if found, err := filepath.Glob(l.project + "/build/*_libtwin1-1.0-1.x86_64_*_" + id[:8] + ".so"); err != nil || len(found) != 1 {
			t.Errorf("containers for %s: %v, %v", id, found, err)
		}
	}
	if list := l.must("lpbuild", "versions"); strings.Count(list, "COVERED") != 2 {
		t.Errorf("not both are covered:\n%s", list)
	}
}

// TestOneBuildIDTwoContents: a live patch made for one of them would go into the other, so nothing is recorded, whoever
// signed it.
func TestOneBuildIDTwoContents(t *testing.T) {
	t.Parallel()
	l, v := newVendor(t)
	v.ship("ga", twin{version: "1.0", content: "1", id: idA})
	v.publish("ga", 1000)
	v.publish("update", 1000)
	l.must("lpbuild", "download")
	v.ship("update", twin{version: "1.1", content: "2", id: idA})
	v.publish("update", 2000)
	l.refuses(refusal{code: 12, error: `build-id ` + idA + `: .*libtwin1-1\.0-1\.x86_64.* and .*libtwin1-1\.1-1\.x86_64`,
		hint: "ask the vendor which is right"}, "lpbuild", "download")
}

// TestDebugSymbolsOfAnotherBuild: addresses of private functions are never taken from them.
func TestDebugSymbolsOfAnotherBuild(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		second  twin
		warning string
	}{
		{"another build-id", twin{version: "1.1", content: "2", id: idB, debugContent: "3", debugID: strings.Repeat("c3", 20)},
			`build-id "c3c3c3.*is "b2b2b2`},
		{"a build-id that is not its own", twin{version: "1.1", content: "2", id: idB, debugContent: "2", debugID: idB, more: true},
			`section "\.text" has \d+ bytes`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, v := newVendor(t)
			v.ship("ga", twin{version: "1.0", content: "1", id: idA})
			v.ship("update", tt.second)
			v.publish("ga", 1000)
			v.publish("update", 1000)
			p := l.run("lpbuild", "-q", "download")
			want := regexp.MustCompile(`(?m)^warning: debug symbols that are not of the library: package libtwin1-debuginfo-1\.1-1\.x86_64, .*` + tt.warning)
			if text := p.stderr.String(); p.code != 0 || !want.MatchString(text) {
				t.Errorf("exit code %d\n%s", p.code, text)
			}
			l.refuses(refusal{code: 3, error: `^1 of 2 failed; the first: twin: libtwin1-1\.1-1\.x86_64: variable "hidden": not recorded`,
				stdout: `FAILED +twin +libtwin1-1\.1-1\.x86_64 .*"hidden"`, wrote: []string{"build/*_libtwin1-1.0-1.x86_64_*.so"}}, "lpbuild", "make")
		})
	}
}

// TestRepositoryThatForgets: a build that has shipped stays, and gets its container, when its repository drops it or
// goes back to a time before it; that a repository goes back is an error until it is accepted.
func TestRepositoryThatForgets(t *testing.T) {
	t.Parallel()
	l, v := newVendor(t)
	v.ship("ga", twin{version: "1.0", content: "1", id: idA})
	v.ship("update", twin{version: "1.1", content: "2", id: idB})
	v.publish("ga", 1000)
	v.publish("update", 2000)
	l.must("lpbuild", "download")
	if err := os.RemoveAll(v.dir + "/update/x86_64"); err != nil {
		t.Fatal(err)
	}
	v.publish("update", 1000)
	l.refuses(refusal{code: 15, error: `repository update: .*older than before`, hint: `--accept-older REPOSITORY`}, "lpbuild", "download")
	l.refuses(refusal{code: 15, error: `repository update: .*older than before`, hint: `--accept-older REPOSITORY`}, "lpbuild", "versions", "--new")
	p := l.run("lpbuild", "-q", "download", "--accept-older", "update")
	if text := p.stderr.String(); p.code != 0 || !strings.Contains(text, "left the repositories; it has shipped and stays in versions.lock: package libtwin1-1.1-1.x86_64") {
		t.Fatalf("exit code %d\n%s", p.code, text)
	}
	l.must("lpbuild", "make")
	if list := l.must("lpbuild", "versions"); !regexp.MustCompile(`(?m)^libtwin1-1\.1-1\.x86_64 .* COVERED,REMOVED`).MatchString(list) {
		t.Errorf("the build that was dropped is not covered:\n%s", list)
	}
}

// TestMetadataBombs: metadata that unpacks to far more than it may, or nests without end, is refused before it costs
// memory, although its vendor signed it.
func TestMetadataBombs(t *testing.T) {
	t.Parallel()
	const most = 384 << 20 // bytes of data, of which Go takes a good part for itself
	l, v := newVendor(t)
	v.publish("ga", 1000)
	v.publish("update", 1000)
	const retry, report = "try again later", "tell who runs the repository"
	for _, tt := range []struct {
		text        string
		told        bool
		error, hint string
	}{
		{strings.Repeat(" ", 64<<20), false, `larger than`, retry},
		{"<metadata><package>" + strings.Repeat("x", 64<<20), false, `larger than`, retry},
		{strings.Repeat(" ", 64<<20), true, `\d+ bytes are said to open to \d+`, report},
		{"<metadata><package>" + strings.Repeat("<a>", 8<<20), true, `(nest|deep)`, report},
		{"<metadata><package>" + strings.Repeat("x", 30<<20), true, `element`, report},
		{`<!DOCTYPE x [<!ENTITY a "` + strings.Repeat("a", 1<<20) + `">]><metadata>&a;</metadata>`, true, `document type`, report},
	} {
		v.replacePrimary("update", tt.text, tt.told)
		l.refuses(refusal{code: 15, error: `repository update: .*primary.*: .*` + tt.error, hint: tt.hint},
			"prlimit", fmt.Sprintf("--data=%d", most), filepath.Join(bin, "lpbuild"), "download")
	}
}

// openSize is what repomd.xml says of metadata once it is unpacked.
var openSize = regexp.MustCompile(`<open-size>\d+</open-size>`)

// replacePrimary makes a text the primary.xml of a repository and signs that; told: with the size of the text.
func (v *vendor) replacePrimary(repository, text string, told bool) {
	v.t.Helper()
	primary := v.dir + "/primary.xml"
	writeFile(v.t, primary, text)
	repodata := filepath.Join(v.dir, repository, "repodata")
	v.tool("modifyrepo_c", "--mdtype", "primary", "--compress-type", "gz", primary, repodata)
	repomd := repodata + "/repomd.xml"
	if !told {
		writeFile(v.t, repomd, openSize.ReplaceAllString(string(readFile(v.t, repomd)), ""))
	}
	v.sign(repository)
}
