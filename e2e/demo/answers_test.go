package demo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A log is the same in whatever pieces it is read.
func TestAnswersInPieces(t *testing.T) {
	t.Parallel()
	const log = "old\nold\n\nv1\nv1\nv1\nv2\nold\nol"
	want := []run{{"old", 2}, {"", 1}, {"v1", 3}, {"v2", 1}, {"old", 1}}
	for size := 1; size <= len(log); size++ {
		var a answers
		for rest := log; rest != ""; {
			n := min(size, len(rest))
			a.take([]byte(rest[:n]))
			rest = rest[n:]
		}
		if diff := cmp.Diff(want, a.runs, cmp.AllowUnexported(run{})); diff != "" {
			t.Fatalf("in pieces of %d (-want +got):\n%s", size, diff)
		}
		if string(a.part) != "ol" {
			t.Errorf("in pieces of %d: the rest is %q", size, a.part)
		}
	}
}

func TestAnswersGrow(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, err := openAnswers(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"a\na", "\nb\n", ""} {
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := a.read(); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.String(); got != `"a" ×2, "b" ×1` {
		t.Errorf("got %s", got)
	}
	if _, err := f.WriteString(strings.Repeat("x\ny\n", maxRuns)); err != nil {
		t.Fatal(err)
	}
	if err := a.read(); err == nil {
		t.Error("a thread that never settles was accepted")
	}
}

// What threads may and may not have answered.
func TestExpectedAnswers(t *testing.T) {
	t.Parallel()
	w := witness{Old: "plain", First: "one", Second: "two"}
	tests := []struct {
		name    string
		witness witness
		logs    []string
		ok      bool
	}{
		{"old", w, []string{"plain plain", "plain"}, true},
		{"all", w, []string{"plain one two plain", "plain plain one one two plain"}, true},
		{"any old answer", witness{First: "one", Second: "two"}, []string{"anything one two anything"}, true},
		{"old answers differ", witness{First: "one", Second: "two"}, []string{"anything one", "another one"}, false},
		{"wrong old answer", w, []string{"strange one"}, false},
		{"patched from the start", witness{First: "one", Second: "two"}, []string{"one two"}, false},
		{"broken from the start", witness{First: "one", Second: "two"}, []string{"broken: one"}, false},
		{"neither in between", w, []string{"plain one two plain", "plain one plain two plain"}, false},
		{"never the first", w, []string{"plain two"}, false},
		{"something else", w, []string{"plain garbage one"}, false},
		{"patched after all", w, []string{"plain one two plain one"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := process{witness: tt.witness}
			for _, log := range tt.logs {
				a := new(answers)
				a.take([]byte(strings.ReplaceAll(log, " ", "\n") + "\n"))
				p.threads = append(p.threads, a)
			}
			if err := p.expected(); (err == nil) != tt.ok {
				t.Errorf("error %v", err)
			}
		})
	}
}
