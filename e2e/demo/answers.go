package demo

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxRuns bounds how often the answer of a thread may change before reading
// any further is pointless: three changes are right.
const maxRuns = 16

// A run is a number of equal answers in a row.
type run struct {
	text  string
	lines int
}

// answers are what one thread has taken down so far.
type answers struct {
	name string
	file *os.File
	part []byte // of a line that has not ended
	runs []run
}

func openAnswers(name string) (*answers, error) {
	file, err := os.Open(name)
	return &answers{name: name, file: file}, err
}

// read takes in what was written since the last time.
func (a *answers) read() error {
	buf := make([]byte, 64<<10)
	for {
		n, err := a.file.Read(buf)
		a.take(buf[:n])
		if len(a.runs) > maxRuns {
			return fmt.Errorf("%s: too many changes: %s", a.name, a)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// take adds bytes of the log.
func (a *answers) take(b []byte) {
	for {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		a.part = append(a.part, line...)
		if !whole {
			return
		}
		text := string(a.part)
		a.part, b = a.part[:0], rest
		if n := len(a.runs); n > 0 && a.runs[n-1].text == text {
			a.runs[n-1].lines++
		} else {
			a.runs = append(a.runs, run{text, 1})
		}
	}
}

// texts are the answers without repetitions.
func (a *answers) texts() []string {
	out := make([]string, len(a.runs))
	for i, r := range a.runs {
		out[i] = r.text
	}
	return out
}

// String is the log in short: "plain" ×12, "glibc-livepatch" ×3.
func (a *answers) String() string {
	parts := make([]string, len(a.runs))
	for i, r := range a.runs {
		parts[i] = fmt.Sprintf("%q ×%d", r.text, r.lines)
	}
	return strings.Join(parts, ", ")
}
