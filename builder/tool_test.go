package builder

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestCompilerErrorIsSummarised(t *testing.T) {
	p, o := project(t, "int f(int x)\n{\n\treturn undeclared(x) + y;\n}\n", "fix.so\n@libgreet.so.1\ngreet:f\n")
	_, err := Make(t.Context(), []Patch{p}, greetRecords(t)[:1], o)
	var tool *ToolError
	if !errors.As(err, &tool) {
		t.Fatalf("%v, want a *ToolError", err)
	}
	if msg := err.Error(); !strings.HasPrefix(msg, "fix: gcc: ./fix.c:3:16: error: ") || strings.Contains(msg, "\n") {
		t.Errorf("message %q", msg)
	}
	if !strings.Contains(tool.Log, "'y' undeclared") || !strings.Contains(tool.Log, "undeclared(x)") {
		t.Errorf("the log is not whole:\n%s", tool.Log)
	}
}

func TestLongCompilerLogIsKept(t *testing.T) {
	p, o := project(t, "int f(int x) { return x; }\n"+strings.Repeat("int g(void) { return nothing; }\n", 100), "fix.so\n@libgreet.so.1\ngreet:f\n")
	_, err := Make(t.Context(), []Patch{p}, greetRecords(t)[:1], o)
	var tool *ToolError
	if !errors.As(err, &tool) || tool.LogFile == "" || !strings.Contains(err.Error(), tool.LogFile) {
		t.Fatalf("%v, want the name of a log file", err)
	}
	data, err := os.ReadFile(tool.LogFile)
	if err != nil || !strings.Contains(string(data), tool.Log) {
		t.Errorf("%s does not hold the log: %v", tool.LogFile, err)
	}
}

// gcc, killed, leaves its intermediate files in TMPDIR.
func TestKilledToolLeavesNothing(t *testing.T) {
	temp, fifo := t.TempDir(), filepath.Join(t.TempDir(), "started")
	t.Setenv("TMPDIR", temp)
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		os.ReadFile(fifo) //nolint:errcheck // blocks until the tool has made its file
		cancel()
	}()
	_, err := run(ctx, command{path: "sh", args: []string{"-c", `mktemp >"$0"; exec sleep 60`, fifo}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFirstErrorLine(t *testing.T) {
	tests := []struct{ name, log, want string }{
		{name: "nothing", log: "", want: ""},
		{name: "warnings first", log: "a.c: In function 'f':\na.c:1: warning: x\na.c:2: error: y\na.c:3: error: z\n", want: "a.c:2: error: y"},
		{name: "linker", log: "ld: a.o: in function `f':\na.c:(.text+0x1): undefined reference to `g'\n", want: "a.c:(.text+0x1): undefined reference to `g'"},
		{name: "no error word", log: "\n  killed\nmore\n", want: "killed"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if got := firstErrorLine(tc.log); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}
