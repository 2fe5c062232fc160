package rpmfile

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/versions/keyring"
)

// gpg is a GnuPG home folder with one key, as a distributor has it.
type gpg struct {
	t    testing.TB
	home string
	fpr  string   // fingerprint of the primary key
	at   []string // options that set the clock
}

// newGPG makes a key: the arguments are those of gpg --quick-generate-key
// behind the user id.
func newGPG(t testing.TB, clock string, key ...string) *gpg {
	t.Helper()
	need(t, "gpg")
	need(t, "gpgconf")
	home, err := os.MkdirTemp("", "gpg-") // t.TempDir is too long for the agent's socket
	if err != nil {
		t.Fatal(err)
	}
	g := &gpg{t: t, home: home}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		os.RemoveAll(home)
	})
	if clock != "" {
		g.at = []string{"--faked-system-time", clock}
	}
	g.run(nil, append([]string{"--quick-generate-key", "lab <lab@example.org>"}, key...)...)
	m := regexp.MustCompile(`(?m)^fpr:+([0-9A-F]{40}):`).FindSubmatch(g.run(nil, "--list-keys", "--with-colons"))
	if m == nil {
		t.Fatal("gpg lists no key")
	}
	g.fpr = string(m[1])
	return g
}

func (g *gpg) run(stdin []byte, args ...string) []byte {
	g.t.Helper()
	args = append(append([]string{"--homedir", g.home, "--batch", "--quiet", "--yes", "--passphrase", "", "--pinentry-mode", "loopback"}, g.at...), args...)
	cmd := exec.Command("gpg", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		g.t.Fatalf("gpg %v: %v\n%s", args, err, &stderr)
	}
	return out
}

// ring is the public key as the distributor would publish it now.
func (g *gpg) ring() (*keyring.Keyring, error) {
	return keyring.Parse(g.run(nil, "--export", "--armor"))
}

func (g *gpg) sign(data []byte) []byte {
	return g.run(data, "--local-user", g.fpr, "--detach-sign", "--output", "-")
}

// revoke publishes the revocation that gpg made with the key.
func (g *gpg) revoke() {
	g.t.Helper()
	b, err := os.ReadFile(filepath.Join(g.home, "openpgp-revocs.d", g.fpr+".rev"))
	if err != nil {
		g.t.Fatal(err)
	}
	g.run(bytes.Replace(b, []byte(":-----BEGIN"), []byte("-----BEGIN"), 1), "--import")
}

// rpmsign signs a package as distributors do.
func (g *gpg) rpmsign(file string) {
	g.t.Helper()
	need(g.t, "rpmsign")
	cmd := exec.Command("rpmsign", "--define", "_gpg_name "+g.fpr, "--define", "_gpg_path "+g.home, "--define", "__gpg /usr/bin/gpg",
		"--define", "_gpg_sign_cmd_extra_args "+strings.Join(append(g.at, "--no-tty"), " "), "--addsign", file)
	if out, err := cmd.CombinedOutput(); err != nil || bytes.Contains(out, []byte("error:")) {
		g.t.Fatalf("rpmsign: %v\n%s", err, out)
	}
}

// rpmAgrees wants rpm itself, with the key alone, to call the package signed.
func (g *gpg) rpmAgrees(data []byte) {
	g.t.Helper()
	need(g.t, "rpmkeys")
	dir := g.t.TempDir()
	file, key, db := filepath.Join(dir, "tiny.rpm"), filepath.Join(dir, "key.asc"), filepath.Join(dir, "db")
	for name, content := range map[string][]byte{file: data, key: g.run(nil, "--export", "--armor")} {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			g.t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"--import", key}, {"--define", "_pkgverify_level all", "--checksig", file}} {
		if out, err := exec.Command("rpmkeys", append([]string{"--dbpath", db}, args...)...).CombinedOutput(); err != nil {
			g.t.Errorf("rpmkeys %v: %v\n%s", args, err, out)
		}
	}
}

const tinySpec = `
%global debug_package %{nil}
Name: tiny
Version: 1.0
Release: 1
Summary: tiny
License: MIT
%description
tiny
%install
mkdir -p %{buildroot}/lib64
echo "library CONTENT" > %{buildroot}/lib64/libtiny.so.1
ln -s libtiny.so.1 %{buildroot}/lib64/libtiny.so
%files
/lib64/*
`

// rpmbuild makes a small package of that content and returns its file.
func rpmbuild(t testing.TB, content string) string {
	t.Helper()
	need(t, "rpmbuild")
	dir := t.TempDir()
	name := filepath.Join(dir, "tiny.spec")
	if err := os.WriteFile(name, []byte(strings.Replace(tinySpec, "CONTENT", content, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("rpmbuild", "-bb", "--nodeps", "--target", "x86_64", "--define", "_topdir "+dir, "--define", "__strip /bin/true", name)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(dir, "RPMS/x86_64/tiny-1.0-1.x86_64.rpm")
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
