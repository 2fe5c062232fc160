package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// maxInlineLog is the length in bytes above which a tool's log is also kept in
// a file, so that a person can read what scrolled away.
const maxInlineLog = 4 << 10

// ToolError says that a compiler or linker refused its input or could not be
// started. Error is one line; the whole output is in Log.
type ToolError struct {
	// Cmd is the command line, blank separated.
	Cmd string
	// Log is everything that the tool wrote. LogFile names a file that holds
	// it too, "" if it is short or there is no cache folder.
	Log     string
	LogFile string
	// Err is what exec reported.
	Err error
}

// Error names the tool, its first error line and the file that holds the rest.
func (e *ToolError) Error() string {
	tool, _, _ := strings.Cut(e.Cmd, " ")
	msg := fmt.Sprintf("%s: %v", filepath.Base(tool), e.Err)
	if line := firstErrorLine(e.Log); line != "" {
		msg = fmt.Sprintf("%s: %s", filepath.Base(tool), line)
	}
	if e.LogFile != "" {
		msg += " (whole log in " + e.LogFile + ")"
	}
	return msg
}

// Unwrap returns Err.
func (e *ToolError) Unwrap() error { return e.Err }

// firstErrorLine returns the first line of log that says what is wrong, or the
// first line that says anything.
func firstErrorLine(log string) string {
	var first string
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if first == "" {
			first = line
		}
		if strings.Contains(line, "error:") || strings.Contains(line, "undefined reference") {
			return line
		}
	}
	return first
}

// command is one run of a tool.
type command struct {
	path string
	args []string
	dir  string
}

// run runs c with a fixed environment and returns what it wrote. Cancelling
// ctx kills the tool and its children (gcc runs cc1 and as). A failure is a
// *ToolError, a cancellation the context's cause.
func run(ctx context.Context, c command) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", context.Cause(ctx)
	}
	// A folder for each run: what a tool that is killed leaves behind goes with it.
	temp, err := os.MkdirTemp("", "lpbuild-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Dir = c.dir
	cmd.Env = append(toolEnvironment(), "TMPDIR="+temp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.Stderr = &out
	err = cmd.Run()
	if ctx.Err() != nil {
		return out.String(), context.Cause(ctx)
	}
	if err != nil {
		line := strings.Join(append([]string{c.path}, c.args...), " ")
		return out.String(), &ToolError{Cmd: line, Log: out.String(), Err: err}
	}
	return out.String(), nil
}

// toolEnvironment keeps what a compiler needs to run and drops what changes
// its output behind the back of the cache key (CPATH, LIBRARY_PATH,
// GCC_EXEC_PREFIX, locale). __DATE__ and __TIME__ become SOURCE_DATE_EPOCH.
func toolEnvironment() []string {
	env := []string{"LC_ALL=C", "SOURCE_DATE_EPOCH=" + sourceDateEpoch()}
	for _, name := range []string{"PATH", "HOME"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// sourceDateEpoch is the time that compiled code may name, in seconds.
func sourceDateEpoch() string {
	if v := os.Getenv("SOURCE_DATE_EPOCH"); v != "" {
		return v
	}
	return "0"
}

// keepLog writes a long log of a tool's failure beside the cache.
func keepLog(s *store, err error) error {
	var te *ToolError
	if !errors.As(err, &te) || len(te.Log) <= maxInlineLog || s.dir == "" {
		return err
	}
	name := filepath.Join(s.dir, "logs", digest([]byte(te.Log))[:16]+".log")
	if werr := writeAtomic(name, []byte(te.Cmd+"\n\n"+te.Log), 0o644, false); werr == nil {
		te.LogFile = name
	}
	return err
}
