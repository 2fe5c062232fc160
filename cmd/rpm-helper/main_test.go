package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/rpmhook"
)

func TestRun(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		args   []string
		usage  bool
		stdout string
	}{
		{name: "help", args: []string{"--help"}, stdout: "Usage: rpm-helper"},
		{name: "version", args: []string{"--version"}, stdout: "rpm-helper "},
		{name: "upgrade does not undo", args: []string{"preun", "glibc-livepatches", "1"}},
		{name: "no arguments", usage: true},
		{name: "unknown flag", args: []string{"--force", "post", "x", "1"}, usage: true},
		{name: "unknown scriptlet", args: []string{"pretrans", "x", "1"}, usage: true},
		{name: "erase or upgrade", args: []string{"postun", "x"}, usage: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), tt.args, &stdout, &stderr)
			if errors.Is(err, rpmhook.ErrUsage) != tt.usage || !tt.usage && err != nil {
				t.Errorf("error %v, want a usage error: %v", err, tt.usage)
			}
			if got := stdout.String(); tt.stdout == "" && got != "" || !strings.HasPrefix(got, tt.stdout) {
				t.Errorf("stdout %q, want %q", got, tt.stdout)
			}
			if stderr.Len() > 0 {
				t.Errorf("stderr %q", &stderr)
			}
		})
	}
}

func TestManualPageNamesEveryFlag(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "man", "rpm-helper.8"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(page), `\-`, "-")
	for _, word := range []string{"--verbose", "--timeout", "--version", "--help", "posttrans", "EXIT STATUS"} {
		if !strings.Contains(text, word) {
			t.Errorf("docs/man/rpm-helper.8 says nothing of %s", word)
		}
	}
}
