package builder

import (
	"context"
	"debug/elf"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// ProgramEnv is the build that a test program is to run on.
type ProgramEnv struct {
	// LibraryDir holds the build's own libraries: libc.so.6, ld.so, libm.so.6,
	// libpthread.so.0 and so on. The program looks for its libraries there, and
	// before that in the folders of Libraries (DT_RPATH).
	LibraryDir string
	// Loader is the path of the build's dynamic loader, the program's
	// PT_INTERP; "" is ld-linux-x86-64.so.2 in LibraryDir.
	Loader string
	// Libraries are further shared objects to link with, as sonames in
	// LibraryDir or as paths. libc.so.6 and those of glibcParts that are in
	// LibraryDir need not be named.
	Libraries []string
	// Flags are added to the compiler's. Compiler is as in Options.
	Flags    []string
	Compiler string
	// Companions are further C sources, each by the name of a function: it
	// becomes part of the program if source defines that function. They may use
	// only functions that every build has by that name.
	Companions map[string][]byte
	// CacheDir is as in Options; it spares asking the compiler for its parts.
	CacheDir string
}

// glibcParts are libraries that hold functions of libc in older builds (before
// glibc 2.34: threads, dlopen, timers), or always. A program needs only those
// that it uses.
var glibcParts = []string{"libpthread.so.0", "libdl.so.2", "librt.so.1", "libm.so.6"}

// programFlags compile a program against this machine's headers and nothing
// else of it: see baseFlags for the reasons.
var programFlags = []string{
	"-g", "-O1", "-fPIE", "-pthread", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=0",
	"-fno-stack-protector", "-fcf-protection=full", "-mtls-dialect=gnu",
	"-Wall", "-Werror=implicit-function-declaration",
}

//go:embed crt/start.S
var startSource []byte

//go:embed crt/nonshared.c
var nonsharedSource []byte

// nonsharedNames are functions that a program finds in the static part of a
// libc (libc_nonshared.a). crt/nonshared.c has one for each; wrappers are others.
var nonsharedNames = []string{"at_quick_exit", "atexit", "pthread_atfork"}

// BuildProgram compiles the C file source into the program out such that it
// runs on the build of glibc that env names, which may be older or newer than
// this machine's: linked against that build's own files, with an entry point of
// its own instead of this machine's crt1.o and libc_nonshared.a. The program
// can be started directly or through env's loader.
//
// The headers are this machine's: a function that the build lacks is an
// ErrImport that names it. Compiler and linker errors are *ToolError.
func BuildProgram(ctx context.Context, source, out string, env ProgramEnv) error {
	tools, err := findToolchain(ctx, &store{dir: env.CacheDir}, env.Compiler)
	if err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	work, err := os.MkdirTemp("", "lpbuild-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	p := &program{env: env, tools: tools, work: work}
	if err := p.build(ctx, source, out); err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	return nil
}

type program struct {
	env   ProgramEnv
	tools *toolchain
	work  string
	// libraries are the files to link with, offered the names they define.
	libraries []string
	offered   map[string]bool
	// nonshared are the flags for crt/nonshared.c, wrappers the names that
	// crt/wrappers.c is to define.
	nonshared, wrappers []string
	// companions are the names of those whose function main defines.
	companions []string
}

func (p *program) build(ctx context.Context, source, out string) error {
	if err := p.openLibraries(); err != nil {
		return err
	}
	main := filepath.Join(p.work, "main.o")
	if err := p.compile(ctx, source, main, p.env.Flags); err != nil {
		return err
	}
	if err := p.adapt(main); err != nil {
		return err
	}
	objects, err := p.surroundings(ctx)
	if err != nil {
		return err
	}
	linked := filepath.Join(p.work, "program")
	if err := p.link(ctx, linked, append(objects, main)); err != nil {
		return err
	}
	data, err := os.ReadFile(linked)
	if err != nil {
		return err
	}
	return writeAtomic(out, data, 0o755, true)
}

// surroundings compiles what else belongs into the program: the entry point,
// the companions and the functions of a static part that it needs.
func (p *program) surroundings(ctx context.Context) ([]string, error) {
	start, err := p.compileEmbedded(ctx, "start.S", startSource, nil)
	if err != nil {
		return nil, err
	}
	nonshared, err := p.compileEmbedded(ctx, "nonshared.c", nonsharedSource, p.nonshared)
	if err != nil {
		return nil, err
	}
	objects := []string{start, nonshared}
	for _, name := range p.companions {
		object, err := p.compileEmbedded(ctx, "companion_"+name+".c", p.env.Companions[name], nil)
		if err != nil {
			return nil, err
		}
		objects = append(objects, object)
	}
	if len(p.wrappers) == 0 {
		return objects, nil
	}
	data, err := wrapperObject(ctx, &store{dir: p.env.CacheDir}, p.tools, p.wrappers)
	if err != nil {
		return nil, err
	}
	wrapped := filepath.Join(p.work, "wrappers.o")
	return append(objects, wrapped), os.WriteFile(wrapped, data, 0o600)
}

// openLibraries finds the files to link with and the names that they define.
func (p *program) openLibraries() error {
	p.offered = map[string]bool{}
	names := append([]string{"libc.so.6"}, p.env.Libraries...)
	for _, part := range glibcParts {
		if _, err := os.Stat(filepath.Join(p.env.LibraryDir, part)); err == nil && !slices.Contains(names, part) {
			names = append(names, part)
		}
	}
	for _, name := range append(names, p.loader()) {
		file := name
		if !strings.Contains(name, "/") {
			file = filepath.Join(p.env.LibraryDir, name)
		}
		if err := p.openLibrary(file); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) openLibrary(file string) error {
	f, err := elfinfo.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		return err
	}
	for _, s := range symbols {
		if !s.Undefined && (s.Default || s.Version == "") {
			p.offered[s.Name] = true
		}
	}
	p.libraries = append(p.libraries, file)
	return nil
}

func (p *program) loader() string {
	if p.env.Loader != "" {
		return p.env.Loader
	}
	return filepath.Join(p.env.LibraryDir, "ld-linux-x86-64.so.2")
}

func (p *program) compile(ctx context.Context, source, object string, flags []string) error {
	args := slices.Concat(programFlags, flags, []string{"-fno-lto", "-c", "-o", object, source})
	_, err := run(ctx, command{path: p.tools.Compiler, args: args})
	return err
}

func (p *program) compileEmbedded(ctx context.Context, name string, text []byte, flags []string) (string, error) {
	file := filepath.Join(p.work, name)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return "", err
	}
	return file + ".o", p.compile(ctx, file, file+".o", flags)
}

// adapt renames what newer headers substitute in the object file main to what
// the build has, and finds out which functions of a static part the program
// needs. A name that nothing offers is left to the link editor if the
// compiler's own library has it.
func (p *program) adapt(main string) error {
	data, err := os.ReadFile(main)
	if err != nil {
		return err
	}
	o, err := readObject(data)
	if err != nil {
		return err
	}
	libgcc, err := archiveSymbols(p.tools.Libgcc)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.env.Companions)) {
		if o.exported[name] == elf.STT_FUNC {
			p.companions = append(p.companions, name)
		}
	}
	renames := map[string]string{}
	for _, u := range o.undefined {
		names := substitutes(u)
		i := slices.IndexFunc(names, func(n string) bool { return p.offered[n] })
		switch {
		case i > 0:
			renames[u.Name] = names[i]
		case i == 0 || u.Weak || u.Version != "" || libgcc[u.Name] || u.Name == "__dso_handle":
		case slices.Contains(nonsharedNames, u.Name):
			p.nonshared = append(p.nonshared, "-DNEED_"+u.Name)
		case p.offered[wrappers[u.Name]]:
			p.wrappers = append(p.wrappers, u.Name)
		default:
			err = errors.Join(err, fmt.Errorf("%w: %s is in none of the libraries of %s", ErrImport, u, p.env.LibraryDir))
		}
	}
	if err != nil {
		return err
	}
	if data, err = renameSymbols(data, renames); err != nil {
		return err
	}
	return os.WriteFile(main, data, 0o600)
}

// folders is where the program looks for libraries: those of the libraries
// that it is to run on come first, since LibraryDir may have others of the
// same names, and precedes LD_LIBRARY_PATH.
func (p *program) folders() (string, error) {
	var dirs []string
	for _, name := range append(slices.Clone(p.env.Libraries), filepath.Join(p.env.LibraryDir, "libc.so.6")) {
		if !strings.ContainsRune(name, '/') {
			continue
		}
		dir, err := filepath.Abs(filepath.Dir(name))
		if err != nil {
			return "", err
		}
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return strings.Join(dirs, ":"), nil
}

func (p *program) link(ctx context.Context, out string, objects []string) error {
	folders, err := p.folders()
	if err != nil {
		return err
	}
	loader, err := filepath.Abs(p.loader())
	if err != nil {
		return err
	}
	// DT_RPATH, unlike DT_RUNPATH, holds for the libraries' own needs, too.
	args := []string{"-pie", "-dynamic-linker", loader, "-rpath", folders, "--disable-new-dtags",
		"--eh-frame-hdr", "--build-id=sha1", "--hash-style=gnu", "--as-needed", "-z", "noexecstack",
		"--allow-shlib-undefined", "-o", out}
	args = slices.Concat(args, objects, p.libraries, []string{p.tools.Libgcc})
	_, err = run(ctx, command{path: p.tools.Linker, args: args})
	return err
}
