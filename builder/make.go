package builder

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
)

// Make builds the patch's container for every build and returns one Outcome
// per build, in order. A build that cannot have one says so in its Outcome and
// does not stop the others; a container that an earlier run left for it is
// removed.
//
// The error is for what concerns them all: the description or the source is
// wrong, a tool is missing, ctx was cancelled (the outcomes then say which
// builds were done). Nothing half written is left behind.
func Make(ctx context.Context, p Patch, builds []*elfinfo.Build, o Options) ([]Outcome, error) {
	return makeAll(ctx, p, builds, o, true)
}

// Check does what Make does, and writes nothing but the cache: each Outcome
// holds the refusal or the warnings that Make would give, and no Container.
func Check(ctx context.Context, p Patch, builds []*elfinfo.Build, o Options) ([]Outcome, error) {
	return makeAll(ctx, p, builds, o, false)
}

func makeAll(ctx context.Context, p Patch, builds []*elfinfo.Build, o Options, write bool) ([]Outcome, error) {
	work, err := os.MkdirTemp("", "lpbuild-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	m := &maker{patch: p, opts: o, store: &store{dir: o.CacheDir}, work: work, write: write}
	if err := m.prepare(ctx); err != nil {
		return nil, err
	}
	m.outcomes, m.done = make([]Outcome, len(builds)), make([]bool, len(builds))
	for i, b := range builds {
		m.outcomes[i].Build = b
	}
	targets := m.plan()
	if err := m.produce(ctx, targets); err != nil {
		m.abandon(err)
		return m.outcomes, err
	}
	return m.outcomes, nil
}

// maker makes the containers of one patch.
type maker struct {
	patch Patch
	opts  Options
	store *store
	work  string
	write bool

	// Set by prepare, then only read.
	desc       *livepatch.Description
	depends    [][32]byte
	tools      *toolchain
	libgcc     map[string]bool
	object     *object
	prototypes map[string]string

	mu       sync.Mutex
	outcomes []Outcome
	done     []bool
}

// prepare does what is done once for all builds.
func (m *maker) prepare(ctx context.Context) error {
	template, err := os.ReadFile(m.patch.templateFile())
	if err != nil {
		return err
	}
	m.desc, err = livepatch.ParseDescription(filepath.Base(m.patch.templateFile()), template)
	if err != nil {
		return err
	}
	if err := m.readDepends(); err != nil {
		return err
	}
	if m.tools, err = findToolchain(ctx, m.store, m.opts.Compiler); err != nil {
		return err
	}
	if m.libgcc, err = archiveSymbols(m.tools.Libgcc); err != nil {
		return err
	}
	var log string
	if m.object, log, err = m.compile(ctx); err != nil {
		return err
	}
	if log != "" {
		m.opts.log().Warn("compiler warnings", "patch", m.patch.Name, "output", log)
	}
	if err := m.checkReplacements(); err != nil {
		return err
	}
	if m.prototypes, err = m.readPrototypes(ctx); err != nil {
		m.opts.log().Debug("prototypes of the replacements are unknown", "patch", m.patch.Name, "error", err)
	}
	return context.Cause(ctx)
}

// readDepends reads the patch ids of the patches that must be applied before.
func (m *maker) readDepends() error {
	for _, name := range m.desc.Depends {
		data, err := os.ReadFile(under(m.patch.Dir, name))
		if err != nil {
			return fmt.Errorf("dependency: %w", err)
		}
		id, err := livepatch.ReadPatchID(name, data)
		if err != nil {
			return fmt.Errorf("dependency: %w", err)
		}
		m.depends = append(m.depends, id)
	}
	return nil
}

// target is one container to make: one build-id, which several packages may ship.
type target struct {
	plan    *plan
	nevras  []string
	indexes []int // of outcomes
	file    string
	input   livepatch.PackInput
	link    linkJob
	key     string
}

// plan resolves every build and gathers the records of one build-id. Builds
// that are refused get their outcome here.
func (m *maker) plan() []*target {
	byID := map[string]*target{}
	var targets []*target
	for i := range m.outcomes {
		b := m.outcomes[i].Build
		p, err := m.newPlan(b)
		if err != nil {
			m.refuse(i, err)
			continue
		}
		id := b.Soname + " " + string(b.BuildID)
		t := byID[id]
		if t == nil {
			t = &target{plan: p}
			byID[id] = t
			targets = append(targets, t)
		} else if !t.plan.same(p) {
			m.refuse(i, refuse(ErrConflict, nil, "the build-id is that of %s, the contents are not", t.plan.build.NEVRA))
			continue
		}
		t.indexes = append(t.indexes, i)
		t.nevras = append(t.nevras, b.NEVRA)
	}
	return slices.DeleteFunc(targets, func(t *target) bool {
		err := m.describe(t)
		for _, i := range t.indexes {
			if err != nil {
				m.refuse(i, err)
			}
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
	SHA256   string   `json:"sha256"`
	Warnings []string `json:"warnings,omitempty"`
	cached   bool
}

// reuse gives t its outcome if the container is there and made from the same
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
	for _, i := range t.indexes {
		if err != nil {
			m.refuse(i, err)
			continue
		}
		o := Outcome{Build: m.outcomes[i].Build, Cached: result.cached}
		o.Warnings = slices.Concat(t.plan.warnings, result.Warnings)
		if m.write {
			o.Container = t.file
		}
		m.report(i, o)
	}
}

// refuse sets the outcome of a build that gets no container, and removes the
// one that an earlier run may have left: it would be packaged as if it were
// good.
func (m *maker) refuse(i int, err error) {
	b := m.outcomes[i].Build
	if name, nameErr := containerName(m.patch.Name, b.NEVRA, b); m.write && nameErr == nil {
		_ = os.Remove(filepath.Join(m.opts.OutDir, name))
	}
	m.report(i, Outcome{Build: b, Err: nameBuild(err, b)})
}

func (m *maker) report(i int, o Outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.outcomes[i], m.done[i] = o, true
	if m.opts.Progress != nil {
		m.opts.Progress(o)
	}
}

// abandon gives every build that has no outcome yet the reason.
func (m *maker) abandon(err error) {
	for i := range m.outcomes {
		if o := &m.outcomes[i]; !m.done[i] {
			o.Err = nameBuild(err, o.Build)
		}
	}
}
