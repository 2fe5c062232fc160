package rpmmd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// maxTries is how many mirrors are asked for one file.
	maxTries = 8
	// maxFailures is how often a mirror may fail at what another one can do
	// before it is left alone for the rest of the run.
	maxFailures = 3
)

// errBehind says that a mirror has an older revision than others may have.
var errBehind = errors.New("the mirror is behind")

// try calls f for one server after the other, until one does not fail. Which
// one that is, and why others were not, is in the log. If none can do it, the
// error is that of all.
func (r *Repository) try(ctx context.Context, file string, f func(*server) error) error {
	candidates, alone, err := r.candidates(ctx)
	if err != nil {
		return err
	}
	var failed []*server
	var errs []error
	for _, s := range candidates {
		err := f(s)
		if err == nil {
			r.succeeded(s, failed, file)
			return nil
		}
		if ctx.Err() != nil || alone || errors.Is(err, errLocal) {
			return err
		}
		r.log.Warn("mirror failed", "mirror", s.name, "file", file, "reason", err)
		failed = append(failed, s)
		errs = append(errs, fmt.Errorf("mirror %s: %w", s.name, err))
	}
	return r.allFailed(failed, errs)
}

// candidates are the servers to ask, the best first: the one that could do it
// last, then the others in the order of the list. alone says that there is but
// one in all.
func (r *Repository) candidates(ctx context.Context) (chosen []*server, alone bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.servers == nil {
		if err := r.readMirrors(ctx); err != nil {
			return nil, false, err
		}
	}
	if len(r.servers) == 1 {
		return r.servers, true, nil
	}
	if r.last != nil && r.last.failures < maxFailures {
		chosen = append(chosen, r.last)
	}
	for _, s := range r.servers {
		if s != r.last && s.failures < maxFailures && len(chosen) < maxTries {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return nil, false, fmt.Errorf("all %d mirrors have failed too often", len(r.servers))
	}
	return chosen, false, nil
}

// succeeded notes that s could do what others could not.
func (r *Repository) succeeded(s *server, failed []*server, file string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last != s && len(r.servers) > 1 {
		r.log.Info("mirror in use", "mirror", s.name, "file", file)
	}
	r.last = s
	s.failures = max(0, s.failures-1)
	for _, other := range failed {
		r.failed(other)
	}
}

func (r *Repository) failed(s *server) {
	if s.failures++; s.failures == maxFailures {
		r.log.Warn("mirror is left alone from now on", "mirror", s.name, "failures", s.failures)
	}
}

// allFailed blames only those that could not be talked to: a file that no
// mirror has is no mirror's fault.
func (r *Repository) allFailed(failed []*server, errs []error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, s := range failed {
		if !errors.Is(errs[i], ErrNotFound) && !errors.Is(errs[i], errBehind) {
			r.failed(s)
		}
	}
	return fmt.Errorf("none of %d mirrors asked could serve it:\n%w", len(failed), errors.Join(errs...))
}

// readMirrors fetches the list and makes its servers. r.mu is held.
func (r *Repository) readMirrors(ctx context.Context) error {
	address, parse := r.src.Metalink, ParseMetalink
	if address == "" {
		address, parse = r.src.Mirrorlist, ParseMirrorlist
	}
	source, name, err := r.listServer(address)
	if err != nil {
		return err
	}
	data, err := small(ctx, source.fetcher, name, maxMirrorlist)
	if err != nil {
		return fmt.Errorf("list of mirrors: %w", err)
	}
	list, err := parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", source.name, err)
	}
	var servers []*server
	var refused []error
	for _, base := range list.Mirrors {
		s, err := r.mirror(base, len(list.Mirrors) == 1)
		if err != nil {
			r.log.Info("mirror left out", "mirror", base, "reason", err)
			refused = append(refused, err)
			continue
		}
		servers = append(servers, s)
	}
	if len(servers) == 0 {
		return fmt.Errorf("%s: no mirror can be used:\n%w", source.name, errors.Join(refused...))
	}
	r.servers, r.revisions = servers, list.Revisions
	return nil
}

// mirror makes the server of one line of a list. A list from elsewhere has no
// say in what is read on this machine.
func (r *Repository) mirror(base string, alone bool) (*server, error) {
	if strings.HasPrefix(base, "file:") && r.client.configured != nil {
		return nil, fmt.Errorf("%w: %.80s: a file, though the list is not", errRefused, base)
	}
	return r.client.server(base, alone)
}

// listServer is where the list at an address comes from, and its name there.
func (r *Repository) listServer(address string) (*server, string, error) {
	file := address
	if strings.HasPrefix(address, "file://") {
		u, err := url.Parse(address)
		if err != nil {
			return nil, "", err
		}
		file = filepath.FromSlash(u.Path)
	}
	if !strings.Contains(file, "://") {
		s, err := r.client.server(filepath.Dir(file), true)
		return s, filepath.Base(file), err
	}
	s, err := r.client.server(address, true)
	return s, "", err
}

// behind is the index of the revision that data is, 0 for the newest or where
// there is no metalink, -1 if it is none of them.
func (r *Repository) behind(data []byte) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.revisions) == 0 {
		return 0
	}
	return slices.IndexFunc(r.revisions, func(v Revision) bool { return v.matches(data) })
}
