package versions

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha1"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/rpmpack"

	"github.com/lpbuild/lpbuild/versions/rpmfile"
)

func need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// libdemo differs from version to version, and has a private function and a
// private variable that only the debug symbols know.
const libdemo = `
static int secret = VERSION;
static __attribute__((noinline)) int hidden(int x) { return x * 3 + secret; }
int demo(int x) { secret++; return hidden(x) + VERSION; }
`

// compiled is a library stripped of its symbols, and its debug file.
type compiled struct {
	lib, debug []byte
	buildID    string
}

var (
	compileMu sync.Mutex
	compiles  = make(map[string]compiled)
)

// compile builds libdemo for a version, once per test run.
func compile(t testing.TB, version string) compiled {
	t.Helper()
	need(t, "gcc", "objcopy")
	compileMu.Lock()
	defer compileMu.Unlock()
	if c, ok := compiles[version]; ok {
		return c
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	id := fmt.Sprintf("%x", sha1.Sum([]byte(version)))
	if err := os.WriteFile(at("demo.c"), []byte(libdemo), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "gcc", "-shared", "-fPIC", "-O2", "-g", "-DVERSION="+strings.ReplaceAll(version, ".", ""),
		"-Wl,-soname,libdemo.so.1", "-Wl,--build-id=0x"+id, "-o", at("lib.so"), at("demo.c"))
	run(t, "objcopy", "--only-keep-debug", at("lib.so"), at("lib.debug"))
	run(t, "objcopy", "--strip-all", at("lib.so"), at("lib.stripped"))
	c := compiled{buildID: id}
	for file, to := range map[string]*[]byte{"lib.stripped": &c.lib, "lib.debug": &c.debug} {
		b, err := os.ReadFile(at(file))
		if err != nil {
			t.Fatal(err)
		}
		*to = b
	}
	compiles[version] = c
	return c
}

// lab is a signed repository behind a counting server, a project and a store.
type lab struct {
	t       testing.TB
	repo    string
	key     *openpgp.Entity
	signer  *openpgp.Entity // of the metadata; key if nil
	arch    string          // of the next packages; x86_64 if empty
	project string
	store   string
	server  *httptest.Server
	mu      sync.Mutex
	got     map[string]int // requests by path

	changelog []rpmfile.ChangelogEntry // of the packages that are made from now on
}

func newLab(t testing.TB, versions ...string) *lab {
	t.Helper()
	need(t, "createrepo_c")
	l := &lab{t: t, repo: t.TempDir(), project: t.TempDir(), store: t.TempDir(), got: make(map[string]int)}
	l.key = newKey(t)
	l.trust(l.key)
	for _, v := range versions {
		l.addVersion(v)
	}
	l.index()
	files := http.FileServer(http.Dir(l.repo))
	l.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.got[r.URL.Path]++
		l.mu.Unlock()
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(l.server.Close)
	return l
}

func newKey(t testing.TB) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity("lab", "", "lab@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// trust makes e the only key of the project.
func (l *lab) trust(e *openpgp.Entity) {
	l.t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := e.Serialize(w); err != nil {
		l.t.Fatal(err)
	}
	w.Close()
	l.writeTo(filepath.Join(l.project, "keys", "lab.asc"), b.Bytes())
}

func (l *lab) writeTo(name string, data []byte) {
	l.t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// pkg writes one signed package into the repository; nil key: unsigned.
func (l *lab) pkg(name, version string, key *openpgp.Entity, files ...rpmpack.RPMFile) string {
	l.t.Helper()
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: name, Version: version, Release: "1", Arch: cmp.Or(l.arch, "x86_64"),
		Epoch: rpmpack.NoEpoch, Compressor: "zstd", BuildTime: time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, f := range files {
		r.AddFile(f)
	}
	l.addChangelog(r)
	if key != nil {
		r.SetPGPSigner(func(data []byte) ([]byte, error) {
			var b bytes.Buffer
			err := openpgp.DetachSign(&b, key, bytes.NewReader(data), nil)
			return b.Bytes(), err
		})
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		l.t.Fatal(err)
	}
	file := fmt.Sprintf("%s-%s-1.%s.rpm", name, version, cmp.Or(l.arch, "x86_64"))
	l.writeTo(filepath.Join(l.repo, file), b.Bytes())
	return file
}

// addChangelog writes the tags that rpmbuild makes of %changelog.
func (l *lab) addChangelog(r *rpmpack.RPM) {
	var times []int32
	var titles, texts []string
	for _, e := range l.changelog {
		times, titles, texts = append(times, int32(e.Time.Unix())), append(titles, e.Title), append(texts, e.Text)
	}
	if len(times) > 0 {
		r.AddCustomTag(1080, rpmpack.EntryInt32(times))
		r.AddCustomTag(1081, rpmpack.EntryStringSlice(titles))
		r.AddCustomTag(1082, rpmpack.EntryStringSlice(texts))
	}
}

func libraryFiles(c compiled) []rpmpack.RPMFile {
	return []rpmpack.RPMFile{
		{Name: "/lib64/libdemo-1.so", Mode: 0o755, Body: c.lib},
		{Name: "/lib64/libdemo.so.1", Mode: 0o120777, Body: []byte("libdemo-1.so")},
		{Name: "/lib64/other.txt", Mode: 0o644, Body: []byte("beside")},
		{Name: "/usr/share/doc/demo", Mode: 0o644, Body: []byte("not wanted")},
	}
}

func debugFiles(c compiled) []rpmpack.RPMFile {
	return []rpmpack.RPMFile{
		{Name: "/usr/lib/debug/lib64/libdemo.debug", Mode: 0o644, Body: c.debug},
		{Name: "/usr/lib/debug/.build-id/" + c.buildID[:2] + "/" + c.buildID[2:] + ".debug", Mode: 0o120777,
			Body: []byte("../../lib64/libdemo.debug")},
	}
}

func (l *lab) addVersion(version string) {
	l.t.Helper()
	c := compile(l.t, version)
	l.pkg("demo", version, l.key, libraryFiles(c)...)
	l.pkg("demo-debuginfo", version, l.key, debugFiles(c)...)
}

// index makes and signs the metadata; args are for createrepo_c.
func (l *lab) index(args ...string) {
	l.t.Helper()
	run(l.t, "createrepo_c", append([]string{"--quiet", l.repo}, args...)...)
	l.signMetadata()
}

func (l *lab) signMetadata() {
	l.t.Helper()
	md, err := os.ReadFile(filepath.Join(l.repo, "repodata/repomd.xml"))
	if err != nil {
		l.t.Fatal(err)
	}
	signer := l.signer
	if signer == nil {
		signer = l.key
	}
	var sig bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&sig, signer, bytes.NewReader(md), nil); err != nil {
		l.t.Fatal(err)
	}
	l.writeTo(filepath.Join(l.repo, "repodata/repomd.xml.asc"), sig.Bytes())
}

func (l *lab) request(names ...string) Request {
	return Request{
		Packages: []string{"demo"}, Libraries: []string{"/lib64/libdemo.so.1"}, Names: names,
		Repositories: []Repository{{Name: "lab", URL: l.server.URL, Keys: []string{"keys/lab.asc"}}},
		Support:      Support{Window: Span{Days: 1}}, ProjectDir: l.project,
	}
}

func (l *lab) options() Options { return Options{Store: l.store, Jobs: 2} }

func (l *lab) download(names ...string) *Lock {
	l.t.Helper()
	lock, err := Download(context.Background(), l.request(names...), l.options())
	if err != nil {
		l.t.Fatal(err)
	}
	return lock
}

// packageRequests counts the requests for packages, and forgets them.
func (l *lab) packageRequests() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for path, times := range l.got {
		if strings.HasSuffix(path, ".rpm") {
			n += times
		}
	}
	clear(l.got)
	return n
}

// snapshot is the project's content.
func (l *lab) snapshot() map[string]string {
	l.t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(l.project, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		files[name] = string(b)
		return err
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return files
}
