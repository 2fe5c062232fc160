package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A journal is the system log of the scratch root. It keeps what rpm-helper
// reports.
type journal struct {
	socket *net.UnixConn
	done   chan struct{}
	mu     sync.Mutex
	lines  []string
}

// openJournal listens where syslog(3) writes to.
func openJournal() (*journal, error) {
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	// Room for a message of every process, however late this is to read them.
	if err := socket.SetReadBuffer(4 << 20); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	j := &journal{socket: socket, done: make(chan struct{})}
	go j.read()
	return j, nil
}

func (j *journal) read() {
	defer close(j.done)
	buf := make([]byte, 64<<10)
	for {
		n, err := j.socket.Read(buf)
		if err != nil {
			return
		}
		j.mu.Lock()
		j.lines = append(j.lines, string(buf[:n]))
		j.mu.Unlock()
	}
}

// mark is a message of our own: those before it have been read when it has.
const mark = "scratch mark"

// take returns the reports that came since the last time.
func (j *journal) take(ctx context.Context) ([]report, error) {
	conn, err := net.Dial("unixgram", "/dev/log")
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(mark)); err != nil {
		return nil, err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		j.mu.Lock()
		lines := j.lines
		if n := len(lines); n > 0 && lines[n-1] == mark {
			j.lines = nil
			j.mu.Unlock()
			return parseReports(lines[:n-1])
		}
		j.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func (j *journal) close() error {
	err := errors.Join(j.socket.Close(), os.Remove("/dev/log"))
	<-j.done
	return err
}

// A report is what rpm-helper says of one process.
type report struct {
	pid       int
	word      string
	pack      string // the live-patch package
	scriptlet string
	command   string
	reason    string
	stopped   time.Duration
}

var reportShape = regexp.MustCompile(
	`msg="pid (\d+): ([A-Z-]+)" package=(\S+) scriptlet=(\S+) command=("(?:[^"\\]|\\.)*"|\S*) .*reason=("(?:[^"\\]|\\.)*"|\S*) stopped=(\S+)`)

// parseReports reads messages of rpm-helper to the system log. Any other
// message is an error: it says what went wrong.
func parseReports(lines []string) ([]report, error) {
	var out []report
	for _, line := range lines {
		m := reportShape.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("the system log says %q", strings.TrimSpace(line))
		}
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			return nil, err
		}
		stopped, err := time.ParseDuration(m[7])
		if err != nil {
			return nil, err
		}
		out = append(out, report{pid, m[2], m[3], m[4], m[5], m[6], stopped})
	}
	return out, nil
}

// A summary is the line that rpm-helper prints: "glibc-livepatches 0.2: 12
// processes: 11 REPLACED, 1 BUSY".
type summary struct {
	pack, version string
	processes     int
	words         map[string]int
}

var (
	summaryShape = regexp.MustCompile(`^(\S+?) (\S+): (\d+) process(?:es)?: (\d+ [A-Z-]+(?:, \d+ [A-Z-]+)*)$`)
	countShape   = regexp.MustCompile(`(\d+) ([A-Z-]+)`)
)

// parseSummaries reads all that rpm printed; a line that is not of rpm-helper
// is an error.
func parseSummaries(output string) ([]summary, error) {
	var out []summary
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		m := summaryShape.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("rpm printed %q", line)
		}
		s := summary{pack: m[1], version: m[2], words: make(map[string]int)}
		var err error
		if s.processes, err = strconv.Atoi(m[3]); err != nil {
			return nil, err
		}
		for _, c := range countShape.FindAllStringSubmatch(m[4], -1) {
			if s.words[c[2]], err = strconv.Atoi(c[1]); err != nil {
				return nil, err
			}
		}
		out = append(out, s)
	}
	return out, nil
}
