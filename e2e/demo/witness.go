package demo

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"github.com/lpbuild/lpbuild/builder"
	"github.com/lpbuild/lpbuild/e2e/fixture"
	"github.com/lpbuild/lpbuild/elfinfo"
	"github.com/lpbuild/lpbuild/livepatch"
	"github.com/lpbuild/lpbuild/versions"
)

// hostLoader is this machine's dynamic loader, which runs witnesses of
// libraries other than libc.
const hostLoader = "/lib64/ld-linux-x86-64.so.2"

// The first witness of each project has many threads, the others a few.
const (
	manyThreads = 8
	fewThreads  = 2
)

// witnesses builds a program for every build of the project.
func (d *demo) witnesses(ctx context.Context, p project) ([]witness, error) {
	dir := d.path("witness", p.patch)
	for _, from := range []string{"testdata/witness", "testdata/" + p.patch} {
		if err := d.copyOut(from, filepath.Join(dir, filepath.Base(from))); err != nil {
			return nil, err
		}
	}
	records, err := versions.ReadRecords(d.path(p.dir))
	if err != nil {
		return nil, err
	}
	store, err := versions.OpenStore(d.path("cache", "lpbuild"))
	if err != nil {
		return nil, err
	}
	names, err := d.replaced(p)
	if err != nil {
		return nil, err
	}
	var out []witness
	for i, record := range records {
		w := witness{
			Package: p.name, NEVRA: record.NEVRA, BuildID: string(record.BuildID), Soname: record.Soname,
			Program: filepath.Join(dir, p.patch+strconv.Itoa(i)), Threads: fewThreads,
			Env: []string{"LC_ALL=C"}, Old: p.old, First: p.first, Second: p.second,
		}
		if i == 0 {
			w.Threads = manyThreads
		}
		err := w.find(record, store, names)
		if err == nil {
			err = d.compile(ctx, p, &w, record, store)
		}
		if err != nil {
			return nil, &StepError{Step: "witness " + w.NEVRA, Err: err}
		}
		out = append(out, w)
	}
	return out, nil
}

// find notes where the library is and what the functions look like in it.
func (w *witness) find(record *elfinfo.Build, store *versions.Store, names []string) error {
	library, err := store.Library(record)
	if err != nil {
		return err
	}
	// /proc/PID/maps names the file, not a link to it.
	if w.Library, err = filepath.EvalSymlinks(library); err != nil {
		return err
	}
	for _, name := range names {
		f, err := record.Function(name)
		if err != nil {
			return err
		}
		w.Functions = append(w.Functions, original{name, f.Address, f.Before, f.Bytes})
	}
	return nil
}

// replaced are the names of the functions that the project's patch replaces.
func (d *demo) replaced(p project) ([]string, error) {
	file := filepath.Join(d.path(p.dir), "livepatches", p.patch, p.patch+".in")
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	description, err := livepatch.ParseDescription(file, src)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, u := range description.Units {
		names = append(names, u.Name())
	}
	return names, nil
}

// compile builds the program of a witness. One for a libc is linked against
// that libc and runs on it and its loader; others run on this machine's.
func (d *demo) compile(ctx context.Context, p project, w *witness, record *elfinfo.Build, store *versions.Store) error {
	dir, err := store.LibraryDir(record)
	if err != nil {
		return err
	}
	env := builder.ProgramEnv{LibraryDir: dir}
	if p.kind != fixture.Glibc {
		loader, err := filepath.EvalSymlinks(hostLoader)
		if err != nil {
			return err
		}
		env = builder.ProgramEnv{
			LibraryDir: filepath.Dir(loader), Loader: loader, Libraries: []string{w.Library},
		}
		w.Env = append(w.Env, "LD_LIBRARY_PATH="+dir)
	}
	sources := d.path("witness", p.patch, "witness")
	env.Flags = append(env.Flags, "-I"+d.path("witness", p.patch, p.patch))
	return builder.BuildProgram(ctx, filepath.Join(sources, p.patch+".c"), w.Program, env)
}
