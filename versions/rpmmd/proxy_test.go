package rpmmd

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

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
