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

func TestManPageIsUpToDate(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "man", "lpbuild.1")
	want := manPage()
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
