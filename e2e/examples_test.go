package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/e2e/fixture"
	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions"
)

// An example is one of the example projects, and what it says of itself.
type example struct {
	name    string
	options fixture.Options
	kind    fixture.Kind
	cve     string
	// before and after are what its test program says of a build without the fix, and of one with it.
	before, after string
	// lack are the builds without the fix that the archive had when the example was made: some of them
	// must still be there.
	lack []string
}

// TestExampleZlib and TestExampleOpenSSL take an example all the way, on every build that shipped. What
// a build needs is found out by asking it, not from what anybody says of it.
func TestExampleZlib(t *testing.T) {
	testExample(t, example{
		name: "zlib", options: fixture.Options{Zlib: true}, kind: fixture.Zlib, cve: "CVE-2026-27171",
		before: "a negative length takes for ever", after: "a negative length is refused",
		lack: []string{"libz1-1.2.13-1.x86_64", "libz1-1.3.1-1.b1.x86_64"},
	})
}

func TestExampleOpenSSL(t *testing.T) {
	testExample(t, example{
		name: "openssl", options: fixture.Options{OpenSSL: true}, kind: fixture.OpenSSL, cve: "CVE-2025-69419",
		before: "writes before its buffer", after: "stays in its buffer",
		lack: []string{"openssl-libs-1.1.1w-0.deb11u1.x86_64", "openssl-libs-3.0.17-1~deb12u2.x86_64"},
	})
}

func testExample(t *testing.T, e example) {
	needs(t, "gcc", "ld", "createrepo_c", "apt-get", "dpkg-deb", "rpm", "rpm2cpio", "cpio")
	repo, err := fixture.New(t.Context(), e.options)
	if err != nil {
		t.Fatal(err)
	}
	l := exampleLab(t, e, repo)
	l.must("lpbuild", "download")
	libcs := []func() string{machineLibc(t), sync.OnceValue(newestLibc(t))}
	answers := l.askBuilds(e, repo, libcs)
	l.checkScan(answers, e)
	l.checkRows("check", answers, e)
	lack := l.checkRows("test", answers, e)
	l.must("lpbuild", "dist")
	l.must("lpbuild", "rpm")
	l.checkPackages(lack)
	l.buildsAlone(lack)
}

// exampleLab is a project that "lpbuild init --example" made.
func exampleLab(t *testing.T, e example, repo *fixture.Repository) *lab {
	t.Helper()
	dir := publicFolder(t)
	l := &lab{t: t, dir: dir, repo: repo.Dir, project: dir + "/project", cache: dir + "/cache", tmp: dir + "/tmp"}
	for _, d := range []string{l.project, l.tmp} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	url, stop, err := repo.Serve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	l.must("lpbuild", "init", "--example", e.name, "--repository", url, "--key", repo.KeyFile)
	return l
}

// askBuilds runs the example's test program on every build, as it shipped, and returns by build-id what
// each says: "" where the program cannot be linked, for want of a function that it calls.
func (l *lab) askBuilds(e example, repo *fixture.Repository, libcs []func() string) map[string]string {
	l.t.Helper()
	records, err := versions.ReadRecords(l.project)
	if err != nil {
		l.t.Fatal(err)
	}
	store, err := versions.OpenStore(filepath.Join(l.cache, "lpbuild"))
	if err != nil {
		l.t.Fatal(err)
	}
	program := filepath.Join(l.project, "livepatches", e.cve, "test.c")
	answers := map[string]string{}
	for _, shipped := range repo.Only(e.kind) {
		i := slices.IndexFunc(records, func(b *elfinfo.Build) bool { return string(b.BuildID) == shipped.BuildID })
		if i < 0 {
			l.t.Fatalf("no record of %s", shipped.NEVRA)
		}
		library, err := store.Library(records[i])
		if err != nil {
			l.t.Fatal(err)
		}
		answer := firstAnswer(l.t, program, library, libcs)
		l.t.Logf("%s: %q", shipped.NEVRA, answer)
		answers[shipped.BuildID] = answer
		if slices.Contains(shipped.Fixes, e.cve) && answer != e.after {
			l.t.Errorf("%s: the changelog names %s, the library says %q", shipped.NEVRA, e.cve, answer)
		}
		if slices.Contains(e.lack, shipped.NEVRA) && answer != e.before {
			l.t.Errorf("%s says %q, want %q", shipped.NEVRA, answer, e.before)
		}
	}
	return answers
}

// firstAnswer builds a test program for one library and returns the first line that it says. It takes
// the first C library that is new enough for the library.
func firstAnswer(t *testing.T, source, library string, libcs []func() string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	env := builder.ProgramEnv{Libraries: []string{library}}
	for _, libc := range libcs {
		env.LibraryDir = libc()
		err := builder.BuildProgram(t.Context(), source, program, env)
		if errors.Is(err, builder.ErrImport) {
			return ""
		}
		if err != nil {
			t.Fatal(err)
		}
		// Standard input is closed: the program ends after its first answer.
		out, err := exec.CommandContext(t.Context(), program).Output()
		var failed *exec.ExitError
		if errors.As(err, &failed) && needsNewerLibc.Match(failed.Stderr) {
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", library, err)
		}
		answer, _, _ := strings.Cut(string(out), "\n")
		return answer
	}
	t.Fatalf("%s runs with no glibc at hand", library)
	return ""
}

var needsNewerLibc = regexp.MustCompile("version `GLIBC_[0-9.]+' not found")

// machineLibc returns the folder of this machine's C library and loader.
func machineLibc(t *testing.T) func() string {
	return func() string {
		loader, err := filepath.EvalSymlinks("/lib64/ld-linux-x86-64.so.2")
		if err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(loader)
	}
}

// newestLibc unpacks the newest glibc that shipped.
func newestLibc(t *testing.T) func() string {
	return func() string {
		repo, err := fixture.New(t.Context(), fixture.Options{Glibc: true})
		if err != nil {
			t.Fatal(err)
		}
		builds := repo.Only(fixture.Glibc)
		dir := t.TempDir()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", `rpm2cpio "$1" | cpio -id --quiet --no-absolute-filenames`, "sh",
			filepath.Join(repo.Dir, builds[len(builds)-1].NEVRA+".rpm"))
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("rpm2cpio: %v\n%s", err, out)
		}
		return filepath.Join(dir, "lib64")
	}
}

// checkScan compares what lpbuild concludes from changelogs and code with what the builds say. It may not
// know, but it may not be wrong.
func (l *lab) checkScan(answers map[string]string, e example) {
	l.t.Helper()
	p := l.run("lpbuild", "--json", "scan", e.cve) // the exit code says whether all is known
	rows := decodeRows(l.t, p.stdout.String())
	said := map[string]string{"AFFECTED": e.before, "FIXED": e.after, "ABSENT": ""}
	found := map[string]int{}
	for _, row := range rows {
		found[row.Finding]++
		if want, known := said[row.Finding]; known && answers[row.BuildID] != want {
			l.t.Errorf("scan: %s is %s (%s), but says %q", row.NEVRA, row.Finding, row.Reason, answers[row.BuildID])
		}
	}
	if found["AFFECTED"] == 0 || found["FIXED"] == 0 {
		l.t.Errorf("scan: found %v, want builds of both kinds\n%s", found, p.stderr.String())
	}
}

// decodeRows reads what a program printed with --json.
func decodeRows(t *testing.T, text string) (rows []exampleRow) {
	t.Helper()
	lines := json.NewDecoder(strings.NewReader(text))
	for {
		var row exampleRow
		if err := lines.Decode(&row); errors.Is(err, io.EOF) {
			return rows
		} else if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
}

// An exampleRow is what is looked at of one row of a stage, or of a scan.
type exampleRow struct {
	NEVRA   string `json:"nevra"`
	BuildID string `json:"build_id"`
	Result  string `json:"result"`
	Finding string `json:"finding"`
	Reason  string `json:"reason"`
	Hammer  *struct {
		Patched uint64 `json:"patched"`
	} `json:"hammer"`
}

// checkRows runs a stage: the builds without the fix must do well in it, and no others be concerned. It
// returns the build-ids of those builds.
func (l *lab) checkRows(stage string, answers map[string]string, e example) (lack []string) {
	l.t.Helper()
	well := map[string]string{"check": "OK", "test": "PASSED"}[stage]
	for _, row := range decodeRows(l.t, l.must("lpbuild", "--json", stage)) {
		want := "NOT-CONCERNED"
		if answers[row.BuildID] == e.before {
			want = well
			lack = append(lack, row.BuildID)
		}
		if row.Result != want {
			l.t.Errorf("%s: %s is %s (%s), want %s: it says %q", stage, row.NEVRA, row.Result, row.Reason, want, answers[row.BuildID])
		}
		if row.Result == "PASSED" && (row.Hammer == nil || row.Hammer.Patched == 0) {
			l.t.Errorf("%s: nothing called the patched function meanwhile", row.NEVRA)
		}
	}
	if len(lack) == 0 {
		l.t.Errorf("%s: no build lacks the fix of %s any more: the example needs another CVE", stage, e.cve)
	}
	return lack
}

// checkPackages looks for the source package, and for one RPM with a container for each of the builds.
func (l *lab) checkPackages(builds []string) {
	l.t.Helper()
	rpms, err := filepath.Glob(filepath.Join(l.project, "dist", "*.rpm"))
	if err != nil || len(rpms) != 1 {
		l.t.Fatalf("packages: %v, %v", rpms, err)
	}
	out, err := exec.CommandContext(l.t.Context(), "rpm", "--dbpath", l.tmp, "-qpl", rpms[0]).CombinedOutput()
	if err != nil {
		l.t.Fatalf("rpm -qpl %s: %v\n%s", rpms[0], err, out)
	}
	if n := strings.Count(string(out), ".so\n"); n != len(builds) {
		l.t.Errorf("%d containers for %d builds:\n%s", n, len(builds), out)
	}
	for _, id := range builds {
		if !strings.Contains(string(out), "_"+id[:8]+".so\n") {
			l.t.Errorf("no container for build-id %s:\n%s", id, out)
		}
	}
	for _, pattern := range []string{"*.spec", "*.tar.xz"} {
		if found, err := filepath.Glob(filepath.Join(l.project, "dist", pattern)); err != nil || len(found) != 1 {
			l.t.Errorf("%s: %v, %v", pattern, found, err)
		}
	}
}

// buildsAlone makes the containers from the source package alone, as a build service does: no network and
// nothing in the cache.
func (l *lab) buildsAlone(builds []string) {
	l.t.Helper()
	tarballs, err := filepath.Glob(filepath.Join(l.project, "dist", "*.tar.xz"))
	if err != nil || len(tarballs) != 1 {
		l.t.Fatalf("source packages: %v, %v", tarballs, err)
	}
	alone := *l
	alone.project, alone.cache = l.dir+"/alone", l.dir+"/empty"
	if err := os.Mkdir(alone.project, 0o755); err != nil {
		l.t.Fatal(err)
	}
	tool(l.t, "tar", "-xJf", tarballs[0], "--strip-components=1", "-C", alone.project)
	alone.must("lpbuild", "--offline", "make")
	made, err := filepath.Glob(filepath.Join(alone.project, "build", "*.so"))
	if err != nil || len(made) != len(builds) {
		l.t.Fatalf("the source package makes %q (%v), want a container for each of %d builds", made, err, len(builds))
	}
	for _, name := range made {
		if want := filepath.Join(l.project, "build", filepath.Base(name)); !bytes.Equal(readFile(l.t, name), readFile(l.t, want)) {
			l.t.Errorf("%s is not what the project makes", filepath.Base(name))
		}
	}
}
