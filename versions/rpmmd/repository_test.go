package rpmmd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/lpbuild/lpbuild/versions/keyring"
)

func newKey(t testing.TB) (*openpgp.Entity, *keyring.Keyring) {
	t.Helper()
	e, err := openpgp.NewEntity("repo", "", "repo@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	k, err := keyring.Parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return e, k
}

// lab is a repository with one package, "glibc.rpm", whose bytes are body.
type lab struct {
	dir  string
	keys *keyring.Keyring
	key  *openpgp.Entity
	body []byte
}

func sum(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }

func newLab(t testing.TB, compress func([]byte) []byte) *lab {
	t.Helper()
	l := &lab{dir: t.TempDir(), body: bytes.Repeat([]byte("package "), 64<<10)}
	l.key, l.keys = newKey(t)
	pkg := strings.NewReplacer(someSum, sum(l.body), `package="10"`, fmt.Sprintf("package=%q", fmt.Sprint(len(l.body)))).
		Replace(packageXML("glibc", "x86_64/glibc.rpm"))
	open := []byte(primaryXML(pkg, packageXML("other", "other.rpm")))
	packed := compress(open)
	l.write(t, "x86_64/glibc.rpm", l.body)
	l.write(t, "repodata/primary", packed)
	l.sign(t, l.repomd(open, packed, len(open)))
	return l
}

func (l *lab) repomd(open, packed []byte, openSize int) string {
	return fmt.Sprintf(`<?xml version="1.0"?><repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>7</revision>
<data type="filelists"><checksum type="sha256">%s</checksum><location href="repodata/f.xml"/></data>
<data type="primary"><checksum type="sha256">%s</checksum><open-checksum type="sha256">%s</open-checksum>
<location href="repodata/primary"/><size>%d</size><open-size>%d</open-size></data></repomd>`,
		someSum, sum(packed), sum(open), len(packed), openSize)
}

func (l *lab) write(t testing.TB, name string, data []byte) {
	t.Helper()
	name = filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (l *lab) sign(t testing.TB, repomd string) {
	t.Helper()
	var sig bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&sig, l.key, strings.NewReader(repomd), nil); err != nil {
		t.Fatal(err)
	}
	l.write(t, "repodata/repomd.xml", []byte(repomd))
	l.write(t, "repodata/repomd.xml.asc", sig.Bytes())
}

func (l *lab) open(t testing.TB, url string, opts Options) *Repository {
	t.Helper()
	opts.RetryWait = time.Millisecond
	r, err := Open(Source{Name: "lab", URL: url, Keys: l.keys}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func plain(b []byte) []byte { return b }

func gz(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func xzip(b []byte) []byte {
	var out bytes.Buffer
	w, err := xz.NewWriter(&out)
	if err != nil {
		panic(err)
	}
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zst(b []byte) []byte {
	w, err := zstd.NewWriter(nil)
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(b, nil)
}

func none(int64) {}

var ctx = context.Background()

func TestRepository(t *testing.T) {
	for name, compress := range map[string]func([]byte) []byte{"plain": plain, "gz": gz, "xz": xzip, "zst": zst} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, compress)
			server := httptest.NewServer(http.FileServer(http.Dir(l.dir)))
			defer server.Close()
			for _, url := range []string{server.URL, server.URL + "/", "file://" + l.dir, l.dir} {
				r := l.open(t, url, Options{Cache: t.TempDir()})
				packages, err := r.Packages(ctx, []string{"glibc"}, []string{"x86_64"})
				if err != nil || len(packages) != 1 {
					t.Fatalf("%s: %v, %v", url, packages, err)
				}
				dst := filepath.Join(t.TempDir(), "new", "glibc.rpm")
				var arrived int64
				if err := r.Download(ctx, packages[0], dst, func(n int64) { arrived += n }); err != nil {
					t.Fatalf("%s: %v", url, err)
				}
				if b, err := os.ReadFile(dst); !bytes.Equal(b, l.body) || arrived != int64(len(b)) {
					t.Errorf("%s: %d bytes, progress %d, %v", url, len(b), arrived, err)
				}
			}
		})
	}
}

func TestRepositoryRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		tamper func(t *testing.T, l *lab)
		want   error
	}{
		{name: "repomd changed", want: keyring.ErrSignature, tamper: func(t *testing.T, l *lab) {
			l.edit(t, "repodata/repomd.xml", "<revision>7", "<revision>8")
		}},
		{name: "repomd unsigned", want: keyring.ErrUnsigned, tamper: func(t *testing.T, l *lab) {
			os.Remove(filepath.Join(l.dir, "repodata/repomd.xml.asc"))
		}},
		{name: "signature empty", want: keyring.ErrUnsigned, tamper: func(t *testing.T, l *lab) {
			l.write(t, "repodata/repomd.xml.asc", nil)
		}},
		{name: "signed by another key", want: keyring.ErrUntrustedKey, tamper: func(t *testing.T, l *lab) {
			_, l.keys = newKey(t)
		}},
		{name: "no keys", want: keyring.ErrUntrustedKey, tamper: func(t *testing.T, l *lab) { l.keys = nil }},
		{name: "primary changed", want: ErrChecksum, tamper: func(t *testing.T, l *lab) {
			l.edit(t, "repodata/primary", "2.31", "2.32")
		}},
		{name: "primary longer", want: ErrChecksum, tamper: func(t *testing.T, l *lab) {
			l.edit(t, "repodata/primary", "</metadata>", "</metadata>\n\n")
		}},
		{name: "primary shorter", want: ErrTruncated, tamper: func(t *testing.T, l *lab) {
			l.edit(t, "repodata/primary", "</metadata>", "")
		}},
		{name: "primary missing", want: ErrNotFound, tamper: func(t *testing.T, l *lab) {
			os.Remove(filepath.Join(l.dir, "repodata/primary"))
		}},
		{name: "open digest wrong", want: ErrChecksum, tamper: func(t *testing.T, l *lab) {
			b := l.read(t, "repodata/primary")
			l.sign(t, l.repomd(append([]byte("x"), b[1:]...), b, len(b)))
		}},
		{name: "opens to more than announced", want: ErrChecksum, tamper: func(t *testing.T, l *lab) {
			b := l.read(t, "repodata/primary")
			bomb := gz(append(b, make([]byte, 32<<20)...))
			l.write(t, "repodata/primary", bomb)
			l.sign(t, l.repomd(b, bomb, len(b)))
		}},
		{name: "no primary", want: ErrFormat, tamper: func(t *testing.T, l *lab) {
			l.sign(t, "<repomd></repomd>")
		}},
		{name: "primary elsewhere", want: ErrUnsafePath, tamper: func(t *testing.T, l *lab) {
			l.sign(t, strings.Replace(string(l.read(t, "repodata/repomd.xml")), "repodata/primary", "../primary", 1))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t, plain)
			tt.tamper(t, l)
			cache := t.TempDir()
			packages, err := l.open(t, l.dir, Options{Cache: cache}).Packages(ctx, nil, nil)
			if !errors.Is(err, tt.want) || packages != nil {
				t.Fatalf("%v, %v; want %v", packages, err, tt.want)
			}
		})
	}
}

func (l *lab) read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(l.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (l *lab) edit(t testing.TB, name, from, to string) {
	t.Helper()
	was := l.read(t, name)
	now := bytes.Replace(was, []byte(from), []byte(to), 1)
	if bytes.Equal(was, now) {
		t.Fatalf("%s has no %q", name, from)
	}
	l.write(t, name, now)
}

func TestDownloadRefusesOtherBytes(t *testing.T) {
	l := newLab(t, plain)
	packages, err := l.open(t, l.dir, Options{}).Packages(ctx, []string{"glibc"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		body []byte
		want error
	}{
		"changed": {bytes.Replace(l.body, []byte("p"), []byte("q"), 1), ErrChecksum},
		"shorter": {l.body[:len(l.body)-1], ErrTruncated},
		"longer":  {append(bytes.Clone(l.body), 0), ErrChecksum},
		"empty":   {nil, ErrTruncated},
	} {
		l.write(t, "x86_64/glibc.rpm", tt.body)
		dir := t.TempDir()
		err := l.open(t, l.dir, Options{}).Download(ctx, packages[0], filepath.Join(dir, "glibc.rpm"), none)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if left, err := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%s: left behind: %v, %v", name, left, err)
		}
	}
}

func TestMetadataCache(t *testing.T) {
	l := newLab(t, gz)
	var primaries int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/repodata/primary" {
			primaries++
		}
		http.FileServer(http.Dir(l.dir)).ServeHTTP(w, r)
	}))
	defer server.Close()
	cache := t.TempDir()
	for _, want := range []int{1, 1, 2} {
		if want == 2 { // damaged: fetched again
			for _, e := range must(os.ReadDir(cache)) {
				if err := os.WriteFile(filepath.Join(cache, e.Name()), []byte("damage"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := l.open(t, server.URL, Options{Cache: cache}).Packages(ctx, nil, nil); err != nil {
			t.Fatal(err)
		}
		if primaries != want {
			t.Errorf("primary.xml fetched %d times, want %d", primaries, want)
		}
	}
}

// A cached file counts only if it has the digest, though it be good metadata.
func TestCacheOfAnotherFile(t *testing.T) {
	l := newLab(t, plain)
	file := filepath.Join(l.dir, "repodata/primary")
	d := Data{Checksum: Checksum{"sha256", sum(l.read(t, "repodata/primary"))}, Size: -1, OpenSize: -1}
	if _, err := readPrimary(file, d, all); err != nil {
		t.Fatal(err)
	}
	l.edit(t, "repodata/primary", "2.31", "2.32")
	if packages, err := readPrimary(file, d, all); !errors.Is(err, ErrChecksum) || packages != nil {
		t.Errorf("%v, %v; want ErrChecksum", packages, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestOffline(t *testing.T) {
	l := newLab(t, plain)
	if _, err := l.open(t, "https://repo.example/x", Options{Offline: true}).Packages(ctx, nil, nil); !errors.Is(err, ErrOffline) {
		t.Errorf("error %v, want ErrOffline", err)
	}
	if _, err := l.open(t, l.dir, Options{Offline: true}).Packages(ctx, nil, nil); err != nil {
		t.Errorf("a local repository needs no network: %v", err)
	}
	if _, err := Open(Source{Name: "x", URL: "ftp://repo.example/x"}, Options{}); err == nil {
		t.Error("ftp accepted")
	}
}

// The real createrepo_c and gpg.
func TestRealRepository(t *testing.T) {
	need(t, "createrepo_c")
	need(t, "gpg")
	need(t, "rpmbuild")
	for _, compression := range []string{"gz", "xz", "bz2"} {
		t.Run(compression, func(t *testing.T) {
			dir, home := t.TempDir(), t.TempDir()
			run := func(name string, args ...string) {
				t.Helper()
				cmd := exec.Command(name, args...)
				cmd.Env = append(os.Environ(), "GNUPGHOME="+home)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", name, err, out)
				}
			}
			t.Cleanup(func() { exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() })
			spec := filepath.Join(home, "lab.spec")
			if err := os.WriteFile(spec, []byte("Name: lab\nEpoch: 2\nVersion: 1.0~rc1^x\nRelease: 3\nSummary: x\nLicense: MIT\n%description\n%files\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			run("rpmbuild", "-bb", "--nodeps", "--target", "x86_64", "--define", "_topdir "+home, "--define", "_rpmdir "+dir, spec)
			run("createrepo_c", "--compress-type", compression, "--general-compress-type", compression, dir)
			if err := os.Chmod(home, 0o700); err != nil {
				t.Fatal(err)
			}
			run("gpg", "--batch", "--passphrase", "", "--quick-gen-key", "lab@example.org", "rsa2048", "sign")
			run("gpg", "--batch", "--armor", "--detach-sign", filepath.Join(dir, "repodata/repomd.xml"))
			run("gpg", "--batch", "--armor", "--export", "--output", filepath.Join(home, "key.asc"))
			keys, err := keyring.Open(filepath.Join(home, "key.asc"))
			if err != nil {
				t.Fatal(err)
			}
			r, err := Open(Source{Name: "real", URL: dir, Keys: keys}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			packages, err := r.Packages(ctx, []string{"lab"}, []string{"x86_64"})
			if err != nil || len(packages) != 1 || packages[0].NEVRA.String() != "lab-2:1.0~rc1^x-3.x86_64" {
				t.Fatalf("%v, %v", packages, err)
			}
			if err := r.Download(ctx, packages[0], filepath.Join(home, "got.rpm"), none); err != nil {
				t.Fatal(err)
			}
			// The same folder without repodata.
			if err := os.RemoveAll(filepath.Join(dir, "repodata")); err != nil {
				t.Fatal(err)
			}
			plain, err := r.Packages(ctx, []string{"lab"}, []string{"x86_64"})
			if err != nil || fmt.Sprint(plain) != fmt.Sprint(packages) {
				t.Errorf("%v, %v; want %v", plain, err, packages)
			}
		})
	}
}
