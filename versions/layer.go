package versions

import (
	"fmt"
	"strings"

	"github.com/lpbuild/lpbuild/versions/rpmfile"
	"github.com/lpbuild/lpbuild/versions/rpmmd"
)

// A Layer is one link of the chain that proves a build, as this run checked it.
type Layer struct {
	// Of is what was checked: "repomd.xml", "primary.xml", "package", "header",
	// "payload", or "versions.lock" where that stands in for a repository that
	// was not asked. Those of the debug symbols begin with "debug ".
	Of string `json:"of"`
	// Proof is how: a digest ("SHA-256"), or key algorithm, digest and version of
	// a signature ("RSA-4096/SHA-512 v4").
	Proof string `json:"proof"`
	// Key is the fingerprint of the primary key that signed, Subkey that of its
	// subkey if that did; both are empty for digests.
	Key    string `json:"key,omitempty"`
	Subkey string `json:"subkey,omitempty"`
}

// metadataLayers are what stands above a package in its repository: nothing in
// a folder of packages, metadata without a signature where the project allows it.
func metadataLayers(p rpmmd.Provenance, unsigned bool) []Layer {
	if p.Signer.Fingerprint == "" {
		if unsigned {
			return []Layer{{Of: "repomd.xml", Proof: "not signed"}}
		}
		return nil
	}
	return []Layer{
		{Of: "repomd.xml", Proof: p.Signer.Method, Key: p.Signer.Fingerprint, Subkey: p.Signer.Subkey},
		{Of: "primary.xml", Proof: digestName(p.Primary)},
	}
}

// digestName names a digest as signatures name theirs.
func digestName(c rpmmd.Checksum) string {
	return strings.ToUpper(strings.Replace(c.Type, "sha", "sha-", 1))
}

// packageLayers are what was proved of one package file.
func packageLayers(o offer, v rpmfile.Verification) []Layer {
	layers := append([]Layer(nil), o.metadata...)
	if len(o.metadata) > 0 {
		layers = append(layers, Layer{Of: "package", Proof: digestName(o.pkg.Checksum)})
	}
	header := Layer{Of: "header", Proof: v.Signer.Method, Key: v.Signer.Fingerprint, Subkey: v.Signer.Subkey}
	payload := Layer{Of: "payload", Proof: fmt.Sprint(v.PayloadDigest)}
	if v.WholeFile {
		payload = header
		payload.Of = "payload"
	}
	return append(layers, header, payload)
}

// answerLayers are what is known of a debug file that a debuginfod server gave:
// nobody signed it, it was held against the library.
func answerLayers() []Layer {
	return []Layer{{Of: "debug file", Proof: "not signed, held against the library"}}
}

// debugLayers names layers as those of the debug symbols.
func debugLayers(layers []Layer) []Layer {
	out := make([]Layer, len(layers))
	for i, l := range layers {
		l.Of = "debug " + l.Of
		out[i] = l
	}
	return out
}
