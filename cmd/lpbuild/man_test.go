package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the files that are made from the program")

func TestManPageIsUpToDate(t *testing.T) { isUpToDate(t, "man/lpbuild.1", manPage()) }

func TestManPageOfChecksIsUpToDate(t *testing.T) { isUpToDate(t, "checks.md", checksDocument()) }

func isUpToDate(t *testing.T, name string, want []byte) {
	t.Helper()
	file := filepath.Join("..", "..", "docs", name)
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the program says; run go test ./cmd/lpbuild -run ManPage -update", file)
	}
}

func TestManPageIsWellFormed(t *testing.T) {
	requireTool(t, "groff")
	cmd := exec.Command("groff", "-man", "-ww", "-Tutf8", "-z")
	cmd.Stdin = bytes.NewReader(manPage())
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
}
