package e2e

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// interrupted is how every program ends on Ctrl-C.
var interrupted = refusal{code: 130, error: `^interrupted$`}

// interrupt sends SIGINT to the program alone: a terminal would send it to its
// children, too, which would hide that they are left running.
func (p *process) interrupt() {
	p.lab.t.Helper()
	if err := p.cmd.Process.Signal(unix.SIGINT); err != nil {
		p.lab.t.Fatal(err)
	}
	p.wait()
}

// await waits for something that the program leads to.
func (p *process) await(event <-chan struct{}) {
	p.lab.t.Helper()
	select {
	case <-event:
	case <-p.ended: // commandTimeout bounds it
		p.lab.t.Fatalf("%v ended too early: %d\n%s%s", p.cmd.Args, p.code, p.stdout.String(), p.stderr.String())
	}
}

// A stallingServer serves the first half of one file, and then nothing until
// it is told to go on.
type stallingServer struct {
	*httptest.Server
	stalled chan struct{} // closed when the half has been sent
	mu      sync.Mutex
	free    bool
	ranges  []string // of the requests for the file
}

func newStallingServer(t *testing.T, dir, file string) *stallingServer {
	t.Helper()
	s := &stallingServer{stalled: make(chan struct{})}
	files := http.FileServer(http.Dir(dir))
	var once sync.Once
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		free := s.free || path.Base(r.URL.Path) != file
		if path.Base(r.URL.Path) == file {
			s.ranges = append(s.ranges, r.Header.Get("Range"))
		}
		s.mu.Unlock()
		if free {
			files.ServeHTTP(w, r)
			return
		}
		data, err := os.ReadFile(filepath.Join(dir, r.URL.Path))
		if err != nil {
			t.Error(err)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		_, err = w.Write(half(data))
		if err = errors.Join(err, http.NewResponseController(w).Flush()); err != nil {
			t.Error(err)
		}
		once.Do(func() { close(s.stalled) })
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *stallingServer) goOn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free, s.ranges = true, nil
}

// TestInterruptDownload: in the middle of metadata and of a package.
func TestInterruptDownload(t *testing.T) {
	t.Parallel()
	shipped, err := greetRepository()
	if err != nil {
		t.Fatal(err)
	}
	primary, err := filepath.Glob(shipped.Dir + "/repodata/*-primary.xml*")
	if err != nil || len(primary) != 1 {
		t.Fatalf("%v, %v", primary, err)
	}
	for _, file := range []string{"repomd.xml", filepath.Base(primary[0]), newest + ".rpm", newestDebug + ".rpm"} {
		for _, before := range []string{"fresh", "locked"} {
			if file == newestDebug+".rpm" && before == "locked" {
				continue // with a record no debug symbols are fetched
			}
			t.Run(file+"/"+before, func(t *testing.T) {
				t.Parallel()
				l := newLab(t)
				s := newStallingServer(t, l.repo, file)
				key := filepath.Join(l.dir, "key.asc")
				writeFile(t, key, string(readFile(t, l.key())))
				l.serveFrom(s.URL, key)
				l.patch(goodTemplate, goodSource)
				if before == "locked" {
					writeRecords(l, s)
				}
				was := l.snapshot()
				l.partial = true
				p := l.start(nil, "lpbuild", "download")
				p.await(s.stalled)
				p.interrupt()
				p.refused(interrupted, was)
				arrived := l.arrived()
				s.goOn()
				l.partial = false
				l.must("lpbuild", "download")
				l.unchanged(l.snapshot(), nil)
				if want := fmt.Sprintf("bytes=%d-", arrived); arrived > 0 && !slices.Equal(s.ranges, []string{want}) {
					t.Errorf("ranges %q, want %s: the download was not gone on with", s.ranges, want)
				}
			})
		}
	}
}

// arrived is how much of a file is there that was not fetched whole.
func (l *lab) arrived() (n int64) {
	l.t.Helper()
	l.walk(l.cache, func(name string, d fs.DirEntry) {
		info, err := d.Info()
		if err != nil {
			l.t.Fatal(err)
		}
		if strings.HasSuffix(name, ".part") {
			n += info.Size()
		}
	})
	return n
}

// writeRecords downloads everything and then forgets the packages.
func writeRecords(l *lab, s *stallingServer) {
	l.t.Helper()
	s.goOn()
	l.must("lpbuild", "download")
	if err := os.RemoveAll(l.cache); err != nil {
		l.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free, s.ranges = false, nil
}

// A fifo is a named pipe that a program of the lab opens: that shows that it
// has come so far, and later whether it still runs.
type fifo struct {
	name   string
	opened chan struct{} // closed when both ends are open
	file   *os.File      // our end, once opened is closed
}

func (l *lab) fifo(name string, flag int) *fifo {
	l.t.Helper()
	f := &fifo{name: filepath.Join(l.dir, name), opened: make(chan struct{})}
	if err := unix.Mkfifo(f.name, 0o644); err != nil {
		l.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		file, err := os.OpenFile(f.name, flag, 0)
		if err == nil {
			f.file = file
			close(f.opened)
		}
	}()
	l.t.Cleanup(func() {
		// Both ends: whoever waits for the other end goes on.
		both, err := os.OpenFile(f.name, os.O_RDWR|unix.O_NONBLOCK, 0)
		if err == nil {
			<-done
			both.Close()
			f.file.Close()
		}
	})
	return f
}

// TestInterruptMake: while the compiler runs.
func TestInterruptMake(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"make", "check", "rpm"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.must("lpbuild", "download")
			l.must("lpbuild", "make")
			header := l.fifo("header.h", os.O_WRONLY)
			l.patch(goodTemplate, fmt.Sprintf("#include %q\n%s", header.name, goodSource))
			was := l.snapshot()
			p := l.start(nil, "lpbuild", command)
			p.await(header.opened)
			p.interrupt()
			p.refused(interrupted, was)
			if _, err := header.file.WriteString("x"); !errors.Is(err, unix.EPIPE) {
				t.Errorf("write to the compiler: %v: it still runs", err)
			}
			l.patch(goodTemplate, goodSource)
			l.must("lpbuild", command)
		})
	}
}

// TestInterruptTest: while the test program runs.
func TestInterruptTest(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	up := l.fifo("up", os.O_RDONLY)
	writeFile(t, l.project+"/livepatches/greet/test.c", fmt.Sprintf(`
#include <fcntl.h>
#include <unistd.h>
int main(void)
{
	open(%q, O_WRONLY);
	for (;;)
		pause();
}
`, up.name))
	l.must("lpbuild", "download")
	l.must("lpbuild", "make")
	was := l.snapshot()
	p := l.start(nil, "lpbuild", "-j", "1", "test")
	p.await(up.opened)
	p.interrupt()
	p.refused(interrupted, was)
	if rest, err := io.ReadAll(up.file); err != nil || len(rest) > 0 { // ends when nobody has it open for writing
		t.Errorf("%q, %v", rest, err)
	}
}

// TestInterruptTestReports: the reports have what was tried before, and say of
// the rest that it was not.
func TestInterruptTestReports(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	up := l.fifo("up", os.O_RDONLY)
	writeFile(t, l.project+"/livepatches/greet/test.c", fmt.Sprintf(`
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
const char *greet(void);
const char *lpbuild_hammer(void) { greet(); return NULL; }
int main(void)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	char byte;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(greet(), "greet 1.0") != 0) {
		open(%q, O_WRONLY);
		for (;;)
			pause();
	}
	do
		puts(greet());
	while (poll(&in, 1, 5) <= 0 || read(STDIN_FILENO, &byte, 1) > 0);
	return 0;
}
`, up.name))
	l.must("lpbuild", "download")
	l.must("lpbuild", "make")
	was := l.snapshot()
	junit, html := filepath.Join(t.TempDir(), "junit.xml"), filepath.Join(t.TempDir(), "report.html")
	p := l.start(nil, "lpbuild", "-j", "1", "test", "--junit", junit, "--html", html)
	p.await(up.opened)
	p.interrupt()
	p.refused(interrupted, was)
	if rest, err := io.ReadAll(up.file); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
	var suites struct {
		Suite struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Skipped  int `xml:"skipped,attr"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(readFile(t, junit), &suites); err != nil {
		t.Fatal(err)
	}
	if s := suites.Suite; s.Tests < 2 || s.Failures != 0 || s.Skipped != s.Tests-1 {
		t.Errorf("%+v: one build was tested\n%s", s, readFile(t, junit))
	}
	page := string(readFile(t, html))
	if n := strings.Count(page, `<td class="passed">`); n != 1 || !strings.Contains(page, "the run was interrupted") {
		t.Errorf("%d cells passed\n%s", n, page)
	}
}

// TestInterruptLpctl: SIGINT comes with the nth ptrace call. What was begun is
// finished, and told; the target runs on, old or new.
func TestInterruptLpctl(t *testing.T) {
	t.Parallel()
	needs(t, "strace")
	l := newLab(t)
	l.must("lpbuild", "download")
	l.must("lpbuild", "make")
	container := l.container("1.0")
	_, file := l.library("1.0")
	shipped := readFile(t, file)
	stopped := 0
	for nth := 1; nth <= 6; nth++ {
		t.Run(strconv.Itoa(nth), func(t *testing.T) {
			l := l.sub(t)
			tg := l.launch(shipped)
			pid := strconv.Itoa(tg.pid)
			was := l.snapshot()
			p := l.start(nil, "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=ptrace",
				"-e", fmt.Sprintf("inject=ptrace:signal=INT:when=%d", nth),
				filepath.Join(bin, "lpctl"), "-p", pid, "apply", container)
			p.wait()
			tg.undisturbed()
			answer := tg.ask('g')
			applied := answer == "20 patched"
			if !applied && answer != "20 greet 1.0" {
				t.Errorf("answer %q", answer)
			}
			if said := strings.Contains(p.stdout.String(), "APPLIED"); said != applied {
				t.Errorf("%q is the answer after\n%s", answer, p.stdout.String())
			}
			if p.code == 0 && applied { // it had finished before the signal was noticed
				l.unchanged(was, nil)
			} else {
				want := interrupted
				want.stdout = `(?m)^` + pid + ` |^$`
				p.refused(want, was)
				stopped++
			}
			l.must("lpctl", "-p", pid, "revert", "--all")
			if answer := tg.ask('g'); answer != "20 greet 1.0" {
				t.Errorf("reverted: %q", answer)
			}
		})
	}
	if stopped == 0 {
		t.Error("no run was interrupted")
	}
}
