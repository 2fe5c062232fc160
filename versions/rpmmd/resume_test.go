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

// cutter serves l and cuts every answer for a package off after n bytes.
type cutter struct {
	mu     sync.Mutex
	l      *lab
	n      int
	ranges []string
}

func (c *cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, ".rpm") {
		http.FileServer(http.Dir(c.l.dir)).ServeHTTP(w, r)
		return
	}
	c.mu.Lock()
	c.ranges = append(c.ranges, r.Header.Get("Range"))
	c.mu.Unlock()
	http.ServeContent(&short{ResponseWriter: w, left: c.n}, r, "", time.Time{}, bytes.NewReader(c.l.body))
}

type short struct {
	http.ResponseWriter
	left int
}

func (s *short) Write(p []byte) (int, error) {
	if len(p) > s.left {
		s.ResponseWriter.Write(p[:s.left])
		panic(http.ErrAbortHandler)
	}
	s.left -= len(p)
	return s.ResponseWriter.Write(p)
}

func TestResume(t *testing.T) {
	l := newLab(t, plain)
	c := &cutter{l: l, n: len(l.body)/3 + 1}
	server := httptest.NewServer(c)
	defer server.Close()
	r := l.open(t, server.URL, Options{})
	packages, err := r.Packages(ctx, []string{"glibc"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(t.TempDir(), "glibc.rpm")
	if err := r.Download(ctx, packages[0], dst, none); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(dst); !bytes.Equal(b, l.body) {
		t.Error("other bytes")
	}
	if len(c.ranges) < 3 || c.ranges[0] != "" || !strings.HasPrefix(c.ranges[1], "bytes=") {
		t.Errorf("requests: %q", c.ranges)
	}
}

// What a run that was interrupted left is gone on with by the next one; if it
// is of another file, the next run starts over.
func TestResumeLater(t *testing.T) {
	l := newLab(t, plain)
	c := &cutter{l: l, n: len(l.body)}
	server := httptest.NewServer(c)
	defer server.Close()
	r := l.open(t, server.URL, Options{})
	packages, err := r.Packages(ctx, []string{"glibc"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	half := len(l.body) / 2
	for name, tt := range map[string]struct {
		part   []byte
		ranges []string
	}{
		"same file":  {l.body[:half], []string{fmt.Sprintf("bytes=%d-", half)}},
		"other file": {make([]byte, half), []string{fmt.Sprintf("bytes=%d-", half), ""}},
		"complete":   {l.body, nil},
		"too long":   {append(bytes.Clone(l.body), 1), []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			c.ranges = nil
			dst := filepath.Join(t.TempDir(), "glibc.rpm")
			if err := os.WriteFile(dst+".part", tt.part, 0o644); err != nil {
				t.Fatal(err)
			}
			var arrived int64
			if err := r.Download(ctx, packages[0], dst, func(n int64) { arrived += n }); err != nil {
				t.Fatal(err)
			}
			if b, _ := os.ReadFile(dst); !bytes.Equal(b, l.body) || arrived != int64(len(b)) {
				t.Errorf("%d bytes, progress %d", len(b), arrived)
			}
			if fmt.Sprint(c.ranges) != fmt.Sprint(tt.ranges) {
				t.Errorf("requests %q, want %q", c.ranges, tt.ranges)
			}
		})
	}
}

func TestServerThatNeverGetsOn(t *testing.T) {
	l := newLab(t, plain)
	c := &cutter{l: l, n: 0}
	server := httptest.NewServer(c)
	defer server.Close()
	r := l.open(t, server.URL, Options{})
	packages, err := r.Packages(ctx, []string{"glibc"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Download(ctx, packages[0], filepath.Join(t.TempDir(), "x"), none); err == nil {
		t.Error("no error")
	}
}

func TestStalledServer(t *testing.T) {
	l := newLab(t, plain)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	_, err := l.open(t, server.URL, Options{Stall: 20 * time.Millisecond}).Packages(ctx, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "nothing arrived") {
		t.Errorf("error %v", err)
	}
}

func TestCancel(t *testing.T) {
	l := newLab(t, plain)
	started := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(ctx)
	go func() { <-started; cancel() }()
	if _, err := l.open(t, server.URL, Options{}).Packages(ctx, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
