package demo

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// A server offers a repository on loopback and counts the packages fetched.
type server struct {
	url      string
	packages atomic.Int64
	http     *http.Server
}

func serve(dir string) (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{url: "http://" + listener.Addr().String()}
	files := http.FileServer(http.Dir(dir))
	s.http = &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, ".rpm") {
				s.packages.Add(1)
			}
			files.ServeHTTP(w, r)
		}),
	}
	go s.http.Serve(listener) //nolint:errcheck // ends with ErrServerClosed
	return s, nil
}

// stop ends the server; a second call does nothing.
func (s *server) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
}
