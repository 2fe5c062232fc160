package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpbuild/lpbuild/injector"
)

var update = flag.Bool("update", false, "rewrite the files that are made from the program")

func TestManPageIsUpToDate(t *testing.T) {
	file := filepath.Join("..", "..", "docs", "man", "lpctl.1")
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
		t.Errorf("%s is not what the program says; run go test ./cmd/lpctl -run ManPage -update", file)
	}
}

// What scripts read must be what the manual page promises.
func TestJSONIsAsDocumented(t *testing.T) {
	text, err := json.Marshal(injector.Result{
		Library: "l", BuildID: "b", Reason: "r",
		Patches: []injector.Patch{{Set: "s", SetVersion: "1", Patch: "p", References: []string{"CVE-2026-1"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	for member := range object {
		if !strings.Contains(resultJSON, "\n  "+member+" ") {
			t.Errorf("member %q is not in the manual page", member)
		}
	}
	for member := range object["patches"].([]any)[0].(map[string]any) {
		if !strings.Contains(resultJSON, member) {
			t.Errorf("member %q of patches is not in the manual page", member)
		}
	}
	for _, w := range []injector.Word{
		injector.Applied, injector.Already, injector.Replaced, injector.Reverted, injector.NotApplied, injector.NotLoaded,
		injector.NoPatchForBuild, injector.Busy, injector.Blocked, injector.Foreign, injector.Gone, injector.Failed,
	} {
		if !strings.Contains(resultWords, "  "+string(w)+" ") {
			t.Errorf("result %s is not in the manual page", w)
		}
	}
}
