package rpmmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	maxRedirects = 10
	// minRate is what a connection must bring, in bytes a second on average,
	// while it is waited for. It is dnf's minrate.
	minRate = 1000
	// maxRead is the most that is read before the limits are looked at, in bytes.
	maxRead = 64 << 10
)

// errRefused is what no repetition changes.
var errRefused = errors.New("refused")

// A transport makes requests on behalf of one server of a repository. It adds
// the credentials to requests to that server, and to no others: not to another
// host, port or scheme that a redirect leads to. It keeps the network's limits
// and ends requests that stall.
type transport struct {
	network *Network
	origin  string // scheme://host:port, where the credentials go
	secure  bool   // https, and so it stays
	access  access
	home    http.RoundTripper // to the origin, with the client certificate
	away    http.RoundTripper
	stall   time.Duration
}

// origin is scheme, host and port of a URL, the port always given.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + u.Hostname() + ":" + port
}

// checkRedirect bounds redirects and refuses to leave TLS.
func (t *transport) checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("%w: more than %d redirects", errRefused, maxRedirects)
	}
	return t.check(req)
}

func (t *transport) check(req *http.Request) error {
	switch {
	case t.secure && req.URL.Scheme != "https":
		return fmt.Errorf("%w: a redirect from https to %.10s://%s", errRefused, req.URL.Scheme, req.URL.Host)
	case req.URL.Scheme != "http" && req.URL.Scheme != "https":
		return fmt.Errorf("%w: a redirect to %.10s", errRefused, req.URL.Scheme)
	case req.URL.User != nil:
		return fmt.Errorf("%w: a redirect to a URL with a user", errRefused)
	}
	return nil
}

// RoundTrip makes one request; see http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.check(req); err != nil {
		return nil, err
	}
	h := t.network.host(origin(req.URL))
	release, err := h.acquire(req.Context())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{stall: t.stall, cancel: cancel}
	out := req.Clone(ctx)
	via := t.away
	if origin(req.URL) == t.origin {
		t.access.authorize(out)
		via = t.home
	}
	w.resume()
	resp, err := via.RoundTrip(out)
	w.pause(0)
	if err != nil {
		err = cause(ctx, err)
		cancel(nil)
		release()
		return nil, err
	}
	if wait, asked := retryAfter(resp); asked {
		h.pause(wait)
	}
	resp.Body = &body{ReadCloser: resp.Body, ctx: ctx, watch: w, bytes: t.network.bytes, release: release}
	resp.Request = req // without the credentials
	return resp, nil
}

// cause puts a stall in the place of the cancellation that it led to.
func cause(ctx context.Context, err error) error {
	var stall errStall
	if errors.As(context.Cause(ctx), &stall) {
		return stall
	}
	return err
}

// retryAfter is for how long a busy server asks to be left alone (RFC 9110,
// section 10.2.3).
func retryAfter(resp *http.Response) (time.Duration, bool) {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0, false
	}
	value := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at)), true
	}
	return 0, false
}

// A body is what arrives, within the limits. It must be closed.
type body struct {
	io.ReadCloser
	ctx     context.Context
	watch   *watch
	bytes   *pace
	release func()
}

func (b *body) Read(p []byte) (int, error) {
	if len(p) > maxRead {
		p = p[:maxRead]
	}
	b.watch.resume()
	n, err := b.ReadCloser.Read(p)
	b.watch.pause(n)
	if err != nil && err != io.EOF {
		err = cause(b.ctx, err)
	}
	if werr := b.bytes.wait(b.ctx, n); werr != nil && err == nil {
		err = werr
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.watch.cancel(nil)
	b.release()
	return err
}

// A watch cancels a request that was waited for too long. The time that passes
// between pause and resume is ours and does not count.
type watch struct {
	stall  time.Duration
	cancel context.CancelCauseFunc
	timer  *time.Timer
	begun  time.Time
	waited time.Duration
	got    int
}

func (w *watch) resume() {
	w.begun = time.Now()
	left := w.stall - w.waited
	if w.timer == nil {
		w.timer = time.AfterFunc(left, func() { w.cancel(errStall{w.stall}) })
		return
	}
	w.timer.Reset(left)
}

// pause notes that n bytes have arrived. The count begins again when they are
// as many as minRate asks for in the time of a stall.
func (w *watch) pause(n int) {
	w.timer.Stop()
	w.waited += time.Since(w.begun)
	if w.got += n; w.got >= int(minRate*w.stall.Seconds()) && n > 0 {
		w.waited, w.got = 0, 0
	}
}
