package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/e2e/fixture"
	"github.com/lpbuild/lpbuild/elfinfo"
)

// The patch says that OpenSSL is of another major version than it is.
const (
	majorTemplate = "major.so\n@/usr/lib64/libcrypto.so.3\nOPENSSL_version_major:major_lp\n"
	majorSource   = "unsigned int major_lp(void) { return 42; }\n"
	majorProgram  = `#include <poll.h>
#include <stdio.h>
#include <unistd.h>
unsigned int OPENSSL_version_major(void);
int main(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;

	setvbuf(stdout, NULL, _IOLBF, 0);
	do
		printf("%u\n", OPENSSL_version_major());
	while (poll(&in, 1, 10) <= 0 || read(STDIN_FILENO, &byte, 1) > 0);
	return 0;
}
`
	majorSettings = `
patches:
  - {name: major, versions: ">= 3.5"}
expect:
  major: {before: "3", after: "42"}
`
)

// Builds that are too new for this machine's C library are tested on one that the project has a build
// of, and are skipped for a reason where it has none.
func TestLibraryForNewerLibc(t *testing.T) {
	needs(t, "gcc", "ld", "createrepo_c", "apt-get", "dpkg-deb")
	openssl, err := fixture.New(t.Context(), fixture.Options{OpenSSL: true})
	if err != nil {
		t.Fatal(err)
	}
	glibc, err := fixture.New(t.Context(), fixture.Options{Glibc: true})
	if err != nil {
		t.Fatal(err)
	}
	alone := newLibcLab(t, "package: openssl-libs", openssl)
	alone.testsMajor(map[bool]string{true: "PASSED", false: "SKIPPED"}[machineHas(t, "GLIBC_2.38")])
	both := newLibcLab(t, "package: [openssl-libs, glibc]", openssl, glibc)
	both.testsMajor("PASSED")
}

// newLibcLab is a project for the packages of those repositories.
func newLibcLab(t *testing.T, packages string, repos ...*fixture.Repository) *lab {
	t.Helper()
	dir := publicFolder(t)
	l := &lab{t: t, dir: dir, project: dir + "/project", cache: dir + "/cache", tmp: dir}
	var text strings.Builder
	text.WriteString("name: major\nversion: \"1\"\nlicense: Apache-2.0\n" + packages + "\ndebug_package: none\n" +
		"libraries: [/usr/lib64/libcrypto.so.3, /usr/lib64/libcrypto.so.*, /lib64/libc.so.6]\nrepositories:\n")
	for i, repo := range repos {
		key := string(rune('a'+i)) + ".asc"
		writeFile(t, l.project+"/keys/"+key, string(readFile(t, repo.KeyFile)))
		text.WriteString("  - {name: " + key + ", url: \"file://" + repo.Dir + "\", keys: [keys/" + key + "]}\n")
	}
	writeFile(t, l.project+"/lpbuild.yaml", text.String()+majorSettings)
	for name, text := range map[string]string{"major.in": majorTemplate, "major.c": majorSource, "test.c": majorProgram} {
		writeFile(t, filepath.Join(l.project, "livepatches/major", name), text)
	}
	return l
}

// testsMajor tests the project; the builds that need GLIBC_2.38 must come to that result.
func (l *lab) testsMajor(want string) {
	l.t.Helper()
	l.must("lpbuild", "download")
	found := 0
	for _, row := range decodeRows(l.t, l.must("lpbuild", "--json", "test")) {
		if row.Result == "NOT-CONCERNED" {
			continue
		}
		found++
		if row.Result != want || want == "SKIPPED" && !strings.Contains(row.Reason, "GLIBC_2.38") {
			l.t.Errorf("%s: %s (%s), want %s", row.NEVRA, row.Result, row.Reason, want)
		}
	}
	if found == 0 {
		l.t.Error("no build of OpenSSL 3.5 or newer")
	}
}

// machineHas says whether this machine's C library has a symbol version.
func machineHas(t *testing.T, version string) bool {
	t.Helper()
	libc, err := elfinfo.Open(filepath.Join(machineLibc(t)(), "libc.so.6"))
	if err != nil {
		t.Fatal(err)
	}
	defer libc.Close()
	symbols, err := libc.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(symbols, func(s elfinfo.Symbol) bool { return s.Version == version })
}
