package rpmmd

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

const (
	// minStep is what a request must bring, in bytes, for the next one not to
	// count as another try of the same.
	minStep = 64 << 10
	// retriesAlone and retriesBeside are how often a request is repeated that
	// failed before a body arrived: where there is no other mirror, and where
	// there is one.
	retriesAlone, retriesBeside = 4, 1
	// idleAlone and idleBeside are how many requests in a row may be cut off.
	idleAlone, idleBeside = 3, 1
)

// An httpFetcher goes on with a Range request where a connection was cut.
// Requests that fail before a body arrives are repeated by go-retryablehttp.
type httpFetcher struct {
	base   *url.URL
	client *retryablehttp.Client
	idle   int // requests in a row that may be cut off
	wait   time.Duration
	env    string // begins the names of the variables with credentials
}

// newHTTP makes what repeats requests. alone says that there is no other server.
func (c *client) newHTTP(t *transport, alone bool) *retryablehttp.Client {
	h := retryablehttp.NewClient()
	h.HTTPClient = &http.Client{Transport: t, CheckRedirect: t.checkRedirect}
	h.Logger = c.log()
	h.RetryMax = retriesBeside
	if alone {
		h.RetryMax = retriesAlone
	}
	h.RetryWaitMin = c.opts.retryWait()
	h.RetryWaitMax = 16 * h.RetryWaitMin
	h.CheckRetry = worthRetry
	h.Backoff = backoff
	h.ErrorHandler = retryablehttp.PassthroughErrorHandler
	return h
}

// worthRetry says whether the same request may end otherwise soon.
func worthRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	var stall errStall
	if errors.Is(err, errRefused) || errors.As(err, &stall) {
		return false, nil
	}
	if resp != nil {
		if wait, asked := retryAfter(resp); asked && wait > maxRetryAfter {
			return false, nil
		}
	}
	again, _ := retryablehttp.DefaultRetryPolicy(ctx, resp, err)
	return again, nil
}

// backoff doubles the wait with every attempt and varies it, so that many
// clients do not come back at once. What the server asks for is kept where the
// request is made, for all requests to it.
func backoff(least, most time.Duration, attempt int, _ *http.Response) time.Duration {
	d := min(most, least<<min(attempt, 10))
	return d/2 + rand.N(d/2+1)
}

func (f *httpFetcher) fetch(ctx context.Context, w wanted, dst *os.File) error {
	u := f.base.JoinPath(strings.Split((&url.URL{Path: w.path}).EscapedPath(), "/")...)
	p := &partial{wanted: w, dst: dst}
	for idle := 0; ; {
		before, err := dst.Seek(0, io.SeekEnd)
		if err != nil {
			return fmt.Errorf("%w: %w", errLocal, err)
		}
		err = f.once(ctx, u, p)
		var cut *cutError
		if !errors.As(err, &cut) {
			return err
		}
		after, serr := dst.Seek(0, io.SeekEnd)
		if serr != nil {
			return fmt.Errorf("%w: %w", errLocal, serr)
		}
		if idle++; after >= before+minStep {
			idle = 0
		}
		if idle >= f.idle {
			return fmt.Errorf("%s: %w", place(u), cut.err)
		}
		if err := sleep(ctx, backoff(f.wait, 16*f.wait, idle, nil)); err != nil {
			return err
		}
	}
}

// place is a URL for messages: what may be a secret is left out.
func place(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// cutError is the end of a body before its time: worth another request.
type cutError struct{ err error }

func (e *cutError) Error() string { return e.err.Error() }

// A partial is a file that arrives in one answer or several.
type partial struct {
	wanted
	dst       *os.File
	validator string // of the first answer, for If-Range
}

// once makes one request for what p lacks.
func (f *httpFetcher) once(ctx context.Context, u *url.URL, p *partial) error {
	have, err := p.dst.Seek(0, io.SeekEnd)
	if err == nil && have > 0 && !p.vouched && p.validator == "" {
		// Nobody would notice parts of different files.
		err = restart(p.dst, p.progress)
		have = 0
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errLocal, err)
	}
	resp, err := f.request(ctx, u, have, p.validator)
	if err != nil {
		return f.failure(ctx, u, err)
	}
	defer resp.Body.Close()
	have, err = p.begin(resp, have)
	if err == nil && have < 0 {
		err = f.status(resp)
	}
	if err == nil {
		err = p.receive(ctx, resp, have)
	}
	var cut *cutError
	if err == nil || errors.As(err, &cut) {
		return err
	}
	return fmt.Errorf("%s: %w", place(u), err)
}

// failure is the error of a request without an answer.
func (f *httpFetcher) failure(ctx context.Context, u *url.URL, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err // its URL may be one that a redirect made up
	}
	var stall errStall
	if errors.As(err, &stall) {
		return &cutError{err}
	}
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		err = fmt.Errorf("%w (ca: in lpbuild.yaml names a file with the server's own authority)", err)
	}
	return fmt.Errorf("%s: %w", place(u), err)
}

// begin looks at the head of an answer to a request for what follows the first
// have bytes. It returns from where the answer goes on, -1 if it is none.
func (p *partial) begin(resp *http.Response, have int64) (int64, error) {
	switch resp.StatusCode {
	case http.StatusOK:
		if err := restart(p.dst, p.progress); err != nil {
			return 0, err
		}
		p.validator = validator(resp)
		return 0, p.sized(resp.ContentLength)
	case http.StatusPartialContent:
		from, total := contentRange(resp)
		if err := p.sized(total); err != nil {
			return 0, err
		}
		now := validator(resp)
		if from == have && (p.validator == "" || now == "" || now == p.validator) {
			return have, nil
		}
	case http.StatusRequestedRangeNotSatisfiable:
	default:
		return -1, nil
	}
	p.validator = ""
	if err := restart(p.dst, p.progress); err != nil {
		return 0, err
	}
	return 0, &cutError{fmt.Errorf("answer %d to a request from byte %d", resp.StatusCode, have)}
}

// sized compares the size that a server announces, -1 if unknown, with the
// right one.
func (p *partial) sized(announced int64) error {
	switch {
	case announced < 0:
		return nil
	case announced > p.limit:
		return fmt.Errorf("%w: the server has %d bytes, at most %d are right", ErrChecksum, announced, p.limit)
	case p.exact && announced < p.limit:
		return fmt.Errorf("%w: the server has %d bytes of %d", ErrTruncated, announced, p.limit)
	}
	return nil
}

// receive copies a body that goes on from byte have.
func (p *partial) receive(ctx context.Context, resp *http.Response, have int64) error {
	rest := p.wanted
	rest.limit -= have
	err := copyBounded(ctx, p.dst, resp.Body, rest)
	switch {
	case err == nil && p.exact:
		if size, serr := p.dst.Seek(0, io.SeekEnd); serr == nil && size < p.limit {
			return &cutError{fmt.Errorf("%w: %d bytes of %d", ErrTruncated, size, p.limit)}
		}
		return nil
	case err == nil && !p.vouched:
		return plainEncoding(resp)
	case err == nil, errors.Is(err, ErrChecksum), errors.Is(err, errLocal), ctx.Err() != nil:
		return err
	}
	return &cutError{err}
}

// plainEncoding refuses a body that is packed although nobody asked for that:
// what follows would be a riddle of a wrong signature.
func plainEncoding(resp *http.Response) error {
	if e := resp.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return fmt.Errorf("%w: the server sends it as %.20q, which it was not asked for", ErrFormat, e)
	}
	return nil
}

func (f *httpFetcher) request(ctx context.Context, u *url.URL, from int64, validator string) (*http.Response, error) {
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "lpbuild")
	// The bytes are what is signed: no transparent decompression.
	req.Header.Set("Accept-Encoding", "identity")
	if from > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(from, 10)+"-")
		if validator != "" {
			req.Header.Set("If-Range", validator)
		}
	}
	return f.client.Do(req)
}

// status is the error of an answer without a file. The text of a status is the
// server's to choose and not for a terminal.
func (f *httpFetcher) status(resp *http.Response) error {
	code := strings.TrimSpace(strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode))
	switch resp.StatusCode {
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("answer %s: %w", code, ErrNotFound)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("answer %s: credentials are in %sUSER and %[2]sPASSWORD, %[2]sTOKEN, or a netrc", code, f.env)
	case http.StatusProxyAuthRequired:
		return fmt.Errorf("answer %s: the proxy wants a user and password", code)
	}
	if wait, asked := retryAfter(resp); asked {
		return fmt.Errorf("answer %s: asks to be left alone for %v", code, wait.Round(time.Second))
	}
	return fmt.Errorf("answer %s", code)
}

// validator names the state of the file for If-Range (RFC 9110, section
// 13.1.5): a strong entity tag, or a time of modification that is well before
// the answer. "" is none.
func validator(resp *http.Response) string {
	if tag := resp.Header.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	modified, err := http.ParseTime(resp.Header.Get("Last-Modified"))
	if err != nil {
		return ""
	}
	if now, err := http.ParseTime(resp.Header.Get("Date")); err != nil || now.Sub(modified) < time.Minute {
		return ""
	}
	return resp.Header.Get("Last-Modified")
}

// contentRange is where a partial answer begins and how large the whole file
// is; -1 is unknown.
func contentRange(resp *http.Response) (from, total int64) {
	unit, value, _ := strings.Cut(resp.Header.Get("Content-Range"), " ")
	part, whole, _ := strings.Cut(value, "/")
	first, _, dash := strings.Cut(part, "-")
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || unit != "bytes" || !dash || from < 0 {
		return -1, -1
	}
	if total, err = strconv.ParseInt(whole, 10, 64); err != nil || total < 0 {
		total = -1
	}
	return from, total
}
