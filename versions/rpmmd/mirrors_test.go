package rpmmd

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/versions/keyring"
)

// mirror serves a lab and counts requests by path.
type mirror struct {
	*httptest.Server
	mu  sync.Mutex
	got map[string]int
}

func newMirror(t testing.TB, h http.Handler) *mirror {
	t.Helper()
	m := &mirror{got: make(map[string]int)}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.got[r.URL.Path]++
		m.mu.Unlock()
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(m.Close)
	return m
}

func (m *mirror) requests(path string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if path != "" {
		return m.got[path]
	}
	n := 0
	for _, times := range m.got {
		n += times
	}
	return n
}

// files serves the lab; other chooses another handler for some paths.
func (l *lab) files(other map[string]http.HandlerFunc) http.Handler {
	files := http.FileServer(http.Dir(l.dir))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := other[r.URL.Path]; h != nil {
			h(w, r)
			return
		}
		files.ServeHTTP(w, r)
	})
}

// openMirrors opens a repository by a mirror list.
func (l *lab) openMirrors(t testing.TB, opts Options, mirrors ...string) *Repository {
	t.Helper()
	list := filepath.Join(t.TempDir(), "mirrors")
	if err := os.WriteFile(list, []byte("# a comment\n\n"+strings.Join(mirrors, "/\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	opts.RetryWait = time.Millisecond
	r, err := Open(Source{Name: "lab", Mirrorlist: list, Keys: l.keys}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// whole lists and downloads everything.
func (l *lab) whole(t testing.TB, r *Repository) error {
	t.Helper()
	packages, err := r.Packages(ctx, []string{"glibc"}, nil)
	if err != nil {
		return err
	}
	if len(packages) != 1 {
		t.Fatalf("%d packages", len(packages))
	}
	dst := filepath.Join(t.TempDir(), "glibc.rpm")
	var arrived int64
	if err := r.Download(ctx, packages[0], dst, func(n int64) { arrived += n }); err != nil {
		return err
	}
	if b, err := os.ReadFile(dst); !bytes.Equal(b, l.body) || arrived != int64(len(b)) {
		t.Errorf("%d bytes, progress %d, %v", len(b), arrived, err)
	}
	return nil
}

func hang(w http.ResponseWriter, r *http.Request) {
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

func endless(w http.ResponseWriter, _ *http.Request) {
	for {
		if _, err := w.Write(make([]byte, 64<<10)); err != nil {
			return
		}
	}
}

func changed(b []byte) http.HandlerFunc {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return func(w http.ResponseWriter, _ *http.Request) { w.Write(b) }
}

// Whatever the first mirror does to one of the files, the second one serves it,
// and the log says why.
func TestBadMirror(t *testing.T) {
	const pkg, primary, repomd = "/x86_64/glibc.rpm", "/repodata/primary", "/repodata/repomd.xml"
	l := newLab(t, gz)
	body := func(name string) []byte { return l.read(t, name) }
	cases := map[string]map[string]http.HandlerFunc{
		"package missing":       {pkg: http.NotFound},
		"package changed":       {pkg: changed(l.body)},
		"package short":         {pkg: func(w http.ResponseWriter, _ *http.Request) { w.Write(l.body[:100]) }},
		"package endless":       {pkg: endless},
		"package stalls":        {pkg: hang},
		"package forbidden":     {pkg: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }},
		"package broken server": {pkg: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }},
		"metadata missing":      {primary: http.NotFound},
		"metadata changed":      {primary: changed(body(primary))},
		"metadata endless":      {primary: endless},
		"metadata stalls":       {primary: hang},
		"index missing":         {repomd: http.NotFound},
		"index changed":         {repomd: changed(body(repomd))},
		"index endless":         {repomd: endless},
		"index stalls":          {repomd: hang},
		"unsigned":              {repomd + ".asc": http.NotFound},
		"redirects in circles":  {repomd: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }},
		"packed unasked": {repomd: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(gz(body(repomd)))
		}},
		"all dropped": {"/repodata/repomd.xml": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	}
	says := map[string]string{
		"package stalls": "nothing arrived for 500ms", "package forbidden": "LPBUILD_REPO_LAB_USER", "package endless": "larger than 524288 bytes",
		"package broken server": "answer 500", "redirects in circles": "more than 10 redirects", "packed unasked": "not asked for",
	}
	for name, bad := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := newMirror(t, l.files(bad)), newMirror(t, l.files(nil))
			var log bytes.Buffer
			opts := Options{Log: slog.New(slog.NewTextHandler(&log, nil))}
			if strings.HasSuffix(name, "stalls") {
				opts.Stall = 500 * time.Millisecond
			}
			if err := l.whole(t, l.openMirrors(t, opts, first.URL, second.URL)); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(log.String(), `msg="mirror failed" repository=lab mirror=`+first.URL) ||
				!strings.Contains(log.String(), `msg="mirror in use" repository=lab mirror=`+second.URL) {
				t.Errorf("log:\n%s", &log)
			}
			// Alone, it is an error that names the repository and the server.
			err := l.whole(t, l.openMirrors(t, opts, first.URL))
			if err == nil || !strings.Contains(err.Error(), "repository lab: ") || !strings.Contains(err.Error(), says[name]) {
				t.Errorf("alone: %v, want %q", err, says[name])
			}
		})
	}
}

func TestNoMirrorIsRight(t *testing.T) {
	l := newLab(t, gz)
	bad := l.files(map[string]http.HandlerFunc{"/x86_64/glibc.rpm": changed(l.body)})
	gone := l.files(map[string]http.HandlerFunc{"/x86_64/glibc.rpm": http.NotFound})
	a, b := newMirror(t, bad), newMirror(t, gone)
	err := l.whole(t, l.openMirrors(t, Options{}, a.URL, b.URL))
	if !errors.Is(err, ErrChecksum) || !strings.Contains(err.Error(), a.URL) || !strings.Contains(err.Error(), b.URL) {
		t.Errorf("%v, want ErrChecksum and both mirrors", err)
	}
}

// A mirror that fails again and again is left alone, though it is the first.
func TestFailingMirrorIsLeftAlone(t *testing.T) {
	l := newLab(t, gz)
	bad := newMirror(t, http.NotFoundHandler())
	good := newMirror(t, l.files(map[string]http.HandlerFunc{"/absent": http.NotFound}))
	r := l.openMirrors(t, Options{}, bad.URL, good.URL)
	for range 5 * maxFailures {
		r.last = nil // so that the order of the list decides
		if err := l.whole(t, r); err != nil {
			t.Fatal(err)
		}
	}
	if n := bad.requests(""); n != maxFailures {
		t.Errorf("%d requests to the mirror that always fails, want %d", n, maxFailures)
	}
	// What no mirror has is no mirror's fault.
	for range 2 * maxFailures {
		r.last = nil
		if err := r.Download(ctx, Package{Location: "absent", Size: 1, Checksum: Checksum{"sha256", someSum}}, filepath.Join(t.TempDir(), "x"), none); !errors.Is(err, ErrNotFound) {
			t.Fatal(err)
		}
	}
	if err := l.whole(t, r); err != nil {
		t.Errorf("the good mirror was given up: %v", err)
	}
}

// metalink is one of MirrorManager's.
func (l *lab) metalink(current []byte, older [][]byte, urls ...string) string {
	hashes := func(b []byte) string {
		strong := sha512.Sum512(b)
		return fmt.Sprintf(`<size>%d</size><verification><hash type="md5">00</hash><hash type="sha1">00</hash><hash type="sha256">%s</hash><hash type="sha512">%s</hash></verification>`,
			len(b), sum(b), hex.EncodeToString(strong[:]))
	}
	var alternates, resources strings.Builder
	for i, b := range older {
		fmt.Fprintf(&alternates, `<mm0:alternate><mm0:timestamp>%d</mm0:timestamp>%s</mm0:alternate>`, 1000-i, hashes(b))
	}
	for i, u := range urls {
		fmt.Fprintf(&resources, `<url protocol="http" type="http" location="DE" preference="%d">%s/repodata/repomd.xml</url>`, 100-i, u)
	}
	return `<?xml version="1.0" encoding="utf-8"?><metalink version="3.0" xmlns="http://www.metalinker.org/" type="dynamic" ` +
		`pubdate="Sun, 22 Nov 2026 08:00:00 GMT" generator="mirrormanager" xmlns:mm0="http://fedorahosted.org/mirrormanager"><files>` +
		`<file name="repomd.xml"><mm0:timestamp>2000</mm0:timestamp>` + hashes(current) +
		`<mm0:alternates>` + alternates.String() + `</mm0:alternates><resources maxconnections="1">` + resources.String() +
		`</resources></file></files></metalink>`
}

func (l *lab) openMetalink(t testing.TB, opts Options, metalink string) *Repository {
	t.Helper()
	file := filepath.Join(t.TempDir(), "metalink.xml")
	if err := os.WriteFile(file, []byte(metalink), 0o644); err != nil {
		t.Fatal(err)
	}
	opts.RetryWait = time.Millisecond
	r, err := Open(Source{Name: "lab", Metalink: "file://" + file, Keys: l.keys}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMetalinkPrefersTheNewest(t *testing.T) {
	l := newLab(t, gz)
	old := l.read(t, "repodata/repomd.xml")
	oldSignature := l.read(t, "repodata/repomd.xml.asc")
	late := newMirror(t, l.files(map[string]http.HandlerFunc{
		"/repodata/repomd.xml":     func(w http.ResponseWriter, _ *http.Request) { w.Write(old) },
		"/repodata/repomd.xml.asc": func(w http.ResponseWriter, _ *http.Request) { w.Write(oldSignature) },
	}))
	l.sign(t, strings.Replace(string(old), "<revision>7", "<revision>8", 1))
	current := l.read(t, "repodata/repomd.xml")
	fresh := newMirror(t, l.files(nil))

	for _, tt := range []struct {
		name, metalink, revision string
		want                     error
	}{
		{name: "newest", metalink: l.metalink(current, [][]byte{old}, late.URL, fresh.URL), revision: "8"},
		{name: "behind is better than nothing", metalink: l.metalink(current, [][]byte{{}, old}, late.URL), revision: "7"},
		{name: "behind, two mirrors", metalink: l.metalink(current, [][]byte{old}, late.URL, late.URL+"/."), revision: "7"},
		{name: "of no known revision", metalink: l.metalink([]byte("other"), nil, late.URL, fresh.URL), want: ErrChecksum},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := l.openMetalink(t, Options{}, tt.metalink)
			_, err := r.Packages(ctx, nil, nil)
			p, _ := r.Provenance()
			if !errors.Is(err, tt.want) || p.Revision != tt.revision {
				t.Errorf("revision %q, %v; want %q, %v", p.Revision, err, tt.revision, tt.want)
			}
		})
	}
}

// The digest in a metalink is no signature.
func TestMetalinkDoesNotReplaceTheSignature(t *testing.T) {
	l := newLab(t, gz)
	l.edit(t, "repodata/repomd.xml", "<revision>7", "<revision>8")
	m := newMirror(t, l.files(nil))
	link := l.metalink(l.read(t, "repodata/repomd.xml"), nil, m.URL)
	if _, err := l.openMetalink(t, Options{}, link).Packages(ctx, nil, nil); !errors.Is(err, keyring.ErrSignature) {
		t.Errorf("%v, want ErrSignature", err)
	}
}

// Metadata without a signature is accepted where the project says so, but not
// a wrong signature.
func TestUnsignedMetadata(t *testing.T) {
	l := newLab(t, gz)
	open := func() error {
		r, err := Open(Source{Name: "lab", URL: l.dir, Keys: l.keys, Unsigned: true}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.Packages(ctx, nil, nil)
		if p, known := r.Provenance(); known != (err == nil) || known && (p.Signer.Fingerprint != "" || p.Revision != "8") {
			t.Errorf("unsigned metadata comes from %+v", p)
		}
		return err
	}
	l.edit(t, "repodata/repomd.xml", "<revision>7", "<revision>8")
	if err := open(); !errors.Is(err, keyring.ErrSignature) {
		t.Errorf("wrong signature: %v, want ErrSignature", err)
	}
	if err := os.Remove(filepath.Join(l.dir, "repodata/repomd.xml.asc")); err != nil {
		t.Fatal(err)
	}
	if err := open(); err != nil {
		t.Error(err)
	}
}

// The repository is replaced after repomd.xml was read: it is read again.
func TestRepositoryReplacedMidRun(t *testing.T) {
	l := newLab(t, gz)
	var once sync.Once
	m := newMirror(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/repodata/primary" {
			once.Do(func() {
				open := []byte(primaryXML(packageXML("glibc", "new.rpm")))
				l.write(t, "repodata/primary", open)
				l.sign(t, l.repomd(open, open, len(open)))
			})
		}
		l.files(nil).ServeHTTP(w, r)
	}))
	packages, err := l.open(t, m.URL, Options{}).Packages(ctx, []string{"glibc"}, nil)
	if err != nil || len(packages) != 1 || packages[0].Location != "new.rpm" {
		t.Errorf("%+v, %v", packages, err)
	}
}

// A list that comes over the network names no file of this machine, and one
// that came over TLS no server without.
func TestMirrorlistFromElsewhere(t *testing.T) {
	l := newLab(t, gz)
	good := newMirror(t, l.files(nil))
	list := newMirror(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "file://%s\n", l.dir)
		if r.URL.Query().Get("repo") == "baseos" {
			fmt.Fprintln(w, good.URL)
		}
	}))
	open := func(query string) error {
		r, err := Open(Source{Name: "lab", Mirrorlist: list.URL + "/list?" + query, Keys: l.keys}, Options{RetryWait: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return l.whole(t, r)
	}
	if err := open("repo=baseos"); err != nil {
		t.Error(err)
	}
	if err := open("repo=other"); err == nil || !strings.Contains(err.Error(), "no mirror can be used") {
		t.Errorf("a list of local files: %v", err)
	}
}
