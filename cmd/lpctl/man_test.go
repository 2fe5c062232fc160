package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

// full is a result with every member.
func full() injector.Result {
	yes := true
	return injector.Result{
		PID: 1234, StartTime: 56789, Command: "answer", Library: "libc.so.6", BuildID: "93ac61ec", Word: injector.Applied,
		Reason: "a reason", Stopped: 65 * time.Microsecond, DryRun: true, Patchable: &yes,
		Patches: []injector.Patch{{
			ID: "0f", Name: "x.so", Set: "glibc-livepatches", SetVersion: "0.1", Patch: "malloc", Library: "libc.so.6",
			BuildID: "93ac61ec", Time: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), References: []string{"CVE-2026-1"},
			Functions: []string{"malloc"},
		}},
	}
}

// Scripts depend on what is in this file: add to it, change nothing.
func TestJSONIsAsEver(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("testdata", "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(full(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), string(got)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	least, err := json.Marshal(injector.Result{PID: 1, Patches: []injector.Patch{}})
	if want := `{"pid":1,"start_time":0,"command":"","result":"","stopped_ns":0,"patches":[]}`; err != nil || string(least) != want {
		t.Errorf("%s, %v; want %s", least, err, want)
	}
}

// What scripts read must be what the manual page promises.
func TestJSONIsAsDocumented(t *testing.T) {
	text, err := json.Marshal(full())
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
