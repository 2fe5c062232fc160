package rpmmd

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
)

// A server is one place that has a repository: the only one, or a mirror.
type server struct {
	name    string // for messages
	fetcher fetcher
	// failures counts what other servers could do; guarded by Repository.mu.
	failures int
}

// A client makes servers for one repository: it knows the credentials and
// where they may go.
type client struct {
	name    string // of the repository
	opts    Options
	network *Network
	// configured is the address in the project, of which a server may be; nil
	// if it is on this machine.
	configured *url.URL
	access     access
	home, away http.RoundTripper // see transport
	netrc      func() (*netrc, error)
}

// configure notes an address of the network, and the credentials for it.
func (c *client) configure(address string) error {
	if !strings.Contains(address, "://") {
		return nil
	}
	u, err := parseAddress(address)
	if err != nil || u.Scheme == "file" {
		return err
	}
	c.configured = u
	if c.opts.Offline {
		return nil
	}
	c.access, err = environment(c.name)
	c.access.hide(&c.network.secrets)
	return err
}

// newClient reads credentials and authorities.
func newClient(src Source, opts Options) (*client, error) {
	c := &client{name: src.Name, opts: opts, network: opts.network(), netrc: sync.OnceValues(readNetrc)}
	if err := c.configure(src.address()); err != nil || opts.Offline {
		return c, err
	}
	return c, c.connect(src.CA)
}

// connect prepares connections to the configured server and to others. TLS is
// always checked.
func (c *client) connect(ca string) error {
	var only, all *x509.CertPool // nil is the system's
	if ca != "" {
		var err error
		if only, all, err = authorities(ca); err != nil {
			return fmt.Errorf("ca: %w", err)
		}
	}
	home, away := c.network.newTransport(), c.network.newTransport()
	home.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: only}
	away.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: all}
	if c.access.certificate != nil {
		home.TLSClientConfig.Certificates = []tls.Certificate{*c.access.certificate}
	}
	c.home, c.away = home, away
	return nil
}

// log hides secrets.
func (c *client) log() *slog.Logger {
	return slog.New(logHandler{c.opts.log().Handler(), &c.network.secrets})
}

// parseAddress reads a URL of the project. Its errors do not repeat it: it may
// hold a password by mistake.
func parseAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: not a URL", errRefused)
	case u.User != nil:
		return nil, fmt.Errorf("%w: a URL with a user or password; use the environment or netrc", errRefused)
	case u.Scheme == "file" && (u.Host == "" || u.Host == "localhost"):
		return u, nil
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host != "":
		return u, nil
	}
	return nil, fmt.Errorf("%s: not an http, https or file URL", place(u))
}

// server makes the server at an address. alone says that there is no other.
func (c *client) server(address string, alone bool) (*server, error) {
	if !strings.Contains(address, "://") {
		return &server{name: address, fetcher: folderFetcher{address}}, nil
	}
	u, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "file" {
		return &server{name: place(u), fetcher: folderFetcher{filepath.FromSlash(u.Path)}}, nil
	}
	s := &server{name: place(u)}
	if c.opts.Offline {
		s.fetcher = offlineFetcher{s.name}
		return s, nil
	}
	t, err := c.transport(u)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	idle := idleBeside
	if alone {
		idle = idleAlone
	}
	s.fetcher = &httpFetcher{base: u, client: c.newHTTP(t, alone), idle: idle, wait: c.opts.retryWait(), env: EnvPrefix(c.name)}
	return s, nil
}

// transport decides what the server at base gets to see. The credentials of
// the environment are for the configured server. A netrc names other servers
// itself; its "default" is for the configured one. Where the configured
// address is https, nothing goes over http.
func (c *client) transport(base *url.URL) (*transport, error) {
	t := &transport{network: c.network, origin: origin(base), secure: base.Scheme == "https", stall: c.opts.stall(), home: c.away, away: c.away}
	configured := c.configured != nil && origin(base) == origin(c.configured)
	if c.configured != nil && c.configured.Scheme == "https" && !t.secure {
		return nil, fmt.Errorf("%w: plain http, though the list of mirrors is https", errRefused)
	}
	if configured {
		t.access, t.home = c.access, c.home
	}
	if t.access.user != "" || t.access.token != "" || !configured && !t.secure {
		return t, nil
	}
	n, err := c.netrc()
	if err != nil {
		return nil, err
	}
	e, ok, err := n.find(base.Hostname(), configured)
	if err != nil || !ok {
		return t, err
	}
	t.access.user, t.access.password = e.login, e.password
	t.access.hide(&c.network.secrets)
	return t, nil
}
