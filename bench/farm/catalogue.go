package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lpbuild/lpbuild/e2e/fixture"
)

// byHand makes a catalogue as it is done without lpbuild: $1 is a list of
// packages, each with that of its debug symbols, $3 what else to extract. It
// verifies nothing.
const byHand = `set -e
while read -r package debug; do
	mkdir "$2"; cd "$2"
	for rpm in "$package" "$debug"; do rpm2cpio "$rpm" | cpio -id --quiet --no-absolute-filenames; done
	readelf -nW --dyn-syms lib64/libc.so.6 >library.txt
	id=$(sed -n 's/.*Build ID: //p' library.txt)
	debug=usr/lib/debug/.build-id/${id%"${id#??}"}/${id#??}.debug
	readelf -sW "$debug" >debug.txt
	if [ "$3" ]; then readelf "$3" "$debug" >info.txt 2>info.err; fi
	cd ..; rm -rf "$2"
done <"$1"`

// catalogue measures how long it takes to know every shipped build with its
// debug symbols, when nothing is there but the repository, on this disk.
func (f *farm) catalogue(ctx context.Context) error {
	builds := f.repo.Only(fixture.Glibc)
	list := ""
	for _, b := range builds {
		list += fmt.Sprintf("%s/%s.rpm %s/%s.rpm\n", f.repo.Dir, b.NEVRA, f.repo.Dir, b.DebugNEVRA)
	}
	if err := os.WriteFile(f.path("packages"), []byte(list), 0o600); err != nil {
		return err
	}
	var bare, lpbuild, symbols, types figure
	for range f.rounds {
		// What is in the real project at the end is what the other parts go on with.
		c, err := f.download(ctx)
		if err != nil {
			return err
		}
		bare = append(bare, c)
		if c, err = f.download(ctx, "--example", "malloc"); err != nil {
			return err
		}
		lpbuild = append(lpbuild, c)
		for _, m := range []struct {
			figure *figure
			args   []string
		}{
			{&symbols, []string{"sh", "-c", byHand, "sh", f.path("packages"), f.path("unpacked"), ""}},
			{&types, []string{"sh", "-c", byHand, "sh", f.path("packages"), f.path("unpacked"), "-wi"}},
		} {
			c, err := f.run(ctx, f.path("store"), m.args...)
			if err != nil {
				return err
			}
			*m.figure = append(*m.figure, c)
		}
	}
	records, err := filepath.Glob(f.path("real/versions/*.json"))
	if err != nil || len(records) != len(builds) {
		return fmt.Errorf("%d records of %d builds: %w", len(records), len(builds), err)
	}
	header(fmt.Sprintf("catalogue of %d glibc with debug symbols", len(builds)), "times as long, by the clock and in processor time, MiB at most")
	show := func(name string, g figure) { line(name, g, fmt.Sprintf("%s, %d", g.ratio(symbols), g.memory())) }
	show("lpbuild download, no live patches yet", bare)
	show("lpbuild download, for one live patch", lpbuild)
	show("rpm2cpio, cpio, readelf -s; not verified", symbols)
	show("the same and types: readelf -wi", types)
	return nil
}

// download makes the real project anew and runs lpbuild download in it, with an
// empty store.
func (f *farm) download(ctx context.Context, example ...string) (cost, error) {
	dir := f.path("real")
	err := errors.Join(os.RemoveAll(dir), os.RemoveAll(f.path("store")), os.Mkdir(dir, 0o777))
	if err != nil {
		return cost{}, err
	}
	init := append([]string{f.path("lpbuild"), "-C", dir, "init", "--repository", "file://" + f.repo.Dir, "--key", f.repo.KeyFile}, example...)
	if _, err := f.run(ctx, f.path("store"), init...); err != nil {
		return cost{}, err
	}
	return f.run(ctx, f.path("store"), f.path("lpbuild"), "--quiet", "-C", dir, "download")
}
