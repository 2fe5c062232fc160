package rpmmd

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
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

// authority is a CA of a test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "lab CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.cert, a.key = a.make(template)
	return a
}

// make signs a certificate, by itself if there is no CA yet.
func (a *authority) make(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// file writes the CA for ca:.
func (a *authority) file() string {
	name := filepath.Join(a.t.TempDir(), "ca.pem")
	writePEM(a.t, name, "CERTIFICATE", a.cert.Raw)
	return name
}

func writePEM(t testing.TB, name, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// client writes a client certificate and its key.
func (a *authority) client() (cert, key string) {
	c, k := a.make(&x509.Certificate{Subject: pkix.Name{CommonName: "entitled"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	dir := a.t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(a.t, cert, "CERTIFICATE", c.Raw)
	writePEM(a.t, key, "PRIVATE KEY", der)
	return cert, key
}

// serve starts a TLS server for some names, or addresses.
func (a *authority) serve(h http.Handler, auth tls.ClientAuthType, names ...string) *httptest.Server {
	template := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	cert, key := a.make(template)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert.Raw}, PrivateKey: key}}, ClientAuth: auth, ClientCAs: pool}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	a.t.Cleanup(s.Close)
	return s
}

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

// proxy forwards requests and tunnels to one server, whatever host they name,
// for whoever knows its password.
func proxy(t *testing.T, got *seen, target string) *httptest.Server {
	t.Helper()
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(theUser+":"+theSecret))
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != want {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		got.note("%s %s", r.Method, r.Host)
		if r.Method != http.MethodConnect {
			r.URL.Host, r.RequestURI = target, ""
			r.Header.Del("Proxy-Authorization")
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			defer resp.Body.Close()
			w.WriteHeader(resp.StatusCode)
			pipe(w, resp.Body)
			return
		}
		tunnel(r.Context(), w, target)
	}))
	t.Cleanup(p.Close)
	return p
}

// echoingProxy puts the password, and more, into the status of its answer.
func echoingProxy(t *testing.T) string {
	t.Helper()
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, basic, _ := strings.Cut(r.Header.Get("Proxy-Authorization"), " ")
		password, _ := base64.StdEncoding.DecodeString(basic)
		_, text, _ := strings.Cut(string(password), ":")
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			fmt.Fprintf(conn, "HTTP/1.1 403 you said %s\x1b[2J\r\nContent-Length: 0\r\n\r\n", text)
			conn.Close()
		}
	}))
	t.Cleanup(p.Close)
	return strings.TrimPrefix(p.URL, "http://")
}

func tunnel(ctx context.Context, w http.ResponseWriter, target string) {
	var d net.Dialer
	up, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer up.Close()
	down, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer down.Close()
	pipe(down, strings.NewReader("HTTP/1.1 200 OK\r\n\r\n"))
	go func() { pipe(up, down); up.Close() }()
	pipe(down, up)
}

// pipe copies until one side has had enough: that is how connections end.
func pipe(dst io.Writer, src io.Reader) { _, _ = io.Copy(dst, src) }

func TestProxy(t *testing.T) {
	l, ca := newLab(t, gz), newAuthority(t)
	var direct seen
	spied := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "" || r.Header.Get("Authorization") != "" {
			direct.note("%v", r.Header)
		}
		l.files(nil).ServeHTTP(w, r)
	})
	secure := ca.serve(spied, tls.NoClientCert, "repo.example")
	plain := httptest.NewServer(spied)
	defer plain.Close()
	host := func(s *httptest.Server) string { return strings.SplitN(s.URL, "://", 2)[1] }
	userinfo := url.UserPassword(theUser, theSecret).String() + "@"
	var viaTLS, viaPlain seen
	secureProxy, plainProxy := host(proxy(t, &viaTLS, host(secure))), host(proxy(t, &viaPlain, host(plain)))

	for name, tt := range map[string]struct{ https, http, url, want string }{
		"https":             {https: "http://" + userinfo + secureProxy, url: "https://repo.example/"},
		"http":              {http: "http://" + userinfo + plainProxy, url: "http://repo.example/"},
		"wrong password":    {https: "http://operator:hush-hush@" + secureProxy, url: "https://repo.example/", want: "Proxy Authentication Required"},
		"wrong, http":       {http: "http://operator:hush-hush@" + plainProxy, url: "http://repo.example/", want: "407"},
		"no proxy there":    {https: "http://" + userinfo + "127.0.0.1:1", url: "https://repo.example/", want: "127.0.0.1:1"},
		"echo":              {https: "http://" + userinfo + echoingProxy(t), url: "https://repo.example/", want: "you said xxxxx?[2J"},
		"no URL of a proxy": {https: "http://operator:hush-hush@[", url: "https://repo.example/", want: "proxy"},
	} {
		t.Run(name, func(t *testing.T) {
			noCredentials(t)
			t.Setenv("HTTPS_PROXY", tt.https)
			t.Setenv("HTTP_PROXY", tt.http)
			var log bytes.Buffer
			r, err := l.openTLS(t, tt.url, ca.file(), &log)
			if err != nil {
				t.Fatal(err)
			}
			err = l.whole(t, r)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			checkNoSecret(t, "the error", fmt.Sprint(err))
			checkNoSecret(t, "the log", log.String())
		})
	}
	if direct.String() != "" {
		t.Errorf("the server behind the proxy saw %s", &direct)
	}
	if !strings.Contains(viaTLS.String(), "CONNECT repo.example:443") || !strings.Contains(viaPlain.String(), "GET repo.example") {
		t.Errorf("the proxies saw %s, %s", &viaTLS, &viaPlain)
	}
	t.Run("NO_PROXY", func(t *testing.T) {
		noCredentials(t)
		t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
		t.Setenv("NO_PROXY", "repo.example")
		n := NewNetwork(Limits{})
		for host, want := range map[string]bool{"repo.example": false, "other.example": true} {
			if got, err := n.proxy(&url.URL{Scheme: "http", Host: host}); err != nil || (got != nil) != want {
				t.Errorf("%s: proxy %v, %v", host, got, err)
			}
		}
	})
}

func TestParseNetrc(t *testing.T) {
	got, err := parseNetrc([]byte("# comment machine x\nmachine one login a password b account c\n\nmacdef init\ncd /pub\nmachine no\n\n" +
		"machine two\n\tlogin \"a b\" # trailing\n\tpassword \"\\\"\\\\\\n\"\ndefault login #d password #e\n"))
	want := []netrcEntry{{"one", "a", "b"}, {"two", "a b", "\"\\\n"}, {"", "#d", "#e"}}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for _, src := range []string{"login a", "machine", "machine x login", `machine x login "a`, "machine x pasword y", "machine \"\" login x", "machine x \"login", strings.Repeat("#", maxNetrc+1)} {
		if got, err := parseNetrc([]byte(src)); err == nil || got != nil {
			t.Errorf("%.20q: %q", src, got)
		}
	}
}

func FuzzParseNetrc(f *testing.F) {
	f.Add([]byte("machine one login a password b\ndefault login c password \"d\\n\"\nmacdef x\ny\n\n# z"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseNetrc(data)
		if err != nil && len(entries) > 0 || len(entries) > maxNetrcEntries {
			t.Errorf("%d entries, %v", len(entries), err)
		}
	})
}
