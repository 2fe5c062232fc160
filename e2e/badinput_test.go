package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Packages of the repository.
const (
	newest      = "libgreet1-1.2-1.x86_64"
	newestDebug = "libgreet1-debuginfo-1.2-1.x86_64"
)

// strangersKey is a public key that signed nothing.
func strangersKey(t *testing.T) string {
	t.Helper()
	e, err := openpgp.NewEntity("stranger", "", "stranger@localhost", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	w, err := armor.Encode(&text, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Serialize(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// key is the file of the key in the project.
func (l *lab) key() string {
	l.t.Helper()
	found, err := filepath.Glob(l.project + "/keys/*.asc")
	if err != nil || len(found) != 1 {
		l.t.Fatalf("%v, %v", found, err)
	}
	return found[0]
}

// TestDownloadRefuses: nothing that is not verified is used, whether the
// project has records already or not.
func TestDownloadRefuses(t *testing.T) {
	t.Parallel()
	const changed = "try again later"
	for _, tt := range []struct {
		name        string
		tamper      func(*lab)
		code        int
		error, hint string
		// fresh: a project that has records does not fetch that, or says
		// something else: TestSwappedKey.
		fresh bool
	}{
		{"repomd.xml changed", func(l *lab) {
			l.overwrite("repodata/repomd.xml", func(b []byte) []byte { return append(b, '\n') })
		}, 15, `repomd\.xml.*bad signature`, changed, false},
		{"repomd.xml truncated", func(l *lab) { l.overwrite("repodata/repomd.xml", half) },
			15, `repomd\.xml.*bad signature`, changed, false},
		{"signature truncated", func(l *lab) { l.overwrite("repodata/repomd.xml.asc", half) },
			15, `repomd\.xml.*bad signature`, changed, false},
		{"no signature", func(l *lab) {
			if err := os.Remove(l.repo + "/repodata/repomd.xml.asc"); err != nil {
				l.t.Fatal(err)
			}
		}, 15, `repomd\.xml.*not signed`, changed, false},
		{"another key", func(l *lab) { writeFile(l.t, l.key(), strangersKey(l.t)) },
			15, `repomd\.xml.*not trusted`, `keys in lpbuild\.yaml`, true},
		{"no key", func(l *lab) {
			l.overwriteProject(func(b []byte) []byte { return keysLine.ReplaceAll(b, nil) })
		}, 15, `repomd\.xml.*not trusted`, `keys in lpbuild\.yaml`, false},
		{"key file missing", func(l *lab) {
			if err := os.Remove(l.key()); err != nil {
				l.t.Fatal(err)
			}
		}, 2, `repository1: key file: .*keys/.*\.asc: no such file`, `keys: in lpbuild\.yaml`, false},
		{"key file damaged", func(l *lab) { writeFile(l.t, l.key(), "no key") },
			2, `repository1: key file: .*keys/.*\.asc: .*key`, `keys: in lpbuild\.yaml`, false},
		{"primary.xml changed", func(l *lab) { l.overwrite("repodata/*primary.xml*", flipLast) },
			15, `primary\.xml.*checksum`, changed, false},
		{"primary.xml truncated", func(l *lab) { l.overwrite("repodata/*primary.xml*", half) },
			15, `primary\.xml.*truncated`, changed, false},
		{"package changed", func(l *lab) { l.overwrite(newest+".rpm", flipLast) },
			15, newest + `.*checksum`, changed, false},
		{"package truncated", func(l *lab) { l.overwrite(newest+".rpm", half) },
			15, newest + `.*truncated`, changed, false},
		{"debug symbols changed", func(l *lab) { l.overwrite(newestDebug+".rpm", flipLast) },
			15, newestDebug + `.*checksum`, changed, true},
		{"debug symbols truncated", func(l *lab) { l.overwrite(newestDebug+".rpm", half) },
			15, newestDebug + `.*truncated`, changed, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.must("lpbuild", "download")
			if err := os.RemoveAll(l.cache); err != nil {
				t.Fatal(err)
			}
			tt.tamper(l)
			want := refusal{code: tt.code, error: tt.error, hint: tt.hint}
			if !tt.fresh {
				l.refuses(want, "lpbuild", "download")
			}
			for _, name := range []string{"versions.lock", "versions"} {
				if err := os.RemoveAll(filepath.Join(l.project, name)); err != nil {
					t.Fatal(err)
				}
			}
			l.refuses(want, "lpbuild", "download")
		})
	}
}

// TestSwappedKey: who has reviewed a key is told when its file holds another.
func TestSwappedKey(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.must("lpbuild", "download")
	writeFile(t, l.key(), strangersKey(t))
	l.refuses(refusal{code: 15, error: `another key: .*new: [0-9A-F]{40} \(stranger .*pinned and gone: [0-9A-F]{40}`, hint: `--accept-keys FINGERPRINT`},
		"lpbuild", "download")
}

// TestFolderOfPackagesRefused: in a folder of RPMs nothing but their own
// signatures vouches for them.
func TestFolderOfPackagesRefused(t *testing.T) {
	t.Parallel()
	// The header is what an RPM's signature is of; it follows the lead (96
	// bytes) and the signature header, and holds the package's name.
	header := func(b []byte) []byte {
		return bytes.Replace(b, []byte("Library that tells"), []byte("Library that talks"), 1)
	}
	for _, tt := range []struct {
		name   string
		change func([]byte) []byte
		error  string
	}{
		{"header changed", header, newest + `.*(bad signature|checksum)`},
		{"payload changed", flipLast, newest + `.*checksum`},
		{"truncated", half, newest + `.*truncated`},
		{"header truncated", func(b []byte) []byte { return b[:300] }, newest + `.*truncated`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			key := filepath.Join(l.dir, "key.asc")
			writeFile(t, key, string(readFile(t, l.key())))
			l.serveFrom(l.repo, key)
			l.patch(goodTemplate, goodSource)
			if err := os.RemoveAll(l.repo + "/repodata"); err != nil {
				t.Fatal(err)
			}
			l.must("lpbuild", "download")
			l.overwrite(newest+".rpm", tt.change)
			l.refuses(refusal{code: 15, error: tt.error, hint: "try again later"}, "lpbuild", "download")
		})
	}
}
