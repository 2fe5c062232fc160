package versions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/versions/rpmmd"
)

// DebuginfodURLs is an item of Request.Debuginfod that stands for the servers
// that this variable of the environment names, as debuginfod(8) has it.
const DebuginfodURLs = "$DEBUGINFOD_URLS"

// answerLimits bound what a debuginfod server may do to us.
type answerLimits struct {
	size      int64         // bytes of a debug file
	stall     time.Duration // with nothing arriving
	timeout   time.Duration // of one file
	retryWait time.Duration
}

func (l answerLimits) withDefaults() answerLimits {
	return answerLimits{
		size: cmp.Or(l.size, 1<<30), stall: cmp.Or(l.stall, 30*time.Second),
		timeout: cmp.Or(l.timeout, 10*time.Minute), retryWait: cmp.Or(l.retryWait, time.Second/4),
	}
}

// A debugServer is a debuginfod server. Nothing signs what it says: its answers
// are held against the library as far as that goes (elfinfo's CheckDebug), and
// TLS says who it is.
type debugServer struct {
	base *url.URL // without a user
	repo *rpmmd.Repository
	down atomic.Bool // not asked again in this run
}

// An answer is a debug file that a server gave, in this run or earlier.
type answer struct {
	location string // where, without credentials
	sum      string // SHA-256
	file     *elfinfo.File
}

// newServers prepares the servers of a request. Offline there are none.
func (d *downloader) newServers() error {
	for _, item := range d.req.Debuginfod {
		list := []string{item}
		if item == DebuginfodURLs {
			list = strings.Fields(os.Getenv(strings.TrimPrefix(DebuginfodURLs, "$")))
		}
		for _, raw := range list {
			if strings.HasPrefix(raw, "ima:") {
				continue // a policy for what follows, of elfutils 0.192 and later
			}
			s, err := d.newServer(raw)
			if err != nil {
				return err
			}
			d.servers = append(d.servers, s)
		}
	}
	return nil
}

// PrivateServer reports whether nobody on the way can change what the debuginfod
// server at u says, which nothing signs: it has TLS, or is on this machine.
// Else a function could be found where another one is.
func PrivateServer(u *url.URL) bool {
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

func (d *downloader) newServer(raw string) (*debugServer, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("debuginfod: not the http or https URL of a server (not shown: it may hold a password)")
	}
	if !PrivateServer(u) {
		return nil, fmt.Errorf("debuginfod: %s: only over https: nothing signs what it says", u.Host)
	}
	repo, err := rpmmd.Open(rpmmd.Source{Name: "debuginfod " + u.Host, URL: raw}, rpmmd.Options{
		Offline: d.opts.Offline, Network: d.opts.network, Log: d.opts.Log,
		Stall: d.opts.answers.stall, RetryWait: d.opts.answers.retryWait,
	})
	if err != nil {
		return nil, err
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return &debugServer{base: u, repo: repo}, nil
}

// fromServer looks for the debug file of the library in the store, and then
// asks the debuginfod servers.
func (r *recorder) fromServer(ctx context.Context, lib *library) (*symbols, error) {
	a, err := r.askServers(ctx, lib.BuildID(), func(f *elfinfo.File) error { return lib.CheckDebug(f) })
	if a == nil || err != nil {
		return nil, err
	}
	s := &symbols{source: elfinfo.DebugServer, file: a.file, answer: a}
	s.open = append(s.open, a.file)
	return s, r.addAlternate(ctx, s)
}

// askServers returns the debug file of a build-id that accept accepts; nil if
// there is none. A server that fails or lies is passed over with a warning: the
// next may do better, and a build can be recorded without.
func (d *downloader) askServers(ctx context.Context, id elfinfo.BuildID, accept func(*elfinfo.File) error) (*answer, error) {
	if len(d.servers) == 0 {
		return nil, nil
	}
	if a := d.store.answer(id, accept); a != nil {
		return a, nil
	}
	for _, s := range d.servers {
		if d.opts.Offline || s.down.Load() {
			continue
		}
		a, err := d.ask1(ctx, s, id, accept)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		switch {
		case err == nil:
			return a, nil
		case errors.Is(err, rpmmd.ErrNotFound):
			d.opts.Log.Debug("debuginfod server has no debug symbols", "server", s.base.String(), "build_id", string(id))
		case errors.Is(err, errStore):
			return nil, err
		case notThisBuild(err), errors.Is(err, ErrChecksum):
			d.opts.Log.Warn("debuginfod server gave something else", "server", s.base.String(), "build_id", string(id), "error", err)
		default:
			if !s.down.Swap(true) {
				d.opts.Log.Warn("debuginfod server does not answer and is not asked again", "server", s.base.String(), "error", err)
			}
		}
	}
	return nil, nil
}

// errStore marks what is no server's fault.
var errStore = errors.New("store")

// ask1 asks one server and keeps what it says in the store.
func (d *downloader) ask1(ctx context.Context, s *debugServer, id elfinfo.BuildID, accept func(*elfinfo.File) error) (*answer, error) {
	tmp, err := d.store.newAnswer()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errStore, err)
	}
	defer os.Remove(tmp.Name()) // unless it has its own name by then
	defer tmp.Close()
	fetch, cancel := context.WithTimeoutCause(ctx, d.opts.answers.timeout, fmt.Errorf("not finished after %v", d.opts.answers.timeout))
	defer cancel()
	place := "buildid/" + string(id) + "/debuginfo"
	if err := s.repo.Fetch(fetch, place, tmp, d.opts.answers.size, func(int64) {}); err != nil {
		return nil, err
	}
	f, err := elfinfo.Open(tmp.Name())
	if err == nil {
		err = errors.Join(accept(f), f.Close())
	}
	if err != nil {
		return nil, err
	}
	a, err := d.store.keepAnswer(tmp, id, s.base.JoinPath(place).String())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errStore, err)
	}
	if a.file, err = elfinfo.Open(filepath.Join(d.store.answers(), a.sum+".debug")); err != nil {
		return nil, fmt.Errorf("%w: %w", errStore, err)
	}
	return a, nil
}
