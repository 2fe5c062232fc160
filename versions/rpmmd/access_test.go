package rpmmd

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// noCredentials keeps the tester's own out of a test.
func noCredentials(t *testing.T) {
	t.Helper()
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "LPBUILD_REPO_") || strings.HasSuffix(strings.ToLower(name), "_proxy") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("NETRC", "")
	t.Setenv("HOME", t.TempDir())
}

// openTLS opens the lab at a URL with a CA, and logs everything.
func (l *lab) openTLS(t testing.TB, address, ca string, log io.Writer) (*Repository, error) {
	t.Helper()
	return Open(Source{Name: "lab", URL: address, Keys: l.keys, CA: ca}, Options{
		RetryWait: time.Millisecond, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
}

// seen collects what servers see of the credentials.
type seen struct {
	mu    sync.Mutex
	lines []string
}

func (s *seen) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *seen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

const (
	theUser   = "operator"
	theSecret = "hush-hush/42 %+"
)

// secretForms are all the ways in which the secret may be written.
func secretForms() []string {
	basic := base64.StdEncoding.EncodeToString([]byte(theUser + ":" + theSecret))
	return []string{theSecret, url.QueryEscape(theSecret), url.PathEscape(theSecret), basic, "hush-hush"}
}

func checkNoSecret(t *testing.T, what, text string) {
	t.Helper()
	for _, form := range secretForms() {
		if strings.Contains(text, form) {
			t.Errorf("%s shows the secret as %q:\n%s", what, form, text)
		}
	}
}

// Each kind of credentials opens a repository, and none is in a message.
func TestCredentials(t *testing.T) {
	noCredentials(t)
	l, ca := newLab(t, gz), newAuthority(t)
	for name, tt := range map[string]struct {
		env   map[string]string
		netrc string
		ok    func(r *http.Request) bool
	}{
		"basic":          {env: map[string]string{"USER": theUser, "PASSWORD": theSecret}, ok: isBasic},
		"token":          {env: map[string]string{"TOKEN": theSecret}, ok: func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+theSecret }},
		"query":          {env: map[string]string{"QUERY": "?key=" + url.QueryEscape(theSecret)}, ok: func(r *http.Request) bool { return r.URL.Query().Get("key") == theSecret }},
		"netrc":          {netrc: "machine elsewhere login a password b\nmachine 127.0.0.1 login " + theUser + " password \"" + theSecret + "\"\n", ok: isBasic},
		"netrc, default": {netrc: "default login " + theUser + " password \"" + theSecret + "\"", ok: isBasic},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range tt.env {
				t.Setenv("LPBUILD_REPO_LAB_"+key, value)
			}
			if tt.netrc != "" {
				if err := os.WriteFile(filepath.Join(os.Getenv("HOME"), ".netrc"), []byte(tt.netrc), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			server := ca.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !tt.ok(r) {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				l.files(nil).ServeHTTP(w, r)
			}), tls.NoClientCert, "127.0.0.1")
			var log bytes.Buffer
			r, err := l.openTLS(t, server.URL, ca.file(), &log)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.whole(t, r); err != nil {
				t.Error(err)
			}
			checkNoSecret(t, "the log", log.String())
		})
	}
}

func isBasic(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	return ok && user == theUser && password == theSecret
}

func TestWrongCredentials(t *testing.T) {
	noCredentials(t)
	l := newLab(t, gz)
	// It echoes what it got wherever that may come to light.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		if r.URL.Path == "/repodata/repomd.xml" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, "gopher://"+url.PathEscape(password)+"/"+r.Header.Get("Authorization"), http.StatusFound)
	}))
	defer server.Close()
	t.Setenv("LPBUILD_REPO_LAB_USER", theUser)
	t.Setenv("LPBUILD_REPO_LAB_PASSWORD", theSecret)
	var log bytes.Buffer
	r, err := l.openTLS(t, server.URL, "", &log)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Packages(ctx, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "LPBUILD_REPO_LAB_USER") {
		t.Errorf("%v; want a hint at LPBUILD_REPO_LAB_USER", err)
	}
	echo := r.Download(ctx, Package{Location: "x", Size: 1, Checksum: Checksum{"sha256", someSum}}, filepath.Join(t.TempDir(), "x"), none)
	if echo == nil {
		t.Error("a redirect to gopher was followed")
	}
	checkNoSecret(t, "the errors", fmt.Sprint(err, echo))
	checkNoSecret(t, "the log", log.String())
}

func TestCredentialsThatCannotBeUsed(t *testing.T) {
	l := newLab(t, gz)
	for name, tt := range map[string]struct {
		env   map[string]string
		netrc string
		mode  os.FileMode
		want  string
	}{
		"no password":     {env: map[string]string{"LPBUILD_REPO_LAB_USER": theUser}, want: "alone"},
		"no user":         {env: map[string]string{"LPBUILD_REPO_LAB_PASSWORD": theSecret}, want: "alone"},
		"two kinds":       {env: map[string]string{"LPBUILD_REPO_LAB_USER": theUser, "LPBUILD_REPO_LAB_PASSWORD": theSecret, "LPBUILD_REPO_LAB_TOKEN": theSecret}, want: "both"},
		"line break":      {env: map[string]string{"LPBUILD_REPO_LAB_TOKEN": theSecret + "\nX: y"}, want: "control"},
		"no certificate":  {env: map[string]string{"LPBUILD_REPO_LAB_CERT": "/nowhere/cert.pem"}, want: "LPBUILD_REPO_LAB_CERT"},
		"no netrc":        {env: map[string]string{"NETRC": "/nowhere/netrc"}, want: "/nowhere/netrc"},
		"netrc for all":   {netrc: "machine 127.0.0.1 login a password \"" + theSecret + "\"", mode: 0o644, want: "chmod 600"},
		"netrc for group": {netrc: "default login a password \"" + theSecret + "\"", mode: 0o640, want: "chmod 600"},
		"damaged netrc":   {netrc: theSecret + " x", mode: 0o600, want: "line 1"},
		"netrc cut":       {netrc: "machine", mode: 0o600, want: "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			noCredentials(t)
			if tt.netrc != "" {
				file := filepath.Join(t.TempDir(), "netrc")
				if err := os.WriteFile(file, []byte(tt.netrc), tt.mode); err != nil {
					t.Fatal(err)
				}
				t.Setenv("NETRC", file)
			}
			for key, value := range tt.env {
				t.Setenv(key, value)
			}
			_, err := l.openTLS(t, "http://127.0.0.1:1/", "", io.Discard)
			if !errors.Is(err, ErrCredentials) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v; want ErrCredentials with %q", err, tt.want)
			}
			checkNoSecret(t, "the error", fmt.Sprint(err))
		})
	}
	t.Run("netrc for all, not used", func(t *testing.T) {
		noCredentials(t)
		if err := os.WriteFile(filepath.Join(os.Getenv("HOME"), ".netrc"), []byte("machine other login a password b"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := l.openTLS(t, "http://127.0.0.1:1/", "", io.Discard); err != nil {
			t.Error(err)
		}
	})
}

// After a redirect to another host, another port or without TLS, nothing of
// the credentials is sent; the last one is not even followed.
func TestRedirectTakesNoCredentials(t *testing.T) {
	noCredentials(t)
	l, ca := newLab(t, gz), newAuthority(t)
	var got seen
	spy := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, ours := r.URL.Query()["key"]
			got.note("%s authorization=%q query=%v referer=%q certificate=%v", name, r.Header.Get("Authorization"), ours, r.Referer(),
				r.TLS != nil && len(r.TLS.PeerCertificates) > 0)
			l.files(nil).ServeHTTP(w, r)
		})
	}
	other := ca.serve(spy("other"), tls.RequestClientCert, "127.0.0.1")
	plain := httptest.NewServer(spy("plain"))
	defer plain.Close()
	cert, key := ca.client()
	for name, value := range map[string]string{"USER": theUser, "PASSWORD": theSecret, "QUERY": "key=" + url.QueryEscape(theSecret), "CERT": cert, "KEY": key} {
		t.Setenv("LPBUILD_REPO_LAB_"+name, value)
	}
	// A netrc's word about the host does not matter after a redirect.
	if err := os.WriteFile(filepath.Join(os.Getenv("HOME"), ".netrc"), []byte("machine 127.0.0.1 login x password y"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(target string) (*Repository, *bytes.Buffer) {
		first := ca.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !isBasic(r) || r.URL.Query().Get("key") != theSecret || len(r.TLS.PeerCertificates) == 0 {
				got.note("the repository itself lacks credentials")
			}
			http.Redirect(w, r, target+r.URL.Path, http.StatusFound)
		}), tls.RequireAndVerifyClientCert, "127.0.0.1")
		log := new(bytes.Buffer)
		r, err := l.openTLS(t, first.URL, ca.file(), log)
		if err != nil {
			t.Fatal(err)
		}
		return r, log
	}

	r, log := open(other.URL)
	if err := l.whole(t, r); err != nil {
		t.Error(err)
	}
	checkNoSecret(t, "the log", log.String())
	for line := range strings.Lines(got.String()) {
		if !strings.HasPrefix(line, `other authorization="" query=false referer="https://127.0.0.1`) || !strings.HasSuffix(strings.TrimSpace(line), "certificate=false") {
			t.Errorf("the other host saw %s", line)
		}
	}
	checkNoSecret(t, "the other host", got.String())

	got.lines = nil
	r, log = open(plain.URL)
	if err := l.whole(t, r); err == nil || !strings.Contains(err.Error(), "https to http") {
		t.Errorf("redirect from https to http: %v", err)
	}
	checkNoSecret(t, "the log", log.String())
	if got.String() != "" {
		t.Errorf("the server without TLS saw %s", &got)
	}
}

// Mirrors on other hosts get no credentials of the environment, and one
// without TLS is left out of a list that came over TLS.
func TestMirrorsTakeNoCredentials(t *testing.T) {
	noCredentials(t)
	l, ca := newLab(t, gz), newAuthority(t)
	var got seen
	spy := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got.note("authorization=%q query=%q", r.Header.Get("Authorization"), r.URL.RawQuery)
		l.files(nil).ServeHTTP(w, r)
	})
	plain := httptest.NewServer(spy)
	defer plain.Close()
	mirror := ca.serve(spy, tls.NoClientCert, "127.0.0.1")
	list := ca.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isBasic(r) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintln(w, plain.URL)
		if r.URL.Path == "/both" {
			fmt.Fprintln(w, mirror.URL)
		}
	}), tls.NoClientCert, "127.0.0.1")
	t.Setenv("LPBUILD_REPO_LAB_USER", theUser)
	t.Setenv("LPBUILD_REPO_LAB_PASSWORD", theSecret)
	open := func(path string) error {
		r, err := Open(Source{Name: "lab", Mirrorlist: list.URL + path, Keys: l.keys, CA: ca.file()}, Options{RetryWait: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return l.whole(t, r)
	}
	if err := open("/both"); err != nil {
		t.Error(err)
	}
	if strings.Trim(strings.ReplaceAll(got.String(), `authorization="" query=""`, ""), "\n") != "" {
		t.Errorf("a mirror saw %s", &got)
	}
	if err := open("/plain"); err == nil || !strings.Contains(err.Error(), "plain http") {
		t.Errorf("mirrors without TLS only: %v", err)
	}
}

func TestClientCertificate(t *testing.T) {
	noCredentials(t)
	l, ca := newLab(t, gz), newAuthority(t)
	server := ca.serve(l.files(nil), tls.RequireAndVerifyClientCert, "127.0.0.1")
	r, err := l.openTLS(t, server.URL, ca.file(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.whole(t, r); err == nil {
		t.Error("the server wants a certificate and got none")
	}
	cert, key := ca.client()
	t.Setenv("LPBUILD_REPO_LAB_CERT", cert)
	t.Setenv("LPBUILD_REPO_LAB_KEY", key)
	if r, err = l.openTLS(t, server.URL, ca.file(), io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := l.whole(t, r); err != nil {
		t.Error(err)
	}
}

func TestTLSIsChecked(t *testing.T) {
	noCredentials(t)
	l, ca := newLab(t, gz), newAuthority(t)
	right := ca.serve(l.files(nil), tls.NoClientCert, "127.0.0.1")
	misnamed := ca.serve(l.files(nil), tls.NoClientCert, "other.example")
	for name, tt := range map[string]struct{ url, ca, want string }{
		"unknown authority": {right.URL, "", "ca: in lpbuild.yaml"},
		"another authority": {right.URL, newAuthority(t).file(), "ca: in lpbuild.yaml"},
		"another name":      {misnamed.URL, ca.file(), "127.0.0.1"},
	} {
		r, err := l.openTLS(t, tt.url, tt.ca, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.whole(t, r); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	for name, content := range map[string]string{"no": "", "empty": "\n"} {
		file := filepath.Join(t.TempDir(), "ca")
		if content != "" {
			if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.openTLS(t, right.URL, file, io.Discard); err == nil {
			t.Errorf("%s CA file accepted", name)
		}
	}
}
