package versions

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions/rpmmd"
)

// debuginfod serves packages by the real program and returns its URL.
func debuginfod(t testing.TB, rpms string) string {
	t.Helper()
	need(t, "debuginfod")
	for range 5 { // another program may take the port before it does
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := listener.Addr().(*net.TCPAddr).Port
		listener.Close()
		cmd := exec.CommandContext(t.Context(), "debuginfod", "-v", "-t", "0", "-g", "0",
			"-d", filepath.Join(t.TempDir(), "index"), "-p", fmt.Sprint(port), "-R", rpms)
		stderr, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "groomed database") { // after the packages were read
				t.Cleanup(func() {
					_ = cmd.Process.Kill()
					_ = cmd.Wait()
				})
				go func() { _, _ = io.Copy(io.Discard, stderr) }()
				return fmt.Sprintf("http://127.0.0.1:%d", port)
			}
		}
		_ = cmd.Wait()
	}
	t.Fatal("debuginfod does not start")
	return ""
}

// The server has the debug file and what dwz moved out of it. What came once is not asked for again, and nothing is
// asked offline.
func TestDebuginfod(t *testing.T) {
	d := pair(t)
	l := pairLab(t, d.packaged, nil)
	req := l.pairRequest(pairNames...)
	t.Setenv("DEBUGINFOD_URLS", "ima:enforcing "+debuginfod(t, d.rpms))
	req.Debuginfod = []string{DebuginfodURLs}
	log, records := l.recordPair(req)
	want := known{private: true, variable: true, prototype: true, absent: true}
	if have := knows(records[0]); records[0].DebugSource != elfinfo.DebugServer || have != want {
		t.Fatalf("source %s, known %+v\n%s", records[0].DebugSource, have, log)
	}
	before := l.snapshot()
	t.Setenv("DEBUGINFOD_URLS", "http://127.0.0.1:1")
	l.recordPair(req)
	if changes := different(before, l.snapshot()); changes != "" {
		t.Errorf("a second run changed %s", changes)
	}
	// New names come out of the store.
	req.Names = append(req.Names, "hidden_other")
	if log, records = l.recordPair(req); knows(records[0]) != want || strings.Contains(log, "WARN") {
		t.Errorf("known %+v\n%s", knows(records[0]), log)
	}
}

// A project that asks a server only now learns more of the same names.
func TestDebuginfodLater(t *testing.T) {
	d := pair(t)
	l := pairLab(t, d.packaged, nil)
	req := l.pairRequest("hidden_one")
	req.Libraries = []string{"/usr/lib64/libone.so.1"}
	for _, servers := range [][]string{nil, {debuginfod(t, d.rpms)}} {
		req.Debuginfod = servers
		if _, err := Download(ctx, req, l.options()); err != nil {
			t.Fatal(err)
		}
		records, err := ReadRecords(l.project)
		if err != nil || len(records) != 1 {
			t.Fatalf("%d records, %v", len(records), err)
		}
		if have := knows(records[0]); have.prototype != (servers != nil) || !have.private {
			t.Errorf("servers %v: source %s, known %+v", servers, records[0].DebugSource, have)
		}
	}
}

// different names the first file that is not the same.
func different(before, after map[string]string) string {
	for name, text := range after {
		if before[name] != text {
			return name
		}
	}
	return ""
}

func TestDebuginfodOnlyIfTheProjectSaysSo(t *testing.T) {
	d := pair(t)
	l := pairLab(t, d.packaged, nil)
	asked := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		http.NotFound(w, r)
	}))
	defer server.Close()
	t.Setenv("DEBUGINFOD_URLS", server.URL)
	req := l.pairRequest("one")
	l.recordPair(req)
	req.Debuginfod = []string{server.URL}
	opts := l.options()
	opts.Offline = true
	if _, err := Download(ctx, req, opts); err != nil {
		t.Fatal(err)
	}
	if len(asked) > 0 {
		t.Errorf("asked for %s", <-asked)
	}
	l.recordPair(req)
	if len(asked) != 2 {
		t.Errorf("asked %d times, want once for each library", len(asked))
	}
}

// Whatever a server does, the builds are recorded by what else there is, its credentials are in no log and no file, and
// the store keeps nothing of it.
func TestDebuginfodThatMisbehaves(t *testing.T) {
	d := pair(t)
	var other []byte
	for _, f := range d.debugged {
		if strings.Contains(f.Name, "libtwo") && f.Mode == 0o755 {
			other = f.Body
		}
	}
	for name, handler := range map[string]http.HandlerFunc{
		"has nothing":     http.NotFound,
		"fails":           func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "s3cret", http.StatusInternalServerError) },
		"is a login page": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"refuses":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"gives another":   func(w http.ResponseWriter, _ *http.Request) { w.Write(other[:len(other)-8]) },
		"stops": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9999")
			w.Write(other[:100])
		},
		"never ends": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.Write(make([]byte, 4096))
			}
		},
		"claims to be huge": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "9999999999") },
		"stalls": func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"redirects for ever": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(handler)
			defer server.Close()
			l := pairLab(t, d.packaged, nil)
			req := l.pairRequest(pairNames...)
			req.Debuginfod = []string{server.URL}
			var log bytes.Buffer
			opts := l.options()
			opts.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			opts.answers = answerLimits{size: 1 << 20, stall: 200 * time.Millisecond, timeout: 5 * time.Second, retryWait: time.Millisecond}
			lock, err := Download(ctx, req, opts)
			if err != nil {
				t.Fatal(err)
			}
			for _, b := range lock.Builds {
				if b.DebugSource != elfinfo.DebugMini {
					t.Errorf("%s: source %s\n%s", b.Library, b.DebugSource, log.String())
				}
			}
			if name != "has nothing" && !strings.Contains(log.String(), "debuginfod server") {
				t.Errorf("no warning: %s", log.String())
			}
			left, err := filepath.Glob(filepath.Join(l.store, "debuginfod", "*"))
			hidden, err2 := filepath.Glob(filepath.Join(l.store, "debuginfod", ".*"))
			if len(left)+len(hidden) != 0 || err != nil || err2 != nil {
				t.Errorf("left behind: %v %v", left, hidden)
			}
		})
	}
}

// Credentials reach their server, and nothing else: no log, no message, no file.
func TestDebuginfodCredentials(t *testing.T) {
	const secret = "s3cret-words"
	d := pair(t)
	l := pairLab(t, d.packaged, nil)
	back, err := url.Parse(debuginfod(t, d.rpms))
	if err != nil {
		t.Fatal(err)
	}
	behind := httputil.NewSingleHostReverseProxy(back)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != secret {
			http.Error(w, r.Header.Get("Authorization"), http.StatusUnauthorized)
			return
		}
		behind.ServeHTTP(w, r)
	}))
	defer server.Close()
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	prefix := rpmmd.EnvPrefix("debuginfod " + address.Host)
	req := l.pairRequest(pairNames...)
	req.Debuginfod = []string{server.URL}
	log, _ := l.recordPair(req) // without
	t.Setenv(prefix+"USER", "me")
	t.Setenv(prefix+"PASSWORD", secret)
	again, records := l.recordPair(req)
	if records[0].DebugSource != elfinfo.DebugServer {
		t.Errorf("source %s\n%s", records[0].DebugSource, again)
	}
	for name, text := range l.snapshot() {
		log += name + text
	}
	t.Setenv("DEBUGINFOD_URLS", strings.Replace(server.URL, "://", "://me:"+secret+"@", 1))
	req.Debuginfod = []string{DebuginfodURLs}
	if _, err := Download(ctx, req, l.options()); err == nil {
		t.Error("a URL with a user is no error")
	} else {
		log += err.Error()
	}
	if strings.Contains(log+again, secret) {
		t.Errorf("the secret is in %s", log+again)
	}
}

// The second server is asked if the first has something else.
func TestDebuginfodServersInOrder(t *testing.T) {
	d := pair(t)
	l := pairLab(t, d.packaged, nil)
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "no ELF file") }))
	defer liar.Close()
	req := l.pairRequest(pairNames...)
	req.Debuginfod = []string{liar.URL, debuginfod(t, d.rpms)}
	log, records := l.recordPair(req)
	if records[0].DebugSource != elfinfo.DebugServer || !strings.Contains(log, "gave something else") {
		t.Errorf("source %s\n%s", records[0].DebugSource, log)
	}
}

// A record never loses what it knows because a source is gone: the build fails, and its record stays.
func TestRecordStaysWhenDebugSymbolsGo(t *testing.T) {
	d := pair(t)
	l := pairLab(t, d.packaged, d.debugged)
	_, records := l.recordPair(l.pairRequest(pairNames...))
	before := l.snapshot()
	for _, f := range []string{"pair-debuginfo-1.0-1.x86_64.rpm"} {
		if err := os.Remove(filepath.Join(l.repo, f)); err != nil {
			t.Fatal(err)
		}
	}
	l.index()
	// The package that the lock names is in the store yet.
	_, again := l.recordPair(l.pairRequest(append(pairNames, "sum")...))
	if knows(again[0]) != knows(records[0]) {
		t.Errorf("known %+v", knows(again[0]))
	}
	l.store = t.TempDir()
	was := l.snapshot()
	_, err := Download(ctx, l.pairRequest(append(pairNames, "sum", "other")...), l.options())
	if err == nil || !strings.Contains(err.Error(), "pair-1.0-1.x86_64") {
		t.Errorf("without the store: %v", err)
	}
	if changes := different(was, l.snapshot()); changes != "" || len(before) == 0 {
		t.Errorf("%s changed", changes)
	}
}

// A server that is gone is no reason to forget what it said.
func TestRecordStaysWhenTheServerGoes(t *testing.T) {
	d := pair(t)
	l := pairLab(t, d.packaged, nil)
	req := l.pairRequest(pairNames...)
	req.Debuginfod = []string{debuginfod(t, d.rpms)}
	l.recordPair(req)
	l.store = t.TempDir()
	req.Debuginfod = nil
	was := l.snapshot()
	l.recordPair(req) // nothing new is asked for
	req.Names = append(req.Names, "other")
	if _, err := Download(ctx, req, l.options()); err == nil || !strings.Contains(err.Error(), ErrDebugSymbols.Error()) {
		t.Errorf("a new name: %v", err)
	}
	if changes := different(was, l.snapshot()); changes != "" {
		t.Errorf("%s changed", changes)
	}
}

// What is in the store is held against its digest and the library in every run.
func TestDebuginfodStoreIsNotTrusted(t *testing.T) {
	d := pair(t)
	l := pairLab(t, d.packaged, nil)
	req := l.pairRequest(pairNames...)
	req.Debuginfod = []string{debuginfod(t, d.rpms)}
	_, records := l.recordPair(req)
	want := knows(records[0])
	err := filepath.WalkDir(filepath.Join(l.store, "debuginfod"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		data[len(data)/2] ^= 1
		return os.WriteFile(name, data, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	req.Names = append(req.Names, "other")
	if _, records = l.recordPair(req); knows(records[0]) != want {
		t.Errorf("known %+v", knows(records[0]))
	}
}

// TestServerOfAnybody: what nobody signs must not come over a line that anybody
// can write to.
func TestServerOfAnybody(t *testing.T) {
	for raw, ok := range map[string]bool{
		"https://debuginfod.example.org": true, "http://127.0.0.1:8002": true, "http://[::1]:8002": true, "http://localhost": true,
		"http://debuginfod.example.org": false, "http://127.0.0.1.example.org": false, "http://10.0.0.1": false,
	} {
		t.Setenv("DEBUGINFOD_URLS", raw)
		d := &downloader{req: Request{Debuginfod: []string{DebuginfodURLs}}, store: &Store{dir: t.TempDir()}}
		if err := d.newServers(); (err == nil) != ok {
			t.Errorf("%s: %v", raw, err)
		}
	}
}
