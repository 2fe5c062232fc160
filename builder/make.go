package builder

import (
	"cmp"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// Make builds one container for every build, with all patches that concern it,
// and returns one Outcome for every patch and build of its library, in this
// order. A build of which one patch is refused has no container at all: the
// Outcome of that patch says why, those of its other patches that it is so. It
// does not stop the other builds; a container that an earlier run left for it
// is removed. A build that no patch concerns has none either.
//
// The error is for what concerns them all: a description or a source is wrong,
// a tool is missing, ctx was cancelled (the outcomes then say which builds were
// done). Nothing half written is left behind.
func Make(ctx context.Context, patches []Patch, builds []*elfinfo.Build, o Options) ([]Outcome, error) {
	return makeAll(ctx, patches, builds, o, true)
}

// Check does what Make does, and writes nothing but the cache: each Outcome
// holds the refusal or the warnings that Make would give, and no Container.
func Check(ctx context.Context, patches []Patch, builds []*elfinfo.Build, o Options) ([]Outcome, error) {
	return makeAll(ctx, patches, builds, o, false)
}

func makeAll(ctx context.Context, patches []Patch, builds []*elfinfo.Build, o Options, write bool) ([]Outcome, error) {
	work, err := os.MkdirTemp("", "lpbuild-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	m := &maker{opts: o, store: useStore(o), work: work, write: write, shipped: byPackage(o.Related)}
	defer m.store.closeStore(o.CacheLimit)
	if err := m.prepare(ctx, patches); err != nil {
		return nil, err
	}
	sites := m.assign(builds)
	if err := m.compileAll(ctx); err != nil {
		return nil, err
	}
	if err := m.complete(ctx, sites); err != nil {
		return nil, err
	}
	if err := m.produce(ctx, m.plan(sites)); err != nil {
		m.abandon(err)
		return m.outcomes, err
	}
	return m.outcomes, nil
}

// maker makes the containers of one set.
type maker struct {
	opts  Options
	store *store
	work  string
	write bool

	shipped map[string][]*elfinfo.Build // Options.Related

	// Set before anything is planned, then only read.
	tools    *toolchain
	libgcc   map[string]bool
	parts    []*part
	variants []*variant
	// flights are compilations under way, digests the files that were read.
	flights singleflight.Group
	digests digests
	// unions holds what has been merged already; see union.
	unions map[string]*union

	mu       sync.Mutex
	outcomes []Outcome
	done     []bool
}

// prepare does what is done once for all patches.
func (m *maker) prepare(ctx context.Context, patches []Patch) (err error) {
	if err := m.readParts(patches); err != nil {
		return err
	}
	if m.tools, err = findToolchain(ctx, m.store, m.opts.Compiler); err != nil {
		return err
	}
	m.libgcc, err = archiveSymbols(m.tools.Libgcc)
	return err
}

// setName is the first part of the containers' names.
func (m *maker) setName() string {
	if m.opts.Set == "" && len(m.parts) > 0 {
		return m.parts[0].patch.Name
	}
	return m.opts.Set
}

// target is one container to make: one build-id, which several packages may ship.
type target struct {
	plan   *plan
	sites  []*site
	nevras []string
	file   string
	input  livepatch.PackInput
	link   linkJob
	key    string
}

// plan resolves every build and gathers the records of one build-id. Builds
// that are refused get their outcomes here.
func (m *maker) plan(sites []*site) []*target {
	m.unions = map[string]*union{}
	byID := map[string]*target{}
	var targets []*target
	for _, s := range sites {
		if len(s.cells) == 0 {
			continue
		}
		p, err := m.newPlan(s)
		if err != nil {
			m.refuse(s, err)
			continue
		}
		id := s.build.Soname + " " + string(s.build.BuildID)
		t := byID[id]
		if t == nil {
			t = &target{plan: p}
			byID[id] = t
			targets = append(targets, t)
		} else if !t.plan.same(p) {
			m.refuse(s, refuse(ErrConflict, nil, "the build-id is that of %s, the contents are not", t.plan.build.NEVRA))
			continue
		}
		t.sites = append(t.sites, s)
		t.nevras = append(t.nevras, s.build.NEVRA)
	}
	return slices.DeleteFunc(targets, func(t *target) bool {
		err := m.describe(t)
		if err != nil {
			m.finish(t, made{}, err)
		}
		return err != nil
	})
}

// produce links and packs what is not there already.
func (m *maker) produce(ctx context.Context, targets []*target) error {
	links := map[string]linkJob{}
	var rest []*target
	for _, t := range targets {
		if m.reuse(t) {
			continue
		}
		rest = append(rest, t)
		links[t.link.key] = t.link
	}
	linked, failed, err := m.linkAll(ctx, links)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(m.opts.jobs())
	for _, t := range rest {
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := failed[t.link.key]; err != nil {
				m.finish(t, made{}, err)
				return nil
			}
			result, err := m.pack(t, linked[t.link.key])
			m.finish(t, result, err)
			return nil
		})
	}
	return g.Wait()
}

// linkAll runs the distinct links. Only a cancellation is an error; a link
// that fails is in failed.
func (m *maker) linkAll(ctx context.Context, jobs map[string]linkJob) (linked map[string][]byte, failed map[string]error, err error) {
	linked, failed = map[string][]byte{}, map[string]error{}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(m.opts.jobs())
	for key, job := range jobs {
		g.Go(func() error {
			data, err := m.link(ctx, job)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed[key] = err
			}
			linked[key] = data
			return nil
		})
	}
	return linked, failed, g.Wait()
}

// made is what a finished container is known by; the cache keeps it.
type made struct {
	SHA256 string `json:"sha256"`
	cached bool
}

// reuse gives t its outcomes if the container is there and made from the same
// input. Checking needs only to know that it once could be made.
func (m *maker) reuse(t *target) bool {
	note, ok := m.store.get("containers", t.key)
	if !ok {
		return false
	}
	var result made
	if json.Unmarshal(note, &result) != nil {
		return false
	}
	if m.write {
		data, err := os.ReadFile(t.file)
		if err != nil || digest(data) != result.SHA256 {
			return false
		}
	}
	result.cached = true
	m.finish(t, result, nil)
	return true
}

// finish sets the outcomes of t's builds.
func (m *maker) finish(t *target, result made, err error) {
	for _, s := range t.sites {
		if err != nil {
			m.refuse(s, err)
			continue
		}
		for _, c := range s.cells {
			o := Outcome{Patch: c.patch.Name, Build: s.build, Cached: result.cached}
			o.Findings = c.findings
			if m.write {
				o.Container = t.file
			}
			m.report(c.index, o)
		}
	}
}

// refuse sets the outcomes of a build that gets no container, and removes the
// one that an earlier run may have left: it would be packaged as if it were
// good. A patch that has no error of its own shares err.
func (m *maker) refuse(s *site, err error) {
	name, nameErr := containerName(m.setName(), s.build.NEVRA, s.build)
	if m.write && nameErr == nil {
		_ = os.Remove(filepath.Join(m.opts.OutDir, name))
	}
	for _, c := range s.cells {
		own := cmp.Or(c.err, err)
		m.report(c.index, Outcome{
			Patch: c.patch.Name, Build: s.build, Findings: withRefusal(c.findings, own), Err: nameBuild(own, s.build),
		})
	}
}

func (m *maker) report(i int, o Outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.outcomes[i], m.done[i] = o, true
	if m.opts.Progress != nil {
		m.opts.Progress(o)
	}
}

// abandon gives every patch and build that has no outcome yet the reason.
func (m *maker) abandon(err error) {
	for i := range m.outcomes {
		if o := &m.outcomes[i]; !m.done[i] {
			o.Err = nameBuild(err, o.Build)
		}
	}
}
