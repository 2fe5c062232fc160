package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpbuild/lpbuild/e2e/fixture"
	"github.com/lpbuild/lpbuild/e2e/scratch"
)

// Options say where the demo works. All fields but Small must be set.
type Options struct {
	// Bin holds the programs lpbuild, lpctl and rpm-helper.
	Bin string
	// Dir gets report.json and everything else. What an earlier run left there
	// is removed.
	Dir string
	// Self is the command that runs Inside.
	Self []string
	// Small leaves out glibc: no network is needed, and report.json has libgreet alone.
	Small bool
	// Progress is told what is going on, Out gets the table.
	Progress, Out io.Writer
}

// ErrBusy says that another demo works in the same folder.
var ErrBusy = errors.New("another demo is running in this folder")

// ReportFile is the name of the report in Options.Dir.
const ReportFile = "report.json"

type demo struct {
	Options
	narrator
	env []string
}

// Run does the whole job. The error says which command of which step failed, or
// what else was not as expected; there is no report.json then. No process,
// mount or temporary file outlives the call.
func Run(ctx context.Context, opts Options) (err error) {
	d := &demo{Options: opts, narrator: narrator{opts.Progress, time.Now()}}
	unlock, err := d.prepare()
	if err != nil {
		return err
	}
	defer unlock()
	defer func() { err = errors.Join(err, os.RemoveAll(d.path("tmp")), d.giveBack()) }()
	return d.run(ctx)
}

// resolve makes the folders absolute paths without symbolic links: inside the
// scratch root there are none.
func (d *demo) resolve() error {
	for _, name := range []string{"lpbuild", "lpctl", "rpm-helper"} {
		if _, err := os.Stat(filepath.Join(d.Bin, name)); err != nil {
			return &StepError{Step: "start", Err: fmt.Errorf("%w: build the programs first", err)}
		}
	}
	err := os.MkdirAll(d.Dir, 0o755)
	for _, dir := range []*string{&d.Bin, &d.Dir} {
		if err == nil {
			*dir, err = filepath.Abs(*dir)
		}
		if err == nil {
			*dir, err = filepath.EvalSymlinks(*dir)
		}
	}
	return err
}

// giveBack makes everything belong to the owner of the folder that Dir is in,
// who may have called the demo by sudo and wants to remove it some day.
func (d *demo) giveBack() error {
	var owner unix.Stat_t
	if err := unix.Stat(filepath.Dir(d.Dir), &owner); err != nil || owner.Uid == 0 {
		return err
	}
	return filepath.WalkDir(d.Dir, func(name string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(name, int(owner.Uid), int(owner.Gid)))
	})
}

// path is a path below Dir.
func (d *demo) path(parts ...string) string {
	return filepath.Join(append([]string{d.Dir}, parts...)...)
}

// prepare empties Dir, under a lock that ends with this process at the latest.
func (d *demo) prepare() (unlock func(), err error) {
	if err := d.resolve(); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(d.path("lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", d.Dir, ErrBusy), lock.Close())
	}
	entries, err := os.ReadDir(d.Dir)
	for _, e := range entries {
		if e.Name() != "lock" {
			err = errors.Join(err, os.RemoveAll(d.path(e.Name())))
		}
	}
	for _, dir := range []string{"tmp", "root"} {
		err = errors.Join(err, os.Mkdir(d.path(dir), 0o755))
	}
	d.env = append(os.Environ(), "TMPDIR="+d.path("tmp"), "XDG_CACHE_HOME="+d.path("cache"), "LC_ALL=C", "PATH="+d.Bin+":"+os.Getenv("PATH"))
	return func() { lock.Close() }, err
}

// run goes through the steps.
func (d *demo) run(ctx context.Context) error {
	repo, err := fixture.New(ctx, fixture.Options{Glibc: !d.Small})
	if err != nil {
		return &StepError{Step: "repository", Err: err}
	}
	for _, s := range repo.Skipped {
		d.say("repository: skipped %s: %s", s.Suite, s.Reason)
	}
	d.say("repository: %d builds of glibc, %d of libgreet, signed", len(repo.Only(fixture.Glibc)), len(repo.Only(fixture.Greet)))
	chosen := projects
	if d.Small {
		chosen = slices.DeleteFunc(slices.Clone(projects), func(p project) bool { return p.kind == fixture.Glibc })
	}
	if err := d.download(ctx, chosen, repo); err != nil {
		return err
	}
	r := &summaryReport{}
	p, err := d.release(ctx, chosen, repo, r)
	if err != nil {
		return err
	}
	out, err := d.inside(ctx, p)
	if err != nil {
		return err
	}
	r.Transactions = transactions{count(out.Install), count(out.Upgrade), count(out.Erase)}
	if err := r.write(d.path(ReportFile)); err != nil {
		return err
	}
	if err := r.table(d.Out, p, out); err != nil {
		return err
	}
	_, err = fmt.Fprintf(d.Out, "\nReport: %s\n", d.path(ReportFile))
	return err
}

// download makes the projects while the repository is served.
func (d *demo) download(ctx context.Context, chosen []project, repo *fixture.Repository) error {
	s, err := serve(repo.Dir)
	if err != nil {
		return err
	}
	defer s.stop(context.WithoutCancel(ctx))
	for _, p := range chosen {
		if err := d.create(ctx, p, s, repo); err != nil {
			return err
		}
	}
	return nil
}

// release builds both versions of all projects and the witnesses.
func (d *demo) release(ctx context.Context, chosen []project, repo *fixture.Repository, r *summaryReport) (*plan, error) {
	p := &plan{
		Began: d.began, Dir: d.Dir, Bin: d.Bin, Root: d.path("root"), OldVersion: oldVersion, NewVersion: newVersion,
		Lpbuild: filepath.Join(d.Bin, "lpbuild"), Lpctl: filepath.Join(d.Bin, "lpctl"),
	}
	for _, project := range chosen {
		rows, err := d.prove(ctx, project, oldVersion, repo.Only(project.kind))
		if err != nil {
			return nil, err
		}
		r.Builds = append(r.Builds, builds(rows)...)
		both, err := d.buildBoth(ctx, project)
		if err != nil {
			return nil, err
		}
		if r.RPMs.Rpmbuild == "" {
			r.RPMs = rpms{both.rpmbuild, both.direct}
		}
		p.Names, p.Old = append(p.Names, project.name), append(p.Old, both.rpmbuild)
		witnesses, err := d.witnesses(ctx, project)
		if err != nil {
			return nil, err
		}
		p.Witnesses = append(p.Witnesses, witnesses...)
		next, err := d.successor(ctx, project, repo.Only(project.kind))
		if err != nil {
			return nil, err
		}
		p.New = append(p.New, next)
	}
	var err error
	if p.Base, err = d.base(ctx); err != nil {
		return nil, err
	}
	p.Runtime, err = d.runtime(ctx, chosen[0])
	return p, err
}

// successor makes version 0.2 of a project and returns its RPM.
func (d *demo) successor(ctx context.Context, p project, builds []fixture.Build) (string, error) {
	next, err := d.revise(ctx, p)
	if err != nil {
		return "", err
	}
	if _, err := d.prove(ctx, next, newVersion, builds); err != nil {
		return "", err
	}
	return d.direct(ctx, next)
}

// inside runs the other half, Inside, in the scratch root.
func (d *demo) inside(ctx context.Context, p *plan) (*outcome, error) {
	in, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	var stdout, stderr bytes.Buffer
	err = scratch.Run(ctx, d.Self, func(cmd *exec.Cmd) {
		cmd.Stdin, cmd.Stdout = bytes.NewReader(in), &stdout
		cmd.Stderr = io.MultiWriter(&stderr, d.Progress)
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, &StepError{Step: "transactions", Seen: lastLines(stderr.String(), 3), Err: err}
	}
	var out outcome
	if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
		return nil, unexpected("transactions", "%w: %s", err, strings.TrimSpace(stdout.String()))
	}
	if out.Error != "" {
		return nil, errors.New(out.Error)
	}
	return &out, nil
}
