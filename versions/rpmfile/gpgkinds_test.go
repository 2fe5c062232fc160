package rpmfile

import (
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/versions/keyring"
)

// Real packages by rpmbuild, real keys and signatures by gpg, put into the
// package by rpmsign. The rpmsign of Debian 12 refuses ECDSA ("Unsupported PGP
// signature"): there the test puts gpg's signature of the header where rpm 6
// has it. Signatures of version 3, which gpg 2.2 makes no more, and those of
// RFC 9580 are made by hand elsewhere: see TestVerify and keyring.TestKinds.
func TestRealKeys(t *testing.T) {
	built := readFile(t, rpmbuild(t, "1"))
	for _, tt := range []keyCase{
		{name: "RSA 2048", key: []string{"rsa2048", "sign", "never"}, method: "RSA-2048/SHA-512 v4"},
		{name: "RSA 4096", key: []string{"rsa4096", "sign", "never"}, method: "RSA-4096/SHA-512 v4"},
		{name: "Ed25519", key: []string{"ed25519", "sign", "never"}, method: "EdDSA/SHA-256 v4"},
		{name: "NIST P-256", key: []string{"nistp256", "sign", "never"}, byHand: true, method: "ECDSA-P256/SHA-256 v4"},
		{name: "NIST P-384", key: []string{"nistp384", "sign", "never"}, byHand: true, method: "ECDSA-P384/SHA-384 v4"},
		{name: "NIST P-521", key: []string{"nistp521", "sign", "never"}, byHand: true, method: "ECDSA-P521/SHA-512 v4"},
		{name: "signing subkey", key: []string{"ed25519", "cert", "never"}, subkey: []string{"rsa2048", "sign", "never"},
			method: "RSA-2048/SHA-512 v4"},
		{name: "expired since", clock: "20200101T000000", key: []string{"ed25519", "sign", "1y"}, method: "EdDSA/SHA-256 v4"},
		{name: "revoked since", key: []string{"ed25519", "sign", "never"}, revoke: true, want: "revoked"},
		{name: "encryption only", key: []string{"rsa2048", "cert", "never"}, subkey: []string{"rsa2048", "encr", "never"}, want: "may not sign"},
		{name: "RSA 1024", key: []string{"rsa1024", "sign", "never"}, want: "RSA key of 1024 bits is too short"},
		{name: "DSA", key: []string{"dsa2048", "sign", "never"}, want: "DSA keys are too weak"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.try(t, built)
		})
	}
}

// A keyCase is one kind of key and what is to come of a package that it signs.
type keyCase struct {
	name   string
	clock  string
	key    []string // gpg --quick-generate-key
	subkey []string // gpg --quick-add-key
	revoke bool
	byHand bool
	method string // "" if refused
	want   string // in the error
}

func (c keyCase) try(t *testing.T, built []byte) {
	g := newGPG(t, c.clock, c.key...)
	if c.subkey != nil {
		g.run(nil, append([]string{"--quick-add-key", g.fpr}, c.subkey...)...)
	}
	signed := c.sign(g, built)
	if c.revoke {
		g.revoke()
	}
	ring, err := g.ring()
	var v Verification
	if err == nil {
		v, err = open(t, signed).Verify(ring)
	}
	if c.method == "" {
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Fatalf("%+v, %v; want %q", v, err, c.want)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if v.Signer.Method != c.method || v.Signer.Fingerprint != g.fpr || v.WholeFile || v.PayloadDigest != crypto.SHA256 {
		t.Errorf("%+v, want %s by %s", v, c.method, g.fpr)
	}
	if (v.Signer.Subkey != "") != (c.subkey != nil) {
		t.Errorf("subkey %q", v.Signer.Subkey)
	}
	if !c.byHand {
		g.rpmAgrees(signed)
	}
	if _, err := open(t, signed).Verify(new(keyring.Keyring)); !errors.Is(err, keyring.ErrUntrustedKey) {
		t.Errorf("without the key: %v", err)
	}
}

// sign returns the package as rpmsign, or by hand, would leave it.
func (c keyCase) sign(g *gpg, built []byte) []byte {
	switch {
	case c.byHand:
		p := open(g.t, built)
		return assemble(p.hdr.raw, built[p.payloadOffset:], map[uint32]tagValue{sigDSA: binaryTag(g.sign(p.hdr.raw))})
	case c.subkey != nil && c.subkey[1] != "sign":
		return built // there is nothing to sign with
	}
	file := filepath.Join(g.t.TempDir(), "tiny.rpm")
	if err := os.WriteFile(file, built, 0o644); err != nil {
		g.t.Fatal(err)
	}
	g.rpmsign(file)
	return readFile(g.t, file)
}
