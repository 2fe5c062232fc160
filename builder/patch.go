package builder

import (
	"log/slog"
	"path"
	"path/filepath"
	"runtime"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// Patch is one live patch of a project: its sources and one description, for
// any number of builds.
type Patch struct {
	// Name is the patch's name, that of its folder below livepatches/.
	Name string
	// Dir is the folder. Sources (C, or C++ if the name ends in .cc, .cpp or
	// .cxx) and Template are the files; a bare file name is one in Dir. No
	// Sources stand for NAME.c, "" for NAME.in.
	Sources       []string
	Template, Dir string
	// Types are the names of types that the sources declare themselves, in the
	// form of elfinfo.Wanted: the checks hold them against those of the builds.
	Types []string
	// Waive says, by the name of a check, why what it finds is accepted. See
	// CheckWaivers.
	Waive map[string]string
	// Select says what the patch has to do with one build of its library; nil
	// stands for a function that returns the zero Selection. It is called once
	// for each build, from one goroutine; its error is why that build cannot
	// have a container.
	Select func(*elfinfo.Build) (Selection, error)
}

// Selection is what one live patch has to do with one build.
type Selection struct {
	// Apart is why the patch does not concern the build, "" if it does.
	Apart string
	// Defines are macros, NAME or NAME=VALUE, that the sources are compiled with.
	Defines []string
	// Headers are folders that are searched for headers before this machine's
	// own, as absolute paths. What a header is does not depend on the folder's
	// name: equal contents give equal containers.
	Headers []string
}

func (p Patch) sourceFiles() []string {
	if len(p.Sources) == 0 {
		return []string{p.file(p.Name + ".c")}
	}
	var files []string
	for _, s := range p.Sources {
		files = append(files, p.file(s))
	}
	return files
}

func (p Patch) templateFile() string {
	if p.Template == "" {
		return p.file(p.Name + ".in")
	}
	return p.file(p.Template)
}

func (p Patch) file(name string) string {
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
	// CacheDir keeps objects and links between runs, of this project and of
	// others; "" keeps nothing. A folder that somebody else may write to is not
	// used. It is kept below CacheLimit bytes (0: DefaultCacheLimit).
	CacheDir   string
	CacheLimit int64
	// OutDir receives the containers.
	OutDir string
	// Jobs is how many compilers, links and containers run at a time; 0 is one
	// per processor.
	Jobs int
	// Set and SetVersion are the project's name and version, for .lpbuild. The
	// containers' file names begin with Set; if it is "", with the name of the
	// first patch.
	Set, SetVersion string
	// Related are records of other libraries. Those that a build needs
	// (DT_NEEDED) and that its own package ships are searched for imports, too.
	Related []*elfinfo.Build
	// Complete reads the symbols and imports of wanted names into a record that
	// was read without them; several at a time. It is called once for each build
	// that a patch concerns, and for the libraries that one of them needs; nil
	// says that records are complete.
	Complete func(b *elfinfo.Build, wanted func(name string) bool) error
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

// Outcome is what came of one live patch in one build.
type Outcome struct {
	// Patch is the patch's name.
	Patch string
	Build *elfinfo.Build
	// Apart is why the patch does not concern the build; the other fields below
	// are then empty.
	Apart string
	// Container is the path of the build's container, "" if there is none. It
	// holds all patches that concern the build; builds that share a build-id
	// share it.
	Container string
	// Cached says that the container was there already, unchanged.
	Cached bool
	// Findings are what the checks found, also where nothing stops the container.
	Findings []Finding
	// Err is why there is no container. It names the build.
	Err error
}

// IsTarget reports whether b is a build of the library that a description's
// target line names, by its soname or the base name of its file.
func IsTarget(target string, b *elfinfo.Build) bool {
	name := path.Base(target)
	return name == b.Soname || name == path.Base(b.Library)
}
