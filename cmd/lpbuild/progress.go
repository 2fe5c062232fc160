package main

import (
	"io"
	"os"
	"strings"
	"sync"

	urfave "github.com/urfave/cli/v2"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/lpbuild/lpbuild/versions"
)

// progress shows running tasks on stderr: a bar for each on a terminal, else
// one line for each that has finished. It is a versions.Progress.
type progress struct {
	bars *mpb.Progress // nil if stderr is no terminal
	mu   sync.Mutex
	out  io.Writer
}

func newProgress(c *urfave.Context) *progress {
	stderr := c.App.ErrWriter
	if c.Bool("quiet") {
		return &progress{out: io.Discard}
	}
	// Bars and the log of -v would write over each other.
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) && !c.Bool("verbose") {
		return &progress{out: stderr, bars: mpb.New(mpb.WithOutput(stderr), mpb.WithWidth(40))}
	}
	return &progress{out: stderr}
}

// Start shows a new task. total is the amount of work, in bytes or steps; 0 if unknown.
func (p *progress) Start(name string, total int64) versions.Task {
	t := &progressTask{progress: p, name: name}
	if p.bars != nil {
		t.bar = p.bars.AddBar(total,
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(name, decor.WC{C: decor.DindentRight | decor.DSyncWidth})),
			mpb.AppendDecorators(decor.Percentage()))
	}
	return t
}

// wait ends the display: what stderr gets afterwards stands below it.
func (p *progress) wait() {
	if p.bars != nil {
		p.bars.Shutdown()
	}
}

type progressTask struct {
	progress *progress
	name     string
	bar      *mpb.Bar
}

func (t *progressTask) Add(n int64) {
	if t.bar != nil {
		t.bar.IncrInt64(n)
	}
}

// Done removes the bar. On a terminal only what went wrong leaves a line.
func (t *progressTask) Done(err error) {
	p := t.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	line := t.name + ": done\n"
	if err != nil {
		line = t.name + ": " + strings.TrimPrefix(err.Error(), t.name+": ") + "\n"
	}
	if t.bar == nil {
		io.WriteString(p.out, line) //nolint:errcheck // progress that cannot be shown is no failure
		return
	}
	t.bar.Abort(true)
	if err != nil {
		p.bars.Write([]byte(line)) //nolint:errcheck // as above
	}
}
