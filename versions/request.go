package versions

import (
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/lpbuild/lpbuild/versions/keyring"
	"github.com/lpbuild/lpbuild/versions/rpmmd"
)

// A Repository is a place where packages come from. Exactly one of URL,
// Mirrorlist and Metalink is set; a relative path counts from the project.
type Repository struct {
	// Name is for messages and the lock.
	Name string
	// Product is what the builds ship in; "" is Name.
	Product string
	// URL is http(s)://, file://, or the path of a folder: of a repository, or
	// of RPM files.
	URL string
	// Mirrorlist and Metalink are lists of such places with the same content.
	Mirrorlist string
	Metalink   string
	// Priority decides where a package is fetched that several repositories
	// have: the lowest first, equal ones in the order of the request.
	Priority int
	// Keys are files with OpenPGP public keys, of which any may sign the
	// metadata and the packages. Relative paths count from the project.
	Keys []string
	// CA is a PEM file with the authorities that sign the server's TLS
	// certificate, "" meaning the system's.
	CA string
	// UnsignedMetadata accepts a repository without repomd.xml.asc; its
	// packages are verified by their own signatures all the same.
	UnsignedMetadata bool
}

// CredentialPrefix begins the names of the environment variables with the
// credentials of the repository called name: LPBUILD_REPO_NAME_, the name in
// upper case with "_" for whatever is neither a letter nor a digit. USER and
// PASSWORD, TOKEN, QUERY, CERT and KEY follow it.
func CredentialPrefix(name string) string { return rpmmd.EnvPrefix(name) }

// A Request says which builds are wanted.
type Request struct {
	// Packages are the names of the packages with the libraries: one, or several
	// where the name has changed, or the libraries are in packages of their own.
	// DebugPackages are those with debug symbols (default: NAME-debuginfo of
	// each). Arches are RPM's; none means x86_64.
	Packages      []string
	DebugPackages []string
	Arches        []string
	// Libraries are path.Match patterns of absolute paths in the packages, as
	// /lib64/libc.so.6, which is also /usr/lib64/libc.so.6. What lies under the
	// same name in glibc-hwcaps folders beside a match is included: processes on
	// newer processors run that.
	Libraries []string
	// Names are the functions and variables to record, "name" or "name@source.c".
	Names []string
	// Types are the types to record the layouts of, as of [elfinfo.Wanted].
	Types        []string
	Repositories []Repository
	// Debuginfod are the URLs of debuginfod servers (http or https), asked in
	// this order for debug symbols that no package has; [DebuginfodURLs] stands
	// for those of the environment.
	Debuginfod []string
	// Support says until when builds are supported.
	Support Support
	// ProjectDir is where versions.lock and versions/ are.
	ProjectDir string
}

// Options are how to go about it. The zero value is usable.
type Options struct {
	// Store is the store's folder (default: lpbuild in the user's cache folder).
	Store string
	// Jobs is the number of versions worked on at a time; 0 means one per processor.
	Jobs int
	// Offline forbids the network: repositories that need it are replaced by
	// what the lock says of them, packages must be in the store.
	Offline bool
	// AcceptKeys are fingerprints of keys that are new in the key files of a
	// repository, or that sign it instead of another: accepted from now on.
	AcceptKeys []string
	// AcceptOlder names repositories that may show metadata older than the
	// lock has seen, or not signed any more, this once.
	AcceptOlder []string
	// Limits are what servers are asked for at most.
	Limits Limits
	// Log gets what is worth knowing; nil discards it.
	Log *slog.Logger
	// Progress is told of running tasks; nil is told nothing.
	Progress Progress

	network *rpmmd.Network // of the run, with the limits
	answers answerLimits
}

// Progress is told of tasks. Both interfaces must be safe for concurrent use.
type Progress interface {
	// Start begins a task of total bytes, 0 if unknown.
	Start(task string, total int64) Task
}

// A Task is one running task.
type Task interface {
	// Add says that n more bytes are done; n is negative where work is undone.
	Add(n int64)
	// Done ends the task.
	Done(err error)
}

type silent struct{}

func (silent) Start(string, int64) Task { return silent{} }
func (silent) Add(int64)                {}
func (silent) Done(error)               {}

func (o Options) withDefaults() Options {
	if o.Jobs <= 0 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Progress == nil {
		o.Progress = silent{}
	}
	o.network = rpmmd.NewNetwork(o.Limits)
	o.answers = o.answers.withDefaults()
	return o
}

func (r Request) withDefaults() Request {
	if len(r.DebugPackages) == 0 {
		for _, name := range r.Packages {
			r.DebugPackages = append(r.DebugPackages, name+"-debuginfo")
		}
	}
	if len(r.Arches) == 0 {
		r.Arches = []string{"x86_64"}
	}
	return r
}

// path resolves a path of the request.
func (r Request) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(r.ProjectDir, name)
}

// url resolves a repository's URL.
func (r Request) url(u string) string {
	if strings.Contains(u, "://") {
		return u
	}
	return r.path(u)
}

func (r Request) keyring(repo Repository) (*keyring.Keyring, error) {
	files := make([]string, len(repo.Keys))
	for i, k := range repo.Keys {
		files[i] = r.path(k)
	}
	return keyring.Open(files...)
}
