package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions"
)

// Options are what a stage may use. The zero value is usable.
type Options struct {
	// Store is the folder of unpacked libraries (default: lpbuild in the
	// user's cache folder).
	Store string
	// Cache is the folder of compiled objects, which projects share (default:
	// lpbuild/build in the user's cache folder; build/.cache of the project if
	// there is none).
	Cache string
	// Jobs is the number of tasks at a time; 0 means one per processor.
	Jobs int
	// Offline forbids the network.
	Offline bool
	// AcceptKeys and AcceptOlder are what Download accepts of repositories that
	// changed: see versions.Options.
	AcceptKeys, AcceptOlder []string
	// Limits are what Download and NewBuilds ask of servers at most.
	Limits versions.Limits
	// Log gets what is done; nil discards it.
	Log *slog.Logger
	// Progress is told of running tasks; nil is told nothing.
	Progress versions.Progress

	shard Shard // the builds that are made
}

// task tells the progress of a new task; it never returns nil.
func (o Options) task(name string, total int64) versions.Task {
	if o.Progress == nil {
		return noTask{}
	}
	return o.Progress.Start(name, total)
}

type noTask struct{}

func (noTask) Add(int64)  {}
func (noTask) Done(error) {}

func (o Options) versions() versions.Options {
	return versions.Options{Store: o.Store, Jobs: o.Jobs, Offline: o.Offline, Log: o.Log, Progress: o.Progress, Limits: o.Limits,
		AcceptKeys: o.AcceptKeys, AcceptOlder: o.AcceptOlder}
}

var (
	// ErrNoRecords says that the project has no version records.
	ErrNoRecords = errors.New("no version records")
	// ErrNoRepositories says that lpbuild.yaml lists no repository.
	ErrNoRepositories = errors.New("no repositories in " + ConfigFile)
	// ErrNewBuilds says that the repositories have builds that the lock lacks.
	ErrNewBuilds = errors.New("new builds since versions.lock was written")
)

// request is what the project asks of package versions.
func (p *Project) request() (versions.Request, error) {
	if len(p.Repositories) == 0 {
		return versions.Request{}, ErrNoRepositories
	}
	r := versions.Request{
		Packages:      p.Package,
		DebugPackages: p.DebugPackage,
		Arches:        p.Arches,
		Debuginfod:    p.Debuginfod,
		Libraries:     p.Libraries,
		Names:         p.SymbolNames(),
		Types:         p.TypeNames(),
		Support:       p.Support.policy(),
		ProjectDir:    p.Dir,
	}
	for _, repo := range p.Repositories {
		r.Repositories = append(r.Repositories, versions.Repository(repo))
	}
	return r, nil
}

// Download finds every shipped build, records what the descriptions name, and
// writes versions.lock and versions/. An error that wraps versions.ErrSomeFailed
// comes with the lock.
func (p *Project) Download(ctx context.Context, opts Options) (*versions.Lock, error) {
	r, err := p.request()
	if err != nil {
		return nil, err
	}
	unlock, err := p.lock(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer unlock()
	lock, err := versions.Download(ctx, r, opts.versions())
	if devel := p.develPackages(); lock != nil && len(devel) > 0 {
		err = errors.Join(err, versions.DownloadHeaders(ctx, r, devel, opts.versions()))
	}
	return lock, err
}

// Lock is the content of versions.lock; ErrNoRecords is wrapped if there is none.
func (p *Project) Lock() (*versions.Lock, error) {
	lock, err := versions.ReadLock(p.Dir)
	return lock, noRecords(err)
}

// records are the version records; ErrNoRecords is wrapped if there are none.
func (p *Project) records() ([]*elfinfo.Build, error) {
	builds, err := versions.ReadRecords(p.Dir)
	if err == nil && len(builds) == 0 {
		err = fs.ErrNotExist
	}
	return builds, noRecords(err)
}

// brief are the version records without their symbols, which are nearly all of
// them; ErrNoRecords is wrapped if there are none.
func (p *Project) brief() (*versions.Records, error) {
	read, err := versions.OpenRecords(p.Dir)
	if err == nil && len(read.Builds) == 0 {
		err = fs.ErrNotExist
	}
	return read, noRecords(err)
}

func noRecords(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrNoRecords, err)
	}
	return err
}

// SelectionDir is the folder below build/ that gets the containers of a
// project of which only some live patches are selected.
const SelectionDir = "selection"

// Make builds one container for every build, with all live patches that concern
// it, into build/. What an earlier run left there and is not wanted any more is
// removed, and the manifest of the set is written. If only some live patches are
// selected, all this happens in build/selection/ and there is no manifest.
func (p *Project) Make(ctx context.Context, opts Options) (*Report, error) {
	unlock, err := p.lock(ctx, opts)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return p.makeSet(ctx, opts)
}

// makeSet is Make in a project that is locked.
func (p *Project) makeSet(ctx context.Context, opts Options) (*Report, error) {
	report, err := p.each(ctx, "make", builder.Make, opts)
	if err != nil {
		return report, err
	}
	if err := prune(p.outDir(), report.containers()); err != nil || p.selected {
		return report, err
	}
	return report, errors.Join(p.writeManifest(report), removeShards(p.outDir()))
}

// Check finds everything that Make would refuse, and writes nothing.
func (p *Project) Check(ctx context.Context, opts Options) (*Report, error) {
	return p.each(ctx, "check", builder.Check, opts)
}

type buildFunc func(context.Context, []builder.Patch, []*elfinfo.Build, builder.Options) ([]builder.Outcome, error)

// each runs build for all live patches and builds.
func (p *Project) each(ctx context.Context, stage string, build buildFunc, opts Options) (*Report, error) {
	if len(p.Patches) == 0 {
		return nil, fmt.Errorf("%s: %w", filepath.Join(p.Dir, PatchesDir), ErrNoPatch)
	}
	read, err := p.brief()
	if err != nil {
		return nil, err
	}
	records := read.Builds
	concern := p.NewConcern(records)
	var patches []builder.Patch
	rows := 0
	for _, patch := range p.Patches {
		n := len(targets(patch, records))
		if n == 0 {
			return nil, fmt.Errorf("%s: no record of a build of %s: %w", patch.Description.File, patch.Description.Target, ErrNoRecords)
		}
		rows += n
		made := patch.Patch
		made.Select = func(b *elfinfo.Build) (builder.Selection, error) { return concern.selection(patch, b) }
		patches = append(patches, made)
	}
	task := opts.task(stage+" "+p.Name, int64(rows))
	options := p.builderOptions(opts, records, task)
	options.Complete = read.Complete
	outcomes, err := build(ctx, patches, opts.shard.of(records), options)
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx) // outcomes of a stage cut short are not worth a report
	}
	task.Done(err)
	if err != nil {
		return nil, err
	}
	return p.report(stage, outcomes), nil
}

func (p *Project) report(stage string, outcomes []builder.Outcome) *Report {
	byName := map[string]Patch{}
	for _, patch := range p.Patches {
		byName[patch.Name] = patch
	}
	report := &Report{}
	for _, o := range outcomes {
		report.Rows = append(report.Rows, outcomeRow(stage, byName[o.Patch], o))
	}
	p.nameGroups(report, outcomes)
	return report
}

// nameGroups notes in each row the group that its build is in, among the builds
// of the live patch. Rows are in the order of outcomes.
func (p *Project) nameGroups(report *Report, outcomes []builder.Outcome) {
	for _, patch := range p.Patches {
		var builds []*elfinfo.Build
		for _, o := range outcomes {
			if o.Patch == patch.Name {
				builds = append(builds, o.Build)
			}
		}
		groups := NewGroups([]Patch{patch}, builds)
		for i, o := range outcomes {
			if o.Patch == patch.Name {
				report.Rows[i].Group = groups.Name(o.Build)
			}
		}
	}
}

// outDir is where Make puts the containers.
func (p *Project) outDir() string {
	if p.selected {
		return filepath.Join(p.Dir, BuildDir, SelectionDir)
	}
	return filepath.Join(p.Dir, BuildDir)
}

func (p *Project) builderOptions(opts Options, records []*elfinfo.Build, task versions.Task) builder.Options {
	return builder.Options{
		OutDir:     p.outDir(),
		CacheDir:   p.cacheDir(opts),
		Jobs:       opts.Jobs,
		Set:        p.Name,
		SetVersion: p.Version,
		Related:    records,
		Log:        opts.Log,
		Progress:   func(builder.Outcome) { task.Add(1) },
	}
}

// cacheDir is the folder of compiled objects.
func (p *Project) cacheDir(opts Options) string {
	if opts.Cache != "" {
		return opts.Cache
	}
	if dir, err := DefaultCache(); err == nil {
		return dir
	}
	return filepath.Join(p.Dir, BuildDir, ".cache")
}

// CleanCache removes the folder of compiled objects that opts name and returns
// its size in bytes. The error wraps builder.ErrCacheInUse while a build uses it.
func CleanCache(opts Options) (int64, error) {
	dir := opts.Cache
	if dir == "" {
		var err error
		if dir, err = DefaultCache(); err != nil {
			return 0, err
		}
	}
	return builder.ClearCache(dir)
}

// DefaultCache is the folder of compiled objects in the user's cache folder; an
// error says that the user has none.
func DefaultCache() (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "lpbuild", "build"), err
}

func outcomeRow(stage string, patch Patch, o builder.Outcome) Row {
	row := newRow(patch, o.Build)
	row.Container, row.Findings = o.Container, o.Findings
	for _, f := range o.Findings {
		if f.Severity == builder.Warn || f.Waived != "" {
			row.warn(f.String())
		}
	}
	switch {
	case o.Err != nil:
		row.fail(o.Err)
	case o.Apart != "":
		row.Result, row.Reason = NotConcerned, o.Apart
	case stage == "check":
		row.Result = OK
	case o.Cached:
		row.Result = Cached
	default:
		row.Result = Built
	}
	return row
}

// targets are the builds of the library that the patch's description names.
func targets(patch Patch, records []*elfinfo.Build) []*elfinfo.Build {
	var builds []*elfinfo.Build
	for _, b := range records {
		if targetOf(patch, b) {
			builds = append(builds, b)
		}
	}
	return builds
}

// targetOf says whether the patch's description names the library of the build.
func targetOf(patch Patch, b *elfinfo.Build) bool {
	return builder.IsTarget(patch.Description.Target, b)
}

// prune removes the containers in a folder that are not wanted.
func prune(dir string, wanted []string) error {
	present, err := filesIn(dir, "*.so")
	if err != nil {
		return err
	}
	keep := make(map[string]bool, len(wanted))
	for _, name := range wanted {
		keep[name] = true
	}
	for _, file := range present {
		if !keep[filepath.Base(file)] {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	return nil
}

// Clean removes build/ and dist/ of the project in dir.
func Clean(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, ConfigFile)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", dir, ErrNoProject)
	} else if err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(filepath.Join(dir, BuildDir)), os.RemoveAll(filepath.Join(dir, DistDir)))
}
