package ulp

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the files that are made from the program")

func TestManPageIsUpToDate(t *testing.T) {
	file := filepath.Join("..", "..", "..", "docs", "man", "ulp.1")
	want := ManPage()
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
		t.Errorf("%s is not what the program says; run go test ./cmd/internal/ulp -run ManPage -update", file)
	}
}
