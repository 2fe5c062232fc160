package versions

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lpbuild/lpbuild/versions/rpmfile"
)

// gpg runs gpg in a home folder of its own and returns what it prints.
func gpg(t *testing.T, home string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("gpg", append([]string{"--homedir", home, "--batch", "--quiet", "--yes", "--passphrase", "", "--pinentry-mode", "loopback"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("gpg %v: %v\n%s", args, err, &stderr)
	}
	return out
}

// newGPG makes a key of that kind and returns the home folder and the
// fingerprint.
func newGPG(t *testing.T, name, kind string) (home, fingerprint string) {
	t.Helper()
	need(t, "gpg", "gpgconf", "rpmsign")
	home, err := os.MkdirTemp("", "gpg-") // t.TempDir is too long for the agent's socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		os.RemoveAll(home)
	})
	gpg(t, home, "--quick-generate-key", name, kind, "sign", "never")
	m := regexp.MustCompile(`(?m)^fpr:+([0-9A-F]{40}):`).FindSubmatch(gpg(t, home, "--list-keys", "--with-colons"))
	return home, string(m[1])
}

// The whole chain with the programs that distributors use: packages signed by
// rpmsign with one key, metadata made by createrepo_c and signed by gpg with
// another. What is told of each layer is what gpg did.
func TestLayers(t *testing.T) {
	t.Parallel()
	l := newLab(t, "1.9")
	repoHome, repoKey := newGPG(t, "repository <r@example.org>", "rsa2048")
	packageHome, packageKey := newGPG(t, "packages <p@example.org>", "ed25519")
	for _, name := range []string{"demo-1.9-1.x86_64.rpm", "demo-debuginfo-1.9-1.x86_64.rpm"} {
		out, err := exec.Command("rpmsign", "--define", "_gpg_name "+packageKey, "--define", "_gpg_path "+packageHome,
			"--define", "__gpg /usr/bin/gpg", "--resign", filepath.Join(l.repo, name)).CombinedOutput()
		if err != nil || bytes.Contains(out, []byte("error:")) {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	l.index()
	gpg(t, repoHome, "--armor", "--detach-sign", filepath.Join(l.repo, "repodata/repomd.xml"))
	keys := append(gpg(t, repoHome, "--armor", "--export"), gpg(t, packageHome, "--armor", "--export")...)
	l.writeTo(filepath.Join(l.project, "keys/lab.asc"), keys)
	link := func(prefix string) []Layer {
		return []Layer{
			{Of: prefix + "repomd.xml", Proof: "RSA-2048/SHA-512 v4", Key: repoKey},
			{Of: prefix + "primary.xml", Proof: "SHA-256"},
			{Of: prefix + "package", Proof: "SHA-256"},
			{Of: prefix + "header", Proof: "EdDSA/SHA-256 v4", Key: packageKey},
			{Of: prefix + "payload", Proof: "SHA-256"},
		}
	}
	lock := l.download("hidden")
	if diff := cmp.Diff(append(link(""), link("debug ")...), lock.Builds[0].Layers); diff != "" {
		t.Error(diff)
	}
	if b := lock.Builds[0]; b.SignedBy != packageKey || b.DebugSignedBy != packageKey || lock.Repositories[0].SignedBy != repoKey {
		t.Errorf("%+v", lock)
	}
	// Nothing new: the library's package is proved again all the same.
	if diff := cmp.Diff(link(""), l.download("hidden").Builds[0].Layers); diff != "" {
		t.Error(diff)
	}
	offline := l.options()
	offline.Offline = true
	lock, err := Download(ctx, l.request("hidden"), offline)
	if err != nil {
		t.Fatal(err)
	}
	want := append([]Layer{{Of: LockFile, Proof: "SHA-256"}}, link("")[2:]...)
	if diff := cmp.Diff(want, lock.Builds[0].Layers); diff != "" {
		t.Error(diff)
	}
	// In a folder of packages nothing stands above a package's own signature.
	if err := os.RemoveAll(filepath.Join(l.repo, "repodata")); err != nil {
		t.Fatal(err)
	}
	req := l.request("hidden")
	req.Repositories[0] = Repository{Name: "folder", URL: l.repo, Keys: req.Repositories[0].Keys}
	if lock, err = Download(ctx, req, l.options()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(link("")[3:], lock.Builds[0].Layers); diff != "" {
		t.Error(diff)
	}
}

// Packages made before rpm 4.14 have no digest of their payload: what proves
// them is a signature over all of it.
func TestLayersOfOldPackages(t *testing.T) {
	t.Parallel()
	v := rpmfile.Verification{WholeFile: true}
	v.Signer.Method, v.Signer.Fingerprint = "RSA-2048/SHA-256 v3", "F"
	want := []Layer{{Of: "header", Proof: "RSA-2048/SHA-256 v3", Key: "F"}, {Of: "payload", Proof: "RSA-2048/SHA-256 v3", Key: "F"}}
	if diff := cmp.Diff(want, packageLayers(offer{}, v)); diff != "" {
		t.Error(diff)
	}
}
