package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lpbuild/lpbuild/e2e/scratch"
	"github.com/lpbuild/lpbuild/rpmhook"
)

// settleTime is how long a witness may take to show a new answer.
const settleTime = 20 * time.Second

// Inside is the half of the demo that runs in the scratch root, as process 1:
// it reads its plan from in, writes what came of it to out, also why it failed,
// and tells a person on progress. Whatever it leaves behind ends with it.
func Inside(ctx context.Context, in io.Reader, out, progress io.Writer) error {
	var p plan
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	result, err := install(ctx, p, progress)
	if err != nil {
		result = &outcome{Error: err.Error()}
	}
	return json.NewEncoder(out).Encode(result)
}

// install makes the machine and runs everything on it.
func install(ctx context.Context, p plan, progress io.Writer) (*outcome, error) {
	if err := scratch.Enter(scratch.Root{Dir: p.Root, Binds: []string{p.Dir, p.Bin}}); err != nil {
		return nil, unexpected("scratch root", "%w", err)
	}
	log, err := openJournal()
	if err != nil {
		return nil, unexpected("system log", "%w", err)
	}
	m := &machine{plan: p, log: log, narrator: narrator{progress, p.Began}}
	result, err := m.run(ctx)
	return result, errors.Join(err, log.close())
}

// A machine is the scratch root with the witnesses in it.
type machine struct {
	plan
	narrator
	log       *journal
	processes []*process
}

// A change is one call of rpm and what must come of it.
type change struct {
	step string
	args []string
	// scriptlet is the first that acts, word what it reports of each witness.
	scriptlet rpmhook.Script
	word      string
	// version is what rpm-helper and lpctl name, "" for neither. answers is how
	// many different answers there have been then.
	version string
	answers int
}

func (m *machine) run(ctx context.Context) (*outcome, error) {
	if err := m.startAll(ctx); err != nil {
		return nil, err
	}
	if _, err := m.rpm(ctx, "install scratch-base", "-U", m.Base); err != nil {
		return nil, err
	}
	var result outcome
	for _, c := range []struct {
		change
		into *transaction
		then func(context.Context) error
	}{
		{change{"install", append([]string{"-U", m.Runtime}, m.Old...), rpmhook.Post, "APPLIED", m.OldVersion, 2}, &result.Install, m.installed},
		{change{"upgrade", append([]string{"-U"}, m.New...), rpmhook.Post, "REPLACED", m.NewVersion, 3}, &result.Upgrade, m.installed},
		{change{"erase", append([]string{"-e", "lpbuild-runtime"}, m.Names...), rpmhook.PreUn, "REVERTED", "", 4}, &result.Erase, m.erased},
	} {
		t, err := m.transact(ctx, c.change)
		if err == nil {
			err = c.then(ctx)
		}
		if err != nil {
			return nil, err
		}
		*c.into = *t
	}
	for _, p := range m.processes {
		if err := p.finish(); err != nil {
			return nil, unexpected("answers of "+p.NEVRA, "%w", err)
		}
		result.Answers = append(result.Answers, p.answered())
	}
	return &result, nil
}

// startAll starts the witnesses and waits until all have answered.
func (m *machine) startAll(ctx context.Context) error {
	if err := os.Mkdir(logs, 0o755); err != nil {
		return err
	}
	threads := 0
	for i, w := range m.Witnesses {
		p, err := startProcess(w, i)
		if err != nil {
			return unexpected("start "+w.NEVRA, "%w", err)
		}
		m.processes = append(m.processes, p)
		threads += w.Threads
	}
	if err := m.each(ctx, "start", 1, false); err != nil {
		return err
	}
	if err := m.status(ctx, change{step: "start"}); err != nil {
		return err
	}
	m.say("%d processes with %d threads run, one on each build", len(m.processes), threads)
	return nil
}

// each waits for every witness's n-th answer and checks the process.
func (m *machine) each(ctx context.Context, step string, n int, patched bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, settleTime, fmt.Errorf("not within %v", settleTime))
	defer cancel()
	for _, p := range m.processes {
		err := p.settle(ctx, n)
		if err == nil {
			err = p.check(patched)
		}
		if gone := p.alive(); gone != nil {
			err = gone
		}
		if err != nil {
			return unexpected(step+", "+p.NEVRA, "%w", err)
		}
	}
	return nil
}

// transact runs rpm and checks what it did to the witnesses.
func (m *machine) transact(ctx context.Context, c change) (*transaction, error) {
	printed, err := m.rpm(ctx, c.step, c.args...)
	if err != nil {
		return nil, err
	}
	reports, err := m.log.take(ctx)
	if err != nil {
		return nil, unexpected(c.step, "%w", err)
	}
	t := &transaction{Lines: strings.Split(strings.TrimSpace(printed), "\n")}
	if err := m.agree(c, printed, reports); err != nil {
		return nil, unexpected(c.step, "%w", err)
	}
	for _, p := range m.processes {
		got := reportOf(reports, p)
		if got.word != c.word {
			return nil, unexpected(c.step, "%s, pid %d: rpm-helper reports %q %s, expected %s", p.NEVRA, p.pid, got.word, got.reason, c.word)
		}
		t.Words = append(t.Words, got.word)
		t.StoppedNS = max(t.StoppedNS, got.stopped.Nanoseconds())
	}
	t.Others = m.others(reports)
	if err := m.each(ctx, c.step, c.answers, c.version != ""); err != nil {
		return nil, err
	}
	if err := m.status(ctx, c); err != nil {
		return nil, err
	}
	for _, line := range t.Lines {
		m.say("%s: %s", c.step, line)
	}
	return t, nil
}

// reportOf is what rpm-helper reports of a witness and the package that covers
// it. ALREADY, of a later scriptlet, hides nothing.
func reportOf(reports []report, p *process) report {
	var last report
	for _, r := range reports {
		if r.pid == p.pid && r.pack == p.Package && (last.word == "" || r.word != "ALREADY") {
			last = r
		}
	}
	return last
}

// others are the programs that rpm-helper reports beside the witnesses: rpm, and
// whatever else of this machine runs in the scratch root.
func (m *machine) others(reports []report) []string {
	var names []string
	for _, r := range reports {
		if !slices.ContainsFunc(m.processes, func(p *process) bool { return p.pid == r.pid }) {
			names = append(names, r.command)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// agree checks that each package's first line counts what was reported of single
// processes. Among those are others than the witnesses: rpm itself.
func (m *machine) agree(c change, printed string, reports []report) error {
	lines, err := parseSummaries(printed)
	if err != nil {
		return err
	}
	for _, name := range m.Names {
		i := slices.IndexFunc(lines, func(s summary) bool { return s.pack == name })
		if i < 0 {
			return fmt.Errorf("rpm-helper printed nothing for %s: %q", name, printed)
		}
		counts := make(map[string]int)
		for _, r := range reports {
			if r.pack == name && r.scriptlet == string(c.scriptlet) {
				counts[r.word]++
			}
		}
		if !maps.Equal(counts, lines[i].words) {
			return fmt.Errorf("rpm-helper printed %v for %s, and reported %v", lines[i].words, name, counts)
		}
		if c.version != "" && lines[i].version != c.version {
			return fmt.Errorf("rpm-helper printed version %s for %s, expected %s", lines[i].version, name, c.version)
		}
	}
	return nil
}

// rpm runs rpm and returns what it printed.
func (m *machine) rpm(ctx context.Context, step string, args ...string) (string, error) {
	// --force-debian: Debian's rpm asks whether one really means it.
	argv := append([]string{"rpm", "--force-debian", "--dbpath", "/var/lib/rpm"}, args...)
	out, err := m.call(ctx, step, argv)
	return string(out), err
}

// call runs a program. What it prints to standard error is an error.
func (m *machine) call(ctx context.Context, step string, argv []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Dir = &stdout, &stderr, "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C"}
	err := cmd.Run()
	if err == nil && stderr.Len() > 0 {
		err = errors.New("unexpected messages")
	}
	if err != nil {
		seen := lastLines(stdout.String()+stderr.String(), 8)
		return stdout.Bytes(), &StepError{Step: step, Command: strings.Join(argv, " "), Seen: seen, Err: err}
	}
	return stdout.Bytes(), nil
}

// installed checks the files of the packages.
func (m *machine) installed(ctx context.Context) error {
	for _, name := range append([]string{"lpbuild-runtime"}, m.Names...) {
		if _, err := m.rpm(ctx, "verify", "-V", name); err != nil {
			return err
		}
	}
	for _, name := range m.Names {
		containers, err := filepath.Glob(filepath.Join(rpmhook.SetRoot, name, "*.so"))
		if err != nil || len(containers) == 0 {
			return unexpected("containers of "+name, "none is installed")
		}
		for _, container := range containers {
			if err := intactMetadata(container); err != nil {
				return unexpected("containers of "+name, "%w", err)
			}
		}
		if _, err := m.call(ctx, "dump", append([]string{m.Lpbuild, "dump"}, containers[0])); err != nil {
			return err
		}
	}
	return nil
}

// erased checks that nothing is left of the packages.
func (m *machine) erased(ctx context.Context) error {
	left, err := filepath.Glob(filepath.Join(rpmhook.SetRoot, "*livepatches*"))
	if err != nil {
		return err
	}
	if _, err := os.Lstat(rpmhook.Helper); err == nil {
		left = append(left, rpmhook.Helper)
	}
	if len(left) > 0 {
		return unexpected("erase", "%q are still there", left)
	}
	return nil
}
