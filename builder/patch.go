package builder

import (
	"log/slog"
	"path/filepath"
	"runtime"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// Patch is one live patch of a project: one source, one description, any
// number of builds.
type Patch struct {
	// Name is the patch's name, that of its folder below livepatches/. The
	// containers' file names begin with it.
	Name string
	// Dir is the folder. Source and Template are the files; a bare file name is
	// one in Dir, "" stands for NAME.c and NAME.in.
	Source, Template, Dir string
}

func (p Patch) sourceFile() string   { return p.file(p.Source, ".c") }
func (p Patch) templateFile() string { return p.file(p.Template, ".in") }

func (p Patch) file(name, ext string) string {
	if name == "" {
		name = p.Name + ext
	}
	if filepath.Base(name) == name {
		return filepath.Join(p.Dir, name)
	}
	return name
}

// Options say how to build. The zero value builds with gcc into the current
// folder, without a cache.
type Options struct {
	// Compiler is gcc or a compiler that takes its options, as a path or a name
	// in PATH; "" is gcc. Flags are added to the builder's own.
	Compiler string
	Flags    []string
	// CacheDir keeps objects and links between runs; "" keeps nothing. OutDir
	// receives the containers.
	CacheDir, OutDir string
	// Jobs is how many links and containers are made at a time; 0 is one per
	// processor.
	Jobs int
	// Set and SetVersion are the project's name and version, for .lpbuild.
	Set, SetVersion string
	// Related are records of other libraries. Those that a build needs
	// (DT_NEEDED) and that its own package ships are searched for imports, too.
	Related []*elfinfo.Build
	// Log receives what is worth knowing and no error; nil discards it.
	Log *slog.Logger
	// Progress, if not nil, is called with each Outcome as soon as it is known,
	// never twice at a time.
	Progress func(Outcome)
}

func (o Options) jobs() int {
	if o.Jobs > 0 {
		return o.Jobs
	}
	return runtime.NumCPU()
}

func (o Options) log() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}

// Outcome is what came of one build.
type Outcome struct {
	Build *elfinfo.Build
	// Container is the path of the container, "" if there is none. Builds that
	// share a build-id share the container.
	Container string
	// Cached says that the container was there already, unchanged.
	Cached bool
	// Warnings are lines for the author of the patch that stop nothing.
	Warnings []string
	// Err is why there is no container. It names the build.
	Err error
}
