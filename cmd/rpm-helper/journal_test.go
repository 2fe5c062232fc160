package main

import (
	"log/slog"
	"log/syslog"
	"net"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// A message of the system log has the record's priority (daemon is 3<<3) and
// says what the log does not know by itself, on one line.
func TestJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	j := newJournal("rpm-helper")
	j.conn.once.Do(func() {})
	if j.conn.w, err = syslog.Dial("unixgram", path, syslog.LOG_DAEMON|syslog.LOG_INFO, "rpm-helper"); err != nil {
		t.Fatal(err)
	}
	log := slog.New(j).With("package", "glibc-livepatches")
	tests := []struct {
		level slog.Level
		want  string
	}{
		{slog.LevelInfo, `^<30>.* rpm-helper\[\d+\]: msg="pid 7: APPLIED" package=glibc-livepatches reason="a\\nb"\n$`},
		{slog.LevelWarn, `^<28>.*reason="a\\nb"\n$`},
		{slog.LevelError, `^<27>.*reason="a\\nb"\n$`},
	}
	for _, tt := range tests {
		log.Debug("not this")
		log.Log(t.Context(), tt.level, "pid 7: APPLIED", "reason", "a\nb")
		if err := socket.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, err := socket.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(b[:n]); !regexp.MustCompile(tt.want).MatchString(got) {
			t.Errorf("message %q, want %s", got, tt.want)
		}
	}
}

func TestJournalWithoutSystemLog(t *testing.T) {
	t.Parallel()
	j := newJournal("rpm-helper")
	j.conn.once.Do(func() {}) // as if there were none
	if err := j.Handle(t.Context(), slog.NewRecord(time.Time{}, slog.LevelError, "lost", 0)); err != nil {
		t.Error(err)
	}
}
