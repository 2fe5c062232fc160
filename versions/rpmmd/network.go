package rpmmd

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"
)

const (
	defaultConnections = 4
	maxResponseHeader  = 256 << 10 // bytes
	// maxRetryAfter is the longest time that a server may ask to be left alone
	// for; with more, it is of no use to this run.
	maxRetryAfter = 2 * time.Minute
)

// Limits are what a run asks of servers at most. The zero value is the defaults.
type Limits struct {
	// Connections is the number of requests to one host at a time; 0 is 4.
	Connections int
	// BytesPerSecond bounds what arrives from all hosts together; 0 is no bound.
	BytesPerSecond int64
	// RequestsPerSecond bounds the requests to one host; 0 is no bound.
	RequestsPerSecond float64
}

// A Network is what all repositories of one run share: limits, what hosts have
// asked for, the proxies of the environment (HTTPS_PROXY, HTTP_PROXY,
// NO_PROXY), and what must not be seen in messages. It is safe for concurrent use.
type Network struct {
	limits  Limits
	bytes   *pace
	proxy   func(*url.URL) (*url.URL, error)
	secrets secrets

	mu    sync.Mutex
	hosts map[string]*host
}

// NewNetwork reads the proxies of the environment.
func NewNetwork(limits Limits) *Network {
	if limits.Connections <= 0 {
		limits.Connections = defaultConnections
	}
	n := &Network{limits: limits, bytes: newPace(float64(limits.BytesPerSecond)), hosts: make(map[string]*host)}
	config := httpproxy.FromEnvironment()
	n.proxy = config.ProxyFunc()
	for _, proxy := range []string{config.HTTPProxy, config.HTTPSProxy} {
		n.secrets.addUserinfo(proxy)
	}
	return n
}

// newTransport returns a transport with the proxies and bounds of the network.
func (n *Network) newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  func(r *http.Request) (*url.URL, error) { return n.proxy(r.URL) },
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // the bytes are what is signed
		MaxIdleConnsPerHost:    n.limits.Connections,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
	}
}

// A host is the state of one server, by host and port.
type host struct {
	slots    chan struct{}
	requests *pace
	mu       sync.Mutex
	until    time.Time // it asked to be left alone until then
}

func (n *Network) host(name string) *host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.hosts[name]
	if h == nil {
		h = &host{slots: make(chan struct{}, n.limits.Connections), requests: newPace(n.limits.RequestsPerSecond)}
		n.hosts[name] = h
	}
	return h
}

// acquire waits until another request may be made. release ends it.
func (h *host) acquire(ctx context.Context) (release func(), err error) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	release = sync.OnceFunc(func() { <-h.slots })
	h.mu.Lock()
	pause := time.Until(h.until)
	h.mu.Unlock()
	if pause > maxRetryAfter {
		err = fmt.Errorf("%w: the server asked to be left alone for %v more", errRefused, pause.Round(time.Second))
	} else if err = h.requests.wait(ctx, 1); err == nil {
		err = sleep(ctx, pause)
	}
	if err != nil {
		release()
	}
	return release, err
}

// pause leaves the host alone for d.
func (h *host) pause(d time.Duration) {
	until := time.Now().Add(d)
	h.mu.Lock()
	defer h.mu.Unlock()
	if until.After(h.until) {
		h.until = until
	}
}

// errStall is the cause of the end of a request that brought too little.
type errStall struct{ after time.Duration }

func (e errStall) Error() string {
	return fmt.Sprintf("nothing arrived for %v, or less than %d bytes a second", e.after, minRate)
}
