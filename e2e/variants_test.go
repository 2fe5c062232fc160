package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	capsTemplate = "! A private function, of every variant.\nhidden.so\n@/usr/lib64/libcaps.so.1\nhidden:hidden_lp\n"
	capsSource   = "struct point;\nconst char *hidden_lp(struct point *p) { (void)p; return \"patched\"; }\n"
	capsProgram  = `
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
extern const char *caps(void);
int main(void)
{
	struct pollfd in = {.fd = 0, .events = POLLIN};
	char c;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (;;) {
		puts(caps());
		if (poll(&in, 1, 1) > 0 && read(0, &c, 1) <= 0)
			return 0;
	}
}
`
	capsProject = `name: caps-livepatches
version: "1"
license: MIT
package: [libcaps1, libcaps2]
libraries: [/lib64/libcaps.so.1]
repositories:
  - {name: built, url: ../RPMS/x86_64, keys: [keys/key.asc]}
expect:
  hidden: {before: shipped, after: patched}
`
)

// TestVariantsOfARealPackage takes a private function of a library with variants for newer processors all the way. The
// package is made as a distribution makes it, by rpmbuild, find-debuginfo, dwz and rpmsign: debug symbols in a package
// of their own, what the variants share moved to a third file.
func TestVariantsOfARealPackage(t *testing.T) {
	needs(t, "gcc", "ld", "rpmbuild", "rpmsign", "find-debuginfo", "file", "dwz", "gpg", "gpgconf")
	dir := publicFolder(t)
	l := &lab{t: t, dir: dir, project: dir + "/project", cache: dir + "/cache", tmp: dir}
	signedCaps(t, dir)
	for name, text := range map[string]string{
		"lpbuild.yaml": capsProject, "livepatches/hidden/hidden.in": capsTemplate,
		"livepatches/hidden/hidden.c": capsSource, "livepatches/hidden/test.c": capsProgram,
		"keys/key.asc": string(readFile(t, dir+"/key.asc")),
	} {
		writeFile(t, l.project+"/"+name, text)
	}
	l.must("lpbuild", "download")
	l.must("lpbuild", "check")
	report := l.must("lpbuild", "test", "--rounds", "1")
	if n := strings.Count(report, "PASSED") + strings.Count(report, "SKIPPED"); n != 3 || !strings.Contains(report, "PASSED") {
		t.Errorf("%d of three variants:\n%s", n, report)
	}
	for _, variant := range []string{"glibc-hwcaps/x86-64-v2/", "glibc-hwcaps/x86-64-v3/", ""} {
		if list := l.must("lpbuild", "versions"); !strings.Contains(list, "/usr/lib64/"+variant+"libcaps.so.1") {
			t.Errorf("no /usr/lib64/%slibcaps.so.1 in\n%s", variant, list)
		}
	}
	records, err := filepath.Glob(l.project + "/versions/*.json")
	if err != nil || len(records) != 3 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for _, name := range records {
		for _, want := range []string{`"debug_source": "package"`, `"prototype": "const char *hidden(struct point *p)"`} {
			if !strings.Contains(string(readFile(t, name)), want) {
				t.Errorf("%s has no %s", name, want)
			}
		}
	}
}

// signedCaps builds and signs the packages of testdata/caps into RPMS/ of a folder, with key.asc beside.
func signedCaps(t *testing.T, dir string) {
	t.Helper()
	home := dir + "/gpg"
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	gpg, err := exec.LookPath("gpg")
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) {
		t.Helper()
		cmd := exec.Command(name, args...)
		cmd.Env = append(os.Environ(), "GNUPGHOME="+home)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
	}
	t.Cleanup(func() { run("gpgconf", "--homedir", home, "--kill", "all") })
	run("gpg", "--batch", "--passphrase", "", "--quick-gen-key", "caps@example.org", "rsa3072", "sign", "never")
	run("gpg", "--batch", "--armor", "--output", dir+"/key.asc", "--export")
	run("rpmbuild", "-bb", "--define", "_topdir "+dir, "testdata/caps/caps.spec")
	packages, err := filepath.Glob(dir + "/RPMS/x86_64/*.rpm")
	if err != nil || len(packages) != 2 {
		t.Fatalf("%v, %v", packages, err)
	}
	run("rpmsign", append([]string{"--define", "_gpg_name caps@example.org", "--define", "__gpg " + gpg, "--addsign"}, packages...)...)
}
