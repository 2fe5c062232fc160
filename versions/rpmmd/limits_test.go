package rpmmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// the package of the lab.
func (l *lab) pkg() Package {
	return Package{Location: "x86_64/glibc.rpm", Size: int64(len(l.body)), Checksum: Checksum{"sha256", sum(l.body)}}
}

// Two repositories on one host have their requests counted together.
func TestConnectionsPerHost(t *testing.T) {
	const limit = 3
	l := newLab(t, gz)
	arrived, release := make(chan struct{}, 2*limit), make(chan struct{})
	m := newMirror(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		w.Write(l.body)
	}))
	network := NewNetwork(Limits{Connections: limit})
	repositories := []*Repository{
		l.open(t, m.URL+"/a", Options{Network: network}), l.open(t, m.URL+"/b", Options{Network: network}),
	}
	var wg sync.WaitGroup
	for i := range limit {
		wg.Go(func() {
			if err := repositories[i%2].Download(ctx, l.pkg(), filepath.Join(t.TempDir(), "x"), none); err != nil {
				t.Error(err)
			}
		})
	}
	for range limit {
		<-arrived
	}
	impatient, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	err := repositories[1].Download(impatient, l.pkg(), filepath.Join(t.TempDir(), "x"), none)
	if !errors.Is(err, context.DeadlineExceeded) || m.requests("") != limit {
		t.Errorf("%v, %d requests at a time; want %d", err, m.requests(""), limit)
	}
	close(release)
	wg.Wait()
	if err := repositories[1].Download(ctx, l.pkg(), filepath.Join(t.TempDir(), "x"), none); err != nil {
		t.Error(err)
	}
}

// That the limit makes a connection slow is not the server's stall.
func TestBytesPerSecond(t *testing.T) {
	l := newLab(t, gz)
	l.write(t, "slow", l.body[:128<<10])
	server := httptest.NewServer(l.files(nil))
	defer server.Close()
	r := l.open(t, server.URL, Options{Network: NewNetwork(Limits{BytesPerSecond: 2 * 100 << 10}), Stall: 250 * time.Millisecond})
	begun := time.Now()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			p := Package{Location: "slow", Size: 128 << 10, Checksum: Checksum{"sha256", sum(l.body[:128<<10])}}
			if err := r.Download(ctx, p, filepath.Join(t.TempDir(), "x"), none); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if d := time.Since(begun); d < 1200*time.Millisecond {
		t.Errorf("256 KiB at 200 KiB a second took %v", d)
	}
}

func TestRequestsPerSecond(t *testing.T) {
	l := newLab(t, gz)
	server := httptest.NewServer(l.files(nil))
	defer server.Close()
	r := l.open(t, server.URL, Options{Network: NewNetwork(Limits{RequestsPerSecond: 20})})
	begun := time.Now()
	if err := l.whole(t, r); err != nil { // repomd.xml, its signature, primary.xml, a package
		t.Fatal(err)
	}
	if d := time.Since(begun); d < 150*time.Millisecond {
		t.Errorf("four requests at twenty a second took %v", d)
	}
}

// A busy server is left alone for as long as it asks, by everybody.
func TestRetryAfter(t *testing.T) {
	l := newLab(t, gz)
	var mu sync.Mutex
	var busy time.Time
	m := newMirror(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if busy.IsZero() {
			busy = time.Now()
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if d := time.Since(busy); d < time.Second-50*time.Millisecond {
			t.Errorf("another request after %v", d)
		}
		l.files(nil).ServeHTTP(w, r)
	}))
	network := NewNetwork(Limits{})
	first, second := l.open(t, m.URL, Options{Network: network}), l.open(t, m.URL, Options{Network: network})
	if err := l.whole(t, first); err != nil {
		t.Error(err)
	}
	if err := l.whole(t, second); err != nil {
		t.Error(err)
	}
}

func TestRetryAfterTooLong(t *testing.T) {
	l := newLab(t, gz)
	closed := newMirror(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "86400")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	r := l.open(t, closed.URL, Options{})
	for range 3 {
		if err := l.whole(t, r); err == nil || !strings.Contains(err.Error(), "left alone for") {
			t.Errorf("%v", err)
		}
	}
	if n := closed.requests(""); n != 1 {
		t.Errorf("%d requests to a server that asked for a day of peace", n)
	}
	other := newMirror(t, l.files(nil))
	if err := l.whole(t, l.openMirrors(t, Options{}, closed.URL, other.URL)); err != nil {
		t.Error(err)
	}
}

func TestRetryAfterHeader(t *testing.T) {
	in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	for _, tt := range []struct {
		status      int
		value       string
		least, most time.Duration
		asked       bool
	}{
		{503, "7", 7 * time.Second, 7 * time.Second, true},
		{429, "0", 0, 0, true},
		{503, in(time.Hour), 59 * time.Minute, time.Hour, true},
		{503, in(-time.Hour), 0, 0, true},
		{503, "-7", 0, 0, false},
		{503, "99999999999999999999", 0, 0, false},
		{503, "soon", 0, 0, false},
		{500, "7", 0, 0, false},
	} {
		got, asked := retryAfter(&http.Response{StatusCode: tt.status, Header: http.Header{"Retry-After": {tt.value}}})
		if asked != tt.asked || got < tt.least || got > tt.most {
			t.Errorf("%d %q: %v, %v", tt.status, tt.value, got, asked)
		}
	}
}

// A server that sends a byte now and then is as good as one that sends nothing.
func TestTrickle(t *testing.T) {
	l := newLab(t, gz)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			w.Write([]byte("p"))
			w.(http.Flusher).Flush()
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r := l.open(t, server.URL, Options{Stall: 300 * time.Millisecond})
	err := r.Download(ctx, l.pkg(), filepath.Join(t.TempDir(), "x"), none)
	if err == nil || !strings.Contains(err.Error(), "bytes a second") {
		t.Errorf("%v", err)
	}
}

// A file that changes between two answers is not put together from both.
func TestResumeOfChangedFile(t *testing.T) {
	l := newLab(t, gz)
	var ranges []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ranges = append(ranges, r.Header.Get("Range")+" "+r.Header.Get("If-Range"))
		if len(ranges) == 1 {
			w.Header().Set("ETag", `"old"`)
			w.Header().Set("Content-Length", fmt.Sprint(len(l.body)))
			w.Write(make([]byte, len(l.body)/2))
			return // and so cut off
		}
		w.Header().Set("ETag", `"new"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(l.body))
	}))
	defer server.Close()
	dst := filepath.Join(t.TempDir(), "x")
	if err := l.open(t, server.URL, Options{}).Download(ctx, l.pkg(), dst, none); err != nil {
		t.Fatal(err)
	}
	want := []string{" ", fmt.Sprintf(`bytes=%d- "old"`, len(l.body)/2)}
	if got, err := os.ReadFile(dst); !bytes.Equal(got, l.body) || fmt.Sprint(ranges) != fmt.Sprint(want) {
		t.Errorf("%d bytes, %v; requests %q, want %q", len(got), err, ranges, want)
	}
}

// Nobody would notice parts of two files where no digest is known: such a file
// is gone on with only if the server says that it is the same one.
func TestResumeOfUnvouchedFile(t *testing.T) {
	l := newLab(t, gz)
	for _, tag := range []string{"", `W/"weak"`, `"strong"`} {
		var ranges []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ranges = append(ranges, r.Header.Get("Range"))
			w.Header().Set("ETag", tag)
			if len(ranges) == 1 {
				w.Header().Set("Content-Length", fmt.Sprint(len(l.body)))
				w.Write(l.body[:100])
				return
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(l.body))
		}))
		defer server.Close()
		f, err := os.Create(filepath.Join(t.TempDir(), "x"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := l.open(t, server.URL, Options{}).Fetch(ctx, "x", f, 1<<20, none); err != nil {
			t.Fatal(err)
		}
		want := []string{"", ""}
		if tag == `"strong"` {
			want[1] = "bytes=100-"
		}
		if got, _ := os.ReadFile(f.Name()); !bytes.Equal(got, l.body) || fmt.Sprint(ranges) != fmt.Sprint(want) {
			t.Errorf("tag %s: %d bytes, requests %q, want %q", tag, len(got), ranges, want)
		}
	}
}

// What a server says of sizes is held against what is known, before anything
// is read.
func TestAnnouncedSizes(t *testing.T) {
	l := newLab(t, gz)
	for name, tt := range map[string]struct {
		answer   http.HandlerFunc
		want     error
		requests int // with one more from the start, if it was not the first
	}{
		"too long": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9999999999")
			w.WriteHeader(http.StatusOK)
		}, ErrChecksum, 2},
		"too short": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			w.Write(l.body[:10])
		}, ErrTruncated, 2},
		"part of more": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 8-9/9999999999")
			w.WriteHeader(http.StatusPartialContent)
		}, ErrChecksum, 2},
		"ends early, unannounced": {func(w http.ResponseWriter, _ *http.Request) { w.Write(l.body[:10]); w.(http.Flusher).Flush() }, ErrTruncated, 2 * idleAlone},
	} {
		m := newMirror(t, tt.answer)
		dst := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(dst+".part", l.body[:8], 0o644); err != nil {
			t.Fatal(err)
		}
		err := l.open(t, m.URL, Options{}).Download(ctx, l.pkg(), dst, none)
		if !errors.Is(err, tt.want) || m.requests("") > tt.requests {
			t.Errorf("%s: %v after %d requests, want %v", name, err, m.requests(""), tt.want)
		}
	}
}

// A server that cuts every answer after a few bytes is not asked for ever.
func TestManySmallSteps(t *testing.T) {
	l := newLab(t, gz)
	c := &cutter{l: l, n: 10_000}
	m := newMirror(t, c)
	err := l.open(t, m.URL, Options{}).Download(ctx, l.pkg(), filepath.Join(t.TempDir(), "x"), none)
	if err == nil || m.requests("") > 2*idleAlone {
		t.Errorf("%v after %d requests", err, m.requests(""))
	}
}
