package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/pipeline"
	"github.com/lpbuild/lpbuild/rpmhook"
	"github.com/lpbuild/lpbuild/versions"
)

// obsTimeout bounds one run of obs-build, which sets up a whole system first.
const obsTimeout = 5 * time.Minute

// A service is what the Open Build Service has of a project: a repository of
// packages to build with, and the sources. It builds with the real obs-build.
type service struct {
	lab  *lab
	dir  string
	spec string
	set  string // the name of the live-patch package
}

// TestBuildService builds a project on a build service, in shards, each in a
// fresh root of its own without network, and compares with what lpbuild makes
// here. A set that is not whole is refused.
//
// It takes a minute, so it runs only where LPBUILD_LONG is set: make e2e does.
func TestBuildService(t *testing.T) {
	if os.Getenv("LPBUILD_LONG") == "" {
		t.Skip("LPBUILD_LONG is not set")
	}
	needs(t, "obs-build", "rpmbuild", "rpm2cpio", "cpio", "unshare", "apt-cache", "dpkg")
	if os.Geteuid() != 0 {
		t.Skip("obs-build sets up a root as root")
	}
	l := newLab(t)
	l.must("lpbuild", "download")
	l.must("lpbuild", "make")
	shards := shardsWithBuilds(t, l.project)
	l.must("lpbuild", "dist", "--shards", strconv.Itoa(shards))

	s := newService(t, l)
	for i := range shards {
		s.keep(s.build(fmt.Sprintf("shard%d", i+1)))
	}
	got, want := s.files(s.build("")), containers(t, l.project+"/build")
	if len(want) < shards+1 {
		t.Fatalf("only %d files to compare", len(want))
	}
	for name, data := range want {
		if !bytes.Equal(got[name], data) {
			t.Errorf("%s of the build service (%d bytes) is not that of lpbuild make (%d bytes)", name, len(got[name]), len(data))
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("the build service made %s as well", name)
	}
	s.refusesOtherShard()
	s.refusesMissingShard()
}

// shardsWithBuilds is the least number of shards with which two of them have
// builds.
func shardsWithBuilds(t *testing.T, project string) int {
	t.Helper()
	records, err := versions.ReadRecords(project)
	if err != nil {
		t.Fatal(err)
	}
	for n := 2; n < 10; n++ {
		busy := 0
		for i := range n {
			if slices.ContainsFunc(records, func(b *elfinfo.Build) bool { return pipeline.Shard{I: i + 1, N: n}.Holds(b.BuildID) }) {
				busy++
			}
		}
		if busy > 1 {
			return n
		}
	}
	t.Fatalf("%d builds are all in one shard", len(records))
	return 0
}

// obsConfig is the project configuration: the distribution is one package.
const obsConfig = `Type: spec
Binarytype: rpm
Repotype: rpm-md
Preinstall: system
Support: system
Required: system
`

// lpbuildSpec packs the program under test.
const lpbuildSpec = `Name:    lpbuild
Version: 1
Release: 1
Summary: The program under test
License: none
AutoReqProv: no
%global __os_install_post %{nil}
%global debug_package %{nil}
%global _build_id_links none
%description
The program under test.
%install
install -D -m 0755 %{program} %{buildroot}/usr/bin/lpbuild
%files
/usr/bin/lpbuild
`

func newService(t *testing.T, l *lab) *service {
	t.Helper()
	specs, err := filepath.Glob(l.project + "/dist/*.spec")
	if err != nil || len(specs) != 1 {
		t.Fatalf("spec files: %v, %v", specs, err)
	}
	s := &service{lab: l, dir: l.dir + "/obs", spec: specs[0], set: strings.TrimSuffix(filepath.Base(specs[0]), ".spec")}
	if err := os.MkdirAll(s.dir+"/repo", 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, s.dir+"/rpm.conf", obsConfig)
	tool(t, "bash", "testdata/obs-system.sh", s.dir+"/repo")
	writeFile(t, s.dir+"/lpbuild.spec", lpbuildSpec)
	s.rpmbuild(s.dir+"/lpbuild.spec", "program "+bin+"/lpbuild")
	// What the scriptlets need is in the build root, too.
	l.must("lpbuild", "rpm", "--compress", "zstd", "--runtime", bin, "--output", s.dir)
	runtimes, err := filepath.Glob(s.dir + "/lpbuild-runtime-*.rpm")
	if err != nil || len(runtimes) != 1 {
		t.Fatalf("packages of the runtime: %v, %v", runtimes, err)
	}
	s.keep(runtimes[0])
	return s
}

// rpmbuild adds a package to the repository.
func (s *service) rpmbuild(spec string, defines ...string) {
	s.lab.t.Helper()
	args := []string{"--quiet", "-bb", "--define", "_topdir " + s.dir + "/rpmbuild", "--define", "_rpmdir " + s.dir + "/repo",
		"--define", "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm"}
	for _, d := range defines {
		args = append(args, "--define", d)
	}
	tool(s.lab.t, "rpmbuild", append(args, spec)...)
}

// run runs obs-build for one flavour, in namespaces of its own: no network is
// there, and no mount and no process is left.
func (s *service) run(flavor string) (string, error) {
	ctx, cancel := context.WithTimeout(s.lab.t.Context(), obsTimeout)
	defer cancel()
	args := []string{"--mount", "--pid", "--fork", "--net", "--kill-child", "obs-build", "--clean", "--no-checks", "--arch", "x86_64",
		"--dist", s.dir + "/rpm.conf", "--repo", s.dir + "/repo", "--root", s.dir + "/root", "--cachedir", s.dir + "/cache"}
	if flavor != "" {
		args = append(args, "--buildflavor", flavor)
	}
	cmd := exec.CommandContext(ctx, "unshare", append(args, s.spec)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.lab.dir, "TMPDIR=" + s.lab.tmp, "LC_ALL=C"}
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// build builds one flavour and returns its package.
func (s *service) build(flavor string) string {
	t := s.lab.t
	t.Helper()
	if log, err := s.run(flavor); err != nil {
		t.Fatalf("obs-build, flavour %q: %v\n%s", flavor, err, log)
	}
	want := s.set
	if flavor != "" {
		want += "-" + flavor
	}
	found, err := filepath.Glob(s.dir + "/root/home/abuild/rpmbuild/RPMS/x86_64/*.rpm")
	if err != nil || len(found) != 1 || !regexp.MustCompile(regexp.QuoteMeta(want)+`-\d`).MatchString(filepath.Base(found[0])) {
		t.Fatalf("flavour %q made %v, %v", flavor, found, err)
	}
	return found[0]
}

// keep puts a package into the repository, as the service does with what it
// has built.
func (s *service) keep(rpm string) {
	s.lab.t.Helper()
	if err := os.Rename(rpm, s.dir+"/repo/"+filepath.Base(rpm)); err != nil {
		s.lab.t.Fatal(err)
	}
}

// unpack returns a folder with the files of a package.
func (s *service) unpack(rpm string) string {
	s.lab.t.Helper()
	dir := s.lab.t.TempDir()
	cmd := exec.CommandContext(s.lab.t.Context(), "sh", "-c", `rpm2cpio "$1" | cpio -id --quiet --no-absolute-filenames`, "sh", rpm)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		s.lab.t.Fatalf("rpm2cpio %s: %v\n%s", rpm, err, out)
	}
	return dir
}

// files are the containers and the manifest in the package.
func (s *service) files(rpm string) map[string][]byte {
	s.lab.t.Helper()
	return containers(s.lab.t, filepath.Join(s.unpack(rpm), rpmhook.SetRoot, s.set))
}

// containers are the files in a folder, by name.
func containers(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if !e.IsDir() {
			files[e.Name()] = readFile(t, filepath.Join(dir, e.Name()))
		}
	}
	return files
}

// refuses builds the main flavour, which has to fail.
func (s *service) refuses(pattern string) {
	s.lab.t.Helper()
	log, err := s.run("")
	var failed *exec.ExitError
	if !errors.As(err, &failed) || !regexp.MustCompile(pattern).MatchString(log) {
		s.lab.t.Errorf("obs-build: %v; its log should match %q\n%s", err, pattern, log)
	}
}

// shardSpec packs a folder under the name of a shard.
const shardSpec = `Name:    %{shard}
Version: %{set_version}
Release: 2
Summary: A shard that somebody changed
License: none
AutoReqProv: no
%global __os_install_post %{nil}
%global debug_package %{nil}
%global _build_id_links none
%description
A shard that somebody changed.
%install
cp -a %{tree}/. %{buildroot}/
%files
/*
`

// refusesOtherShard changes one byte of a container in a shard's package.
func (s *service) refusesOtherShard() {
	t := s.lab.t
	t.Helper()
	for _, rpm := range s.shards() {
		tree := s.unpack(rpm)
		found, err := filepath.Glob(tree + "/usr/share/lpbuild/shards/*/*/*.so")
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			continue
		}
		if err := os.WriteFile(found[0], flipLast(readFile(t, found[0])), 0o644); err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(strings.TrimSuffix(filepath.Base(rpm), ".x86_64.rpm"), "-") // NAME-VERSION-RELEASE
		name, version := strings.Join(parts[:len(parts)-2], "-"), parts[len(parts)-2]
		if err := os.Remove(rpm); err != nil {
			t.Fatal(err)
		}
		writeFile(t, s.dir+"/shard.spec", shardSpec)
		s.rpmbuild(s.dir+"/shard.spec", "shard "+name, "set_version "+version, "tree "+tree)
		s.refuses(regexp.QuoteMeta(filepath.Base(found[0])) + `: SHA-256 [0-9a-f]{64}, the shard's manifest says`)
		return
	}
	t.Error("no shard has a container")
}

// refusesMissingShard takes a shard's package away.
func (s *service) refusesMissingShard() {
	s.lab.t.Helper()
	rpm := s.shards()[0]
	if err := os.Remove(rpm); err != nil {
		s.lab.t.Fatal(err)
	}
	s.refuses(`nothing provides ` + regexp.QuoteMeta(s.set) + `-shard1 = `)
}

// shards are the packages of shards in the repository.
func (s *service) shards() []string {
	s.lab.t.Helper()
	found, err := filepath.Glob(s.dir + "/repo/" + s.set + "-shard*.rpm")
	if err != nil || len(found) == 0 {
		s.lab.t.Fatalf("packages of shards: %v, %v", found, err)
	}
	return found
}
